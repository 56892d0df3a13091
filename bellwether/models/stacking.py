"""Stacking: families are combined by how well each predicts rows that it was not fitted on.

Each member's weight is at least zero, and one for all classes:

- classes: a logarithmic opinion pool, P(c | x) ∝ ∏ p_m(c | x)^w_m, the weights by maximum likelihood;
- values: y = a + Σ w_m f_m(x), the weights by least squares.

What the weights are fitted on is predicted out of fold, by a purged walk-forward inside the training rows: the member
that predicts a row was fitted on rows whose outcomes were known before the row's block begins. The members that serve
are fitted on all training rows.

Classes count alike in the weights, as they do to most members.

Sources: Wolpert, "Stacked generalization", Neural Networks 5 (1992); Breiman, "Stacked regressions", Machine Learning
24 (1996), for weights that are not negative; Genest and Zidek, "Combining probability distributions", Statistical
Science 1 (1986), for the pool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper
from scipy.optimize import minimize, nnls
from scipy.special import log_softmax, softmax

from bellwether.errors import ModelError
from bellwether.models.base import Family, Fitted, Floats, Ints, Params, Task, Training
from bellwether.models.compose import side_by_side
from bellwether.models.constant import only_class
from bellwether.models.graph import assemble, assemble_values, constant
from bellwether.models.members import LINEAR, OTHERS, fitted_members
from bellwether.models.rows import Classes, Rows, training_rows, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

BLOCKS = 3
"""Blocks that are predicted out of fold. The quarter of the timestamps before them is only fitted on."""

FLOOR = 1e-3
"""The least probability that is heard: a member that says "never" and errs would have no finite score."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Members with a positive weight and the logarithmic pool of their probabilities."""

    members: tuple[Fitted, ...]
    weights: Floats
    classes: Classes
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        present = self.classes.present
        logs = np.stack([np.log(np.maximum(member.predict(x)[:, present], FLOOR)) for member in self.members])
        return self.classes.widen(softmax(np.tensordot(self.weights, logs, axes=1), axis=1))

    def graph(self) -> bytes:
        """The members' graphs side by side, and the softmax of their weighted log-probabilities."""
        nodes, constants, results = side_by_side(self.members)
        constants += [constant("floor", np.array(FLOOR, np.float32)), constant("present", self.classes.present)]
        for k, (found, weight) in enumerate(zip(results, self.weights, strict=True)):
            constants.append(constant(f"weight_{k}", np.array([weight], np.float32)))
            nodes += [
                helper.make_node("Gather", [found, "present"], [f"kept_{k}"], axis=1),
                helper.make_node("Clip", [f"kept_{k}", "floor"], [f"heard_{k}"]),
                helper.make_node("Log", [f"heard_{k}"], [f"log_{k}"]),
                helper.make_node("Mul", [f"log_{k}", f"weight_{k}"], [f"share_{k}"]),
            ]
        nodes.append(helper.make_node("Sum", [f"share_{k}" for k in range(len(results))], ["pooled"]))
        nodes.append(helper.make_node("Softmax", ["pooled"], ["result"], axis=-1))
        return assemble(nodes, constants, "result", self.n_features, self.classes)


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Members with a positive weight and the linear blend of their values."""

    members: tuple[Fitted, ...]
    weights: Floats
    intercept: float
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Values (n, 1)."""
        answers = np.stack([member.predict(x) for member in self.members])
        return self.intercept + np.tensordot(self.weights, answers, axes=1)

    def graph(self) -> bytes:
        """The members' graphs side by side, their weighted sum and the intercept."""
        nodes, constants, results = side_by_side(self.members)
        constants.append(constant("intercept", np.array([self.intercept], np.float32)))
        for k, (found, weight) in enumerate(zip(results, self.weights, strict=True)):
            constants.append(constant(f"weight_{k}", np.array([weight], np.float32)))
            nodes.append(helper.make_node("Mul", [found, f"weight_{k}"], [f"share_{k}"]))
        nodes.append(helper.make_node("Sum", ["intercept", *(f"share_{k}" for k in range(len(results)))], ["result"]))
        return assemble_values(nodes, constants, "result", self.n_features, 1)


def out_of_fold(training: Training, names: tuple[str, ...]) -> tuple[Ints, Floats]:
    """What members predict for rows they were not fitted on.

    A row's prediction comes from rows whose outcomes were known before its block begins: neither its own outcome nor
    any later one can change it.

    Returns
    -------
    rows : int64 array of shape (m,)
        The rows predicted: all after the first quarter of the timestamps.
    predictions : float64 array of shape (members, m, classes or steps)

    Raises
    ------
    ModelError
        There are too few timestamps, or no outcome is known when the first block begins.

    Examples
    --------
    >>> from bellwether.models.training import plain
    >>> rows = plain(np.zeros((8, 1)), np.array([0, 0, 1, 0, 1, 1, 1, 1]), classes=2)
    >>> place, found = out_of_fold(rows, ("stratified",))
    >>> place.tolist()
    [2, 3, 4, 5, 6, 7]
    >>> found[0, :, 1].round(2).tolist()
    [0.0, 0.0, 0.33, 0.33, 0.4, 0.4]
    """
    blocks = np.array_split(np.unique(training.ts), BLOCKS + 1)[1:]
    rows, predictions = [], []
    for block in blocks:
        early = training.t1 < block[0] if len(block) else np.zeros(len(training.ts), bool)
        if not early.any():
            times = len(np.unique(training.ts))
            raise ModelError(f"{times} timestamps are too few to stack on {BLOCKS} blocks: ingest a longer history")
        inside = np.flatnonzero((training.ts >= block[0]) & (training.ts <= block[-1]))
        members = fitted_members(training.at(early), names)
        rows.append(inside)
        predictions.append(np.stack([member.predict(training.x[inside]) for member in members]))
    return np.concatenate(rows), np.concatenate(predictions, axis=1)


def pool_weights(probabilities: Floats, y: Ints, weight: Floats, penalty: float) -> Floats:
    """Weights (members,) of a logarithmic pool, none negative, that make the classes ``y`` (n,) most likely.

    Minimises the mean log loss plus ``penalty`` times the squared distance to equal weights, a convex problem.

    Parameters
    ----------
    probabilities : float64 array of shape (members, n, classes)
    weight : float64 array of shape (n,)
        How much a row counts.

    Examples
    --------
    One member is right three times of four and says so a little too surely; the other is always wrong:

    >>> often = np.array([[0.8, 0.2], [0.2, 0.8], [0.8, 0.2], [0.8, 0.2]])
    >>> never = np.array([[0.4, 0.6], [0.9, 0.1], [0.4, 0.6], [0.6, 0.4]])
    >>> pool_weights(np.stack([often, never]), np.array([0, 1, 0, 1]), np.ones(4), 1e-6).round(2).tolist()
    [0.79, 0.0]
    """
    logs = np.log(np.maximum(probabilities, FLOOR))
    share, rows, equal = weight / weight.sum(), np.arange(len(y)), 1 / len(logs)
    hit = logs[:, rows, y]

    def loss(w: Floats) -> tuple[float, Floats]:
        scores = log_softmax(np.tensordot(w, logs, axes=1), axis=1)
        expected = np.einsum("mnc,nc->mn", logs, np.exp(scores))
        value = -share @ scores[rows, y] + penalty * np.sum((w - equal) ** 2)
        return float(value), (expected - hit) @ share + 2 * penalty * (w - equal)

    start = np.full(len(logs), equal)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(logs))
    return np.asarray(found.x, np.float64)


def blend_weights(values: Floats, y: Floats, weight: Floats, penalty: float) -> tuple[Floats, float]:
    """Weights (members,), none negative, and the intercept that come closest to ``y`` (n,).

    Minimises the mean squared error, as a share of the variance of ``y``, plus ``penalty`` times the squared distance
    to equal weights.

    Parameters
    ----------
    values : float64 array of shape (members, n)
    weight : float64 array of shape (n,)
        How much a row counts.

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 4.0])
    >>> weights, intercept = blend_weights(np.stack([y / 2 - 1, -y]), y, np.ones(3), 1e-9)
    >>> weights.round(6).tolist(), round(intercept, 6)
    ([2.0, 0.0], 2.0)
    """
    share, count = weight / weight.sum(), len(values)
    centres, centre = values @ share, y @ share
    spread = np.sqrt(share @ (y - centre) ** 2) or 1.0
    root, pull = np.sqrt(share) / spread, np.sqrt(penalty)
    left = np.vstack([((values - centres[:, None]) * root).T, pull * np.eye(count)])
    right = np.concatenate([(y - centre) * root, np.full(count, pull / count)])
    weights = np.asarray(nnls(left, right)[0], np.float64)
    return weights, float(centre - weights @ centres)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Which members there are besides the linear one, and how strongly their weights are held together."""
    linear = LINEAR[task]
    members = {linear: trial.suggest_categorical(f"stacking.{linear}", [True])}
    members |= {name: trial.suggest_categorical(f"stacking.{name}", [True, False]) for name in OTHERS}
    return members | {"penalty": trial.suggest_float("stacking.penalty", 1e-4, 1.0, log=True)}


def fit(training: Training, params: Params) -> Fitted:
    """Fit the weights out of fold and the members on all rows.

    ``params`` are the penalty and, by name, whether a family is a member: any families that read one row's features.
    """
    names = tuple(name for name, used in params.items() if name != "penalty" and used)
    if training.task is Task.REGRESS:
        return _blend(training, names, params["penalty"])
    rows = training_rows(training)
    return only_class(rows) or _pool(training, rows, names, params["penalty"])


def _pool(training: Training, rows: Rows, names: tuple[str, ...], penalty: float) -> Pool:
    place, found = out_of_fold(training, names)
    weights = pool_weights(found[:, :, rows.classes.present], rows.y[place], rows.balanced[place], penalty)
    members, kept = _kept(training, names, weights)
    return Pool(members=members, weights=kept, classes=rows.classes, n_features=rows.x.shape[1])


def _blend(training: Training, names: tuple[str, ...], penalty: float) -> Blend:
    rows = value_rows(training)
    place, found = out_of_fold(training, names)
    weights, intercept = blend_weights(found[:, :, 0], rows.y[place, 0], rows.weight[place], penalty)
    members, kept = _kept(training, names, weights)
    return Blend(members=members, weights=kept, intercept=intercept, n_features=rows.x.shape[1])


def _kept(training: Training, names: tuple[str, ...], weights: Floats) -> tuple[tuple[Fitted, ...], Floats]:
    """The members with a weight, fitted on all rows; the first one if none has any."""
    used = np.flatnonzero(weights) if weights.any() else np.array([0])
    return fitted_members(training, [names[k] for k in used]), weights[used]


DEFAULTS = {"logistic": True, "ridge": True, "extra_trees": True, "lightgbm": True, "xgboost": False, "penalty": 0.01}

STACKING = Family(
    name="stacking", tasks=frozenset({Task.CLASSIFY, Task.REGRESS}), space=space, fit=fit, defaults=DEFAULTS
)
