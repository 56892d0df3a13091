"""Support vector machine with a radial basis function kernel that is seen through landmarks, so that it can be served.

The Nyström method turns the kernel into as many columns as there are landmarks: the kernel of any two rows is about the
product of their columns. A linear support vector machine of these, each class against the others under the squared
hinge loss, is then one of the kernel, fitted to all rows and served in microseconds; libsvm's own keeps nearly every
row of a noisy market as a support vector. Margins become probabilities by a softmax of one steepness, found on the
newest rows with a machine that was not fitted on them: the most probable class is the one with the largest margin.

With ``loss`` "logistic", multinomial logistic regression takes the place of the hinge: ten times faster to fit, and
about as good: on 10,000 rows of 17 columns and five classes, a tenth of whose outcome could be foreseen by a line or a
product, macro-F1 of the best ``C`` was 0.238 and 0.244 against 0.235 and 0.244. Values are fitted by least squares
with a penalty, which is kernel ridge regression.

Sources: Cortes and Vapnik, "Support-vector networks", Machine Learning 20 (1995); Williams and Seeger, "Using the
Nyström method to speed up kernel machines", NIPS 13 (2001); Platt, "Probabilistic outputs for support vector machines"
(1999), here without offsets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from bellwether.models.base import Family, Fitted, Floats, Ints, Params, Task, Training
from bellwether.models.constant import only_class
from bellwether.models.heads import ClassesOf, ValuesOf
from bellwether.models.kernel_graph import Kernel, KernelSum
from bellwether.models.least_squares import Moments
from bellwether.models.linear_graph import Linear, Scaler
from bellwether.models.logistic import logits
from bellwether.models.rows import Singles, Values, training_rows, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

LANDMARKS = 256

MAX_ROWS = 30_000
"""Of more training rows, this many are fitted to, evenly over time: the columns of all would not fit in memory."""

FLOOR = 1e-8
"""Directions among the landmarks below this share of the widest one are rounding, and left out."""

TAIL = 0.15
"""Share of the timestamps that the steepness of the probabilities is found on."""

STEEPNESS = (1e-2, 1e2)
"""Between margins that say next to nothing and margins that say all."""


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Width of the kernel, in mean squared standard deviations a column; the penalty; loss and class balance."""
    params = {"gamma": trial.suggest_float("svc.gamma", 0.02, 3.0, log=True)}
    if task is Task.REGRESS:
        return params | {"alpha": trial.suggest_float("svc.alpha", 1e-6, 1e-2, log=True)}
    return params | {
        "C": trial.suggest_float("svc.C", 1e-3, 10.0, log=True),
        "loss": trial.suggest_categorical("svc.loss", ["hinge", "logistic"]),
        "balanced": trial.suggest_categorical("svc.balanced", [True, False]),
    }


def fit(training: Training, params: Params) -> Fitted:
    """Draw landmarks evenly over time, then fit the linear model of their columns."""
    return _classes(training, params) if training.task is Task.CLASSIFY else _values(training, params)


def _classes(training: Training, params: Params) -> Fitted:
    rows = training_rows(training)
    if constant := only_class(rows):
        return constant
    weight = rows.balanced if params["balanced"] else rows.weight
    part = spread_out(len(rows.x), MAX_ROWS, training.seed)
    kernel, whitening = _kernel(rows.x, rows.weight, params["gamma"], training.seed)
    columns = kernel(rows.x[part]) @ whitening
    shown = replace(training, weight=weight, y=rows.y, classes=len(rows.classes.present)).at(part)
    fitted = _hinge if params["loss"] == "hinge" else _logistic
    return ClassesOf(
        outputs=_sum(kernel, whitening, fitted(replace(shown, x=columns), params["C"])), classes=rows.classes
    )


def _logistic(rows: Training, strength: float) -> Linear:
    return logits(_as_they_are(rows), LogisticRegression(C=strength, max_iter=1000).fit(rows.x, rows.y, rows.weight))


def _hinge(rows: Training, strength: float) -> Linear:
    early, tail = rows.parted(TAIL)
    judged = margins(early, strength)
    slope = steepness(tail.x @ judged.coef + judged.intercept, tail.y, tail.weight)
    found = margins(rows, strength)
    return replace(found, coef=slope * found.coef, intercept=slope * found.intercept)


def margins(rows: Training, strength: float) -> Linear:
    """A linear support vector machine of the columns: the margin of each class against the others.

    A class without rows has the margin −1, the largest of being none.

    >>> from bellwether.models.training import plain
    >>> two = plain(np.array([[0.0], [2.0]]), np.array([0, 1]), classes=3)
    >>> margins(two, 1e6)(two.x).round(3).tolist()
    [[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0]]
    """
    coef, intercept = np.zeros((rows.x.shape[1], rows.classes)), np.full(rows.classes, -1.0)
    for c in np.unique(rows.y):
        if (rows.y == c).all():
            intercept[c] = 1.0
            continue
        machine = LinearSVC(C=strength, dual=False).fit(rows.x, rows.y == c, rows.weight)
        coef[:, c], intercept[c] = machine.coef_[0], machine.intercept_[0]
    return Linear(scaler=_as_they_are(rows), coef=coef, intercept=intercept)


def steepness(found: Floats, y: Ints, weight: Floats) -> float:
    """What margins (n, classes) are to be multiplied with, so that their softmax makes the classes ``y`` most likely.

    Right three times of four, by two, the softmax is to say three to one: half of log 3.

    >>> found = np.array([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    >>> round(steepness(found, np.array([0, 0, 1, 1]), np.ones(4)), 2)
    0.55
    """

    def loss(log: float) -> float:
        return float(-(weight @ log_softmax(np.exp(log) * found, axis=1)[np.arange(len(y)), y]))

    return float(np.exp(minimize_scalar(loss, bounds=np.log(STEEPNESS), method="bounded").x))


def _as_they_are(rows: Training) -> Scaler:
    return Scaler(mean=np.zeros(rows.x.shape[1]), scale=np.ones(rows.x.shape[1]))


def _values(training: Training, params: Params) -> Fitted:
    rows = value_rows(training)
    part = spread_out(len(rows.x), MAX_ROWS, training.seed)
    kernel, whitening = _kernel(rows.x, rows.weight, params["gamma"], training.seed)
    columns = (kernel(rows.x[part]) @ whitening).astype(np.float32)
    moments = Moments.of(Values(x=columns, y=rows.y[part], weight=rows.weight[part]), standardise=False)
    return ValuesOf(outputs=_sum(kernel, whitening, moments.solve(params["alpha"])))


def _kernel(x: Singles, weight: Floats, gamma: float, seed: int) -> tuple[Kernel, Floats]:
    """The kernel, and the matrix (landmarks, kept) that makes columns of similarities whose products are the kernel."""
    scaler = Scaler.of(x, weight)
    chosen = x[spread_out(len(x), LANDMARKS, seed)]
    kernel = Kernel(scaler=scaler, landmarks=scaler(chosen), gamma=gamma / x.shape[1])
    spectrum, directions = np.linalg.eigh(kernel(chosen))
    kept = spectrum > FLOOR * spectrum[-1]
    return kernel, directions[:, kept] / np.sqrt(spectrum[kept])


def _sum(kernel: Kernel, whitening: Floats, linear: Linear) -> KernelSum:
    weights, bias = linear.scaler.fold(linear.coef, linear.intercept)
    return KernelSum(kernel=kernel, weights=whitening @ weights, bias=bias)


def spread_out(rows: int, wanted: int, seed: int) -> Ints:
    """One position drawn from each of ``wanted`` equal stretches of the rows; all of them where there are no more.

    >>> (spread_out(1000, 4, seed=0) // 250).tolist(), spread_out(3, 4, seed=0).tolist()
    ([0, 1, 2, 3], [0, 1, 2])
    """
    if rows <= wanted:
        return np.arange(rows)
    edges = np.linspace(0, rows, wanted + 1).astype(np.int64)
    return np.random.default_rng(seed).integers(edges[:-1], edges[1:])


DEFAULTS = {"gamma": 0.25, "C": 0.1, "loss": "hinge", "balanced": True, "alpha": 3e-4}

SVC = Family(name="svc", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True)
