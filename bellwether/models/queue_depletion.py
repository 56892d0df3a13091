"""Which of the best queues empties first, and from that the direction of the next move.

Sizes of the two best queues, ``n`` orders at the bid and ``m`` at the ask, wander until one is empty; the price moves
to that side. Where orders come and go at one rate, the exact chance depends on both sizes
(`bellwether.econometrics.birth_death.balanced_chance`); in the limit of many orders, on their ratio only. Features hold
no sizes in orders but their ratio, ``imbalance_1``, and how fast each queue is consumed: so it is the limit that is
taken here, which is within 0.008 of the exact chance from the first order on (tests).

With sizes in units of the root of each queue's rate, ``X = n / sqrt(rate_b)`` and ``Y = m / sqrt(rate_a)``, and the
correlation ρ between changes of the queues, the limit is a Brownian motion in a wedge. It starts at the angle ``a``
from the edge where the ask is empty, and ``b`` from the other, and leaves at the first one with chance ``b / (a + b)``:

    tan(a / 2) = Y s / (R + X - ρ Y),    tan(b / 2) = X s / (R + Y - ρ X),    s² = 1 - ρ²,    R² = X² - 2 ρ X Y + Y².

A small head turns the log odds into classes.

Sources: Cont and de Larrard, "Price dynamics in a Markovian limit order market", SIAM Journal on Financial Mathematics
4 (2013), for the queues; Cont and de Larrard, "Order book dynamics in liquid markets: limit theorems and diffusion
approximations" (2012), for the limit, there as one arctangent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bellwether.models.base import Family, Fitted, Floats, Params, Task, Training
from bellwether.models.class_head import class_head
from bellwether.models.graph import constant
from bellwether.models.heads import Nodes
from bellwether.models.rows import Rows, singles, training_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

IMBALANCE, BID_RATE, ASK_RATE = "imbalance_1", "bid_depletion", "ask_depletion"
"""Features of the set ``microstructure``."""

FULL = 0.999
"""Imbalance at which one side is as good as empty: beyond, log odds grow and say nothing more."""

SIDES = np.array([1.0, -1.0])
"""What an imbalance does to the size of the bid and of the ask."""

SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])
"""Bid and ask the other way round."""


@dataclass(frozen=True, kw_only=True)
class Depletion:
    """Log odds that the ask empties before the bid, of rows of features.

    Parameters
    ----------
    columns : int
        Width of a row.
    places : tuple of int
        Where imbalance and the rates of bid and ask are in it.
    typical : float
        Rate that is imagined beside the measured ones, positive: a queue that lost nothing yet may still lose.
    measured : bool
        Read the rates; otherwise both queues are consumed alike.
    correlation : float
        Between changes of the two queues, in (-1, 1).
    """

    columns: int
    places: tuple[int, int, int]
    typical: float
    measured: bool
    correlation: float

    @property
    def shape(self) -> tuple[int, int]:
        """Columns, numbers."""
        return self.columns, 1

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Log odds (n, 1).

        >>> queues = Depletion(columns=3, places=(0, 1, 2), typical=1.0, measured=True, correlation=0.0)
        >>> odds = np.exp(queues(np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 3.0]])))
        >>> (odds / (1.0 + odds)).round(4).ravel().tolist()  # even; three times the bid; an ask that goes faster
        [0.5, 0.7952, 0.7048]
        """
        imbalance, rates = np.split(singles(x).astype(np.float64) @ self._select(), [1], axis=1)
        wide = np.sqrt(np.maximum(rates, 0.0) + self.typical)
        sizes = (1.0 + np.clip(imbalance, -FULL, FULL) * SIDES) * (wide @ SWAP)
        mixed = sizes @ (SWAP - self.correlation * np.eye(2))
        radius = np.sqrt((sizes * (sizes @ (np.eye(2) - self.correlation * SWAP))).sum(axis=1, keepdims=True))
        angles = np.arctan(self._height * sizes / (radius + mixed))
        out: Floats = np.log(angles) @ SIDES[:, None]
        return out

    def nodes(self, rows: str, result: str) -> Nodes:
        """The same, step by step."""
        steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
            ("MatMul", [rows, "select"], ["selected"], {}),
            ("Split", ["selected", "parts"], ["imbalance", "rates"], {"axis": 1}),
            ("Max", ["rates", "zero"], ["positive"], {}),
            ("Add", ["positive", "typical"], ["enough"], {}),
            ("Sqrt", ["enough"], ["wide"], {}),
            ("MatMul", ["wide", "swap"], ["swapped"], {}),
            ("Clip", ["imbalance", "ask_full", "bid_full"], ["bounded"], {}),
            ("Mul", ["bounded", "sides"], ["sided"], {}),
            ("Add", ["sided", "one"], ["shares"], {}),
            ("Mul", ["shares", "swapped"], ["sizes"], {}),
            ("MatMul", ["sizes", "mix"], ["mixed"], {}),
            ("MatMul", ["sizes", "metric"], ["metric_sizes"], {}),
            ("Mul", ["sizes", "metric_sizes"], ["squares"], {}),
            ("ReduceSum", ["squares", "axes"], ["square"], {}),
            ("Sqrt", ["square"], ["radius"], {}),
            ("Add", ["radius", "mixed"], ["across"], {}),
            ("Mul", ["sizes", "height"], ["up"], {}),
            ("Div", ["up", "across"], ["exact_tangents"], {}),
            ("Cast", ["exact_tangents"], ["tangents"], {"to": TensorProto.FLOAT}),  # onnxruntime has no other Atan
            ("Atan", ["tangents"], ["single_angles"], {}),
            ("Cast", ["single_angles"], ["angles"], {"to": TensorProto.DOUBLE}),
            ("Log", ["angles"], ["logs"], {}),
            ("MatMul", ["logs", "apart"], [result], {}),
        ]
        scalars = {"zero": 0.0, "one": 1.0, "typical": self.typical, "bid_full": FULL, "ask_full": -FULL}
        arrays = {
            "height": np.array(self._height),
            "parts": np.array([1, 2]),
            "axes": np.array([1]),
            "select": self._select(),
            "sides": SIDES,
            "apart": SIDES[:, None],
            "swap": SWAP,
            "mix": SWAP - self.correlation * np.eye(2),
            "metric": np.eye(2) - self.correlation * SWAP,
        }
        arrays |= {name: np.array(value) for name, value in scalars.items()}
        nodes = [helper.make_node(kind, takes, gives, **more) for kind, takes, gives, more in steps]
        return nodes, [constant(name, values) for name, values in arrays.items()]

    @property
    def _height(self) -> float:
        return float(np.sqrt(1.0 - self.correlation**2))

    def _select(self) -> Floats:
        """Picks imbalance and rates (columns, 3) of a row."""
        select = np.zeros((self.columns, 3))
        select[self.places, [0, 1, 2]] = [1.0, self.measured, self.measured]
        return select


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Correlation of the queues, whether their rates are read, class balance."""
    return {
        "correlation": trial.suggest_float("queue_depletion.correlation", -0.8, 0.8),
        "measured": trial.suggest_categorical("queue_depletion.measured", [True, False]),
        "balanced": trial.suggest_categorical("queue_depletion.balanced", [True, False]),
    }


def fit(training: Training, params: Params) -> Fitted:
    """Take the typical rate from the training rows, then fit the head; the seed is not used."""
    rows = training_rows(training)
    return class_head(depletion(rows, training.names, params), rows, balanced=params["balanced"])


def depletion(rows: Rows, names: tuple[str, ...], params: Params) -> Depletion:
    """The chance with the rates of these rows: the mean one is typical, or one where there is none at all."""
    places = names.index(IMBALANCE), names.index(BID_RATE), names.index(ASK_RATE)
    mean = float(np.maximum(rows.x[:, places[1:]], 0.0).mean(dtype=np.float64))
    return Depletion(
        columns=rows.x.shape[1],
        places=places,
        typical=mean if mean > 0.0 and params["measured"] else 1.0,
        measured=params["measured"],
        correlation=params["correlation"],
    )


DEFAULTS = {"correlation": 0.0, "measured": True, "balanced": True}

QUEUE_DEPLETION = Family(
    name="queue_depletion",
    tasks=frozenset({Task.CLASSIFY}),
    space=space,
    fit=fit,
    defaults=DEFAULTS,
    needs=(IMBALANCE, BID_RATE, ASK_RATE),
)
