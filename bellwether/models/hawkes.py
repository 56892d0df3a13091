"""Order flow that excites itself: which way the next event is likely to go, and how much is going on.

The features hold the intensities of buyers' and sellers' trades, ``h_b`` and ``h_s``, with a base rate and a decay that
are the feature set's. Each side's intensity here is

    λ_buy = mu + h_b,    λ_sell = mu + h_s

and λ_buy / (λ_buy + λ_sell) is the chance that an event which happens now is a purchase. ``mu``, relative to what a
trade excites, is the one under which the training rows' directions are most likely, by a logistic likelihood of that
share's log odds with a free level and slope. A small head turns the log odds and the total intensity into classes or a
value. Excitation across sides is left to the slope: the directions of rows hardly tell the two apart (of a simulated
share of 0.3, 200,000 rows gave 0.26 to 0.65).

What is not fitted here is the decay: it is in the features already. `bellwether.econometrics.hawkes_fit` fits all
parameters to the times of events; its results are options of the feature set ``microstructure``.

Sources: Hawkes, "Spectra of some self-exciting and mutually exciting point processes", Biometrika 58 (1971); Bacry and
Muzy, "Hawkes model for price and trades high-frequency dynamics", Quantitative Finance 14 (2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from scipy.optimize import minimize

from bellwether.errors import ModelError
from bellwether.models.base import Family, Fitted, Floats, Params, Task, Training
from bellwether.models.class_head import class_head, value_head
from bellwether.models.graph import constant
from bellwether.models.heads import Nodes
from bellwether.models.rows import Singles, singles, training_rows, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

BUY, SELL = "hawkes_buy", "hawkes_sell"
"""Features of the set ``microstructure``."""

LEAST = 1e-6
"""Of the mean intensity: what an intensity is at least, so that its logarithm is a number."""

MOST = 10.0
"""Base rate, in mean intensities, beyond which excitation hardly matters: where the search ends."""


@dataclass(frozen=True, kw_only=True)
class Intensities:
    """Log odds of a purchase and log of the total intensity, of rows of features.

    Parameters
    ----------
    columns : int
        Width of a row.
    buy, sell : int
        Where the features are in it.
    unit : float
        Mean of both features over the training rows.
    mu : float
        Base rate that is added to both, in units.
    """

    columns: int
    buy: int
    sell: int
    unit: float
    mu: float

    @property
    def shape(self) -> tuple[int, int]:
        """Columns, numbers."""
        return self.columns, 2

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Numbers (n, 2).

        >>> flow = Intensities(columns=2, buy=0, sell=1, unit=1.0, mu=0.0)
        >>> flow(np.array([[3.0, 1.0]])).round(4).tolist()  # log 3 and log 4
        [[1.0986, 1.3863]]
        """
        rates = np.maximum(singles(x).astype(np.float64) @ self._mix() + self.mu, LEAST)
        out: Floats = np.column_stack([np.log(rates[:, 0]) - np.log(rates[:, 1]), np.log(rates.sum(axis=1))])
        return out

    def nodes(self, rows: str, result: str) -> Nodes:
        """One matrix product, then logarithms."""
        nodes = [
            helper.make_node("Gemm", [rows, "mix", "mu"], ["signed_rates"]),
            helper.make_node("Max", ["signed_rates", "least"], ["rates"]),
            helper.make_node("Log", ["rates"], ["log_rates"]),
            helper.make_node("MatMul", ["log_rates", "apart"], ["odds"]),
            helper.make_node("MatMul", ["rates", "together"], ["total"]),
            helper.make_node("Log", ["total"], ["log_total"]),
            helper.make_node("Concat", ["odds", "log_total"], [result], axis=1),
        ]
        constants = [
            constant("mix", self._mix()),
            constant("mu", np.full(2, self.mu)),
            constant("least", np.array(LEAST)),
            constant("apart", np.array([[1.0], [-1.0]])),
            constant("together", np.ones((2, 1))),
        ]
        return nodes, constants

    def _mix(self) -> Floats:
        """Weights (columns, 2) of the features in the two intensities."""
        mix = np.zeros((self.columns, 2))
        mix[[self.buy, self.sell]] = np.eye(2) / self.unit
        return mix


def likeliest(x: Singles, up: Floats, weight: Floats, names: tuple[str, ...]) -> Intensities:
    """Find ``mu`` by maximum likelihood.

    Parameters
    ----------
    x : float32 array of shape (n, columns)
    up : float64 array of shape (n,)
        How much the outcome was up, 0 … 1; what lies between counts in part for both directions.
    weight : float64 array of shape (n,)
    names : tuple of str
        Of the columns.

    Raises
    ------
    ModelError
        The intensities are not positive on average.
    """
    buy, sell = names.index(BUY), names.index(SELL)
    both = x[:, [buy, sell]].astype(np.float64)
    unit = float(both.mean())
    if unit <= 0.0:
        raise ModelError(f"{BUY} and {SELL} are {unit:g} on average: intensities are positive; look at the features")
    h, share = np.maximum(both / unit, 0.0), weight / weight.sum()

    def loss(theta: Floats) -> float:
        mu, level, slope = theta
        rates = np.maximum(mu + h, LEAST)
        logit = level + slope * (np.log(rates[:, 0]) - np.log(rates[:, 1]))
        return float(share @ (np.logaddexp(0.0, logit) - up * logit))

    bounds = [(0.0, MOST), (None, None), (None, None)]
    found = minimize(loss, np.array([0.1, 0.0, 1.0]), method="L-BFGS-B", bounds=bounds)
    return Intensities(columns=x.shape[1], buy=buy, sell=sell, unit=unit, mu=float(found.x[0]))


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Class balance; the rest is fitted."""
    if task is Task.REGRESS:
        return {}
    return {"balanced": trial.suggest_categorical("hawkes.balanced", [True, False])}


def fit(training: Training, params: Params) -> Fitted:
    """Fit the intensities, then the head; the seed is not used.

    The direction of a class is its position, as a share of the highest one; of a value, its sign.
    """
    if training.task is Task.CLASSIFY:
        rows = training_rows(training)
        up = training.y / max(training.classes - 1, 1)
        flow = likeliest(rows.x, up, rows.weight, training.names)
        return class_head(flow, rows, balanced=params["balanced"])
    values = value_rows(training)
    flow = likeliest(values.x, 0.5 + 0.5 * np.sign(values.y[:, 0]), values.weight, training.names)
    return value_head(flow, values)


HAWKES = Family(
    name="hawkes",
    tasks=frozenset(Task),
    space=space,
    fit=fit,
    defaults={"balanced": True},
    needs=(BUY, SELL),
)
