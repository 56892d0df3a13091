"""Linear models that learn row by row, in time order, and go on learning between retrains.

Multinomial logistic regression for classes, linear regression for values, each on columns standardised by what was
seen so far. The rule is `bellwether.models.online_kernel.learn`. What is left out: river's drift-aware forest
(``ARFClassifier``), which can be neither a graph nor arrays without rewriting it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from scipy.special import softmax

from bellwether.errors import ModelError
from bellwether.models.base import Family, Floats, Params, Task, Training
from bellwether.models.bundle import Bundle
from bellwether.models.graph import assemble, assemble_values, constant
from bellwether.models.linear_graph import Scaler
from bellwether.models.online_kernel import learn
from bellwether.models.rows import Classes, Singles, singles, training_rows, value_rows
from bellwether.models.standardised import LIMIT, rounded, standardised, standardised_nodes
from bellwether.models.training import plain

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

ARRAYS = ("mean", "variance", "weights", "seen", "unit")
FACTS = ("classes", "count", "rate", "l2")


@dataclass(frozen=True, kw_only=True)
class Online:
    """What was learned from ``count`` rows.

    Parameters
    ----------
    classes : int
        Number of classes; 0 for values.
    mean, variance : float64 arrays of shape (columns,)
        Of all rows so far.
    weights : float64 array of shape (outputs, columns + 1)
        The last column is the intercept.
    seen : bool array of shape (outputs,)
        Classes met so far. The others have probability zero.
    unit : float64 array of shape (outputs,)
        How much a row of each class counts, or the size of each value; of the training rows.
    rate, l2 : float
        Step and penalty.
    """

    classes: int
    count: int
    mean: Floats
    variance: Floats
    weights: Floats
    seen: NDArray[np.bool_]
    unit: Floats
    rate: float
    l2: float

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes), or values (n, steps)."""
        scores = standardised(singles(x), self._scaler) @ self.weights[:, :-1].T + self.weights[:, -1]
        if not self.classes:
            return np.asarray(scores * self.unit, np.float64)
        return self._present.widen(softmax(scores[:, self._present.present], axis=1))

    def update(self, x: Floats, y: NDArray[Any], weight: Floats | None = None) -> Online:
        """The model after it learned these rows; see `bellwether.models.updating.Updating`."""
        rows = plain(x, y, classes=self.classes)
        weight = rows.weight if weight is None else np.ascontiguousarray(weight, np.float64)
        found = training_rows(rows) if self.classes else value_rows(rows)
        given = found.x.shape[1], self.classes or rows.steps, weight.shape
        if given != (wanted := (len(self.mean), len(self.unit), rows.ts.shape)):
            raise ModelError(f"columns, outputs and weights to learn from are {wanted}; got {given}")
        if not self.classes:
            return self._learned(found.x, np.ascontiguousarray(rows.y / self.unit), weight)
        return self._learned(found.x, np.eye(self.classes)[rows.y], weight * self.unit[rows.y])

    def state(self) -> Bundle:
        """Everything `resume` needs."""
        return Bundle({name: getattr(self, name) for name in ARRAYS}, {name: getattr(self, name) for name in FACTS})

    def graph(self) -> bytes:
        """Standardise, one matrix product, and for classes a softmax; float64 inside."""
        nodes, constants = standardised_nodes(self._scaler)
        kept, unit = (self._present.present, np.ones(1)) if self.classes else (np.arange(len(self.unit)), self.unit)
        weights = self.weights[kept] * unit[:, None]
        constants += [constant("weights", weights[:, :-1].T.copy()), constant("bias", weights[:, -1].copy())]
        nodes.append(helper.make_node("Gemm", ["standard", "weights", "bias"], ["scores"]))
        if not self.classes:
            return assemble_values(
                [*nodes, rounded("scores", "result")], constants, "result", len(self.mean), len(kept)
            )
        nodes += [helper.make_node("Softmax", ["scores"], ["shares"], axis=-1), rounded("shares", "result")]
        return assemble(nodes, constants, "result", len(self.mean), self._present)

    @property
    def _scaler(self) -> Scaler:
        return Scaler(mean=self.mean, scale=np.where(self.variance > 0, np.sqrt(self.variance), 1.0))

    @property
    def _present(self) -> Classes:
        return Classes(total=self.classes, present=np.flatnonzero(self.seen))

    def _learned(self, x: Singles, y: Floats, weight: Floats) -> Online:
        """A copy that has learned rows whose ``y`` (n, outputs) are in units."""
        new = {name: getattr(self, name).copy() for name in ("mean", "variance", "weights", "seen")}
        learn(
            x, y, weight, self.count, **new, softmax=self.classes > 0, rate=self.rate, l2=self.l2, limit=LIMIT
        )  # fmt: skip
        if not np.isfinite(new["weights"]).all():
            raise ModelError(f"the weights grew without bound at a step of {self.rate:g}: ask for a smaller one")
        return replace(self, count=self.count + len(x), **new)


def resume(bundle: Bundle) -> Online:
    """The model whose `Online.state` this is, as it was.

    Raises
    ------
    ModelError
        The bundle is of something else.
    """
    wanted = {*ARRAYS}, {*FACTS}
    if (set(bundle.arrays), set(bundle.facts)) != wanted:
        raise ModelError(f"an online model is the arrays {', '.join(ARRAYS)}; got {', '.join(bundle.arrays)}")
    found: dict[str, Any] = {**bundle.arrays, **bundle.facts}
    return Online(**found)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Step, penalty, how often the training rows are gone through, and class balance."""
    params = {
        "learning_rate": trial.suggest_float("online.learning_rate", 1e-3, 0.3, log=True),
        "l2": trial.suggest_float("online.l2", 1e-6, 1e-2, log=True),
        "passes": trial.suggest_int("online.passes", 1, 5),
    }
    if task is Task.CLASSIFY:
        params["balanced"] = trial.suggest_categorical("online.balanced", [True, False])
    return params


def fit(training: Training, params: Params) -> Online:
    """Go through the rows in time order, ``passes`` times.

    The step is ``learning_rate`` shared out among the columns: a linear regression then has, once it has settled,
    about that share of excess squared error, however many columns there are (Widrow and Stearns, *Adaptive Signal
    Processing*, 1985, on misadjustment).
    """
    model = _blank(training, params)
    for _ in range(params["passes"]):
        model = model.update(training.x, training.y, training.weight)
    return model


def _blank(training: Training, params: Params) -> Online:
    """Nothing learned yet."""
    if training.classes:
        rows = training_rows(training)
        unit = np.ones(training.classes)
        if params["balanced"]:
            totals = np.bincount(rows.y, rows.weight)
            unit[rows.classes.present] = rows.weight.sum() / (len(totals) * totals)
        columns = rows.x.shape[1]
    else:
        values = value_rows(training)
        spread = np.sqrt(np.average(values.y**2, axis=0, weights=values.weight))
        unit, columns = np.where(spread > 0, spread, 1.0), values.x.shape[1]
    return Online(
        classes=training.classes,
        count=0,
        mean=np.zeros(columns),
        variance=np.zeros(columns),
        weights=np.zeros((len(unit), columns + 1)),
        seen=np.full(len(unit), not training.classes),
        unit=unit,
        rate=params["learning_rate"] / (columns + 1),
        l2=params["l2"],
    )


DEFAULTS = {"learning_rate": 0.02, "l2": 1e-5, "passes": 3, "balanced": True}

ONLINE = Family(
    name="online",
    tasks=frozenset({Task.CLASSIFY, Task.REGRESS}),
    space=space,
    fit=fit,
    defaults=DEFAULTS,
    steps=True,
    restore=resume,
)
