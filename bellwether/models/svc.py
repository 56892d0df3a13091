"""Kernel machine: a radial basis function kernel, seen through landmarks, under a logistic or a squared loss.

The Nyström method turns the kernel into as many columns as there are landmarks, and a linear model of these is fitted
by a convex loss. The loss is the one of logistic regression, not the hinge of a support vector machine, by measurement:
on 20,000 rows of 17 columns and five classes, whose outcome had a linear part, or a quadratic and a periodic one,
macro-F1 of the best penalty was 0.24 to 0.35 with 300 landmarks, against 0.23 to 0.34 of libsvm's SVC of the same width
on the 2,000 rows that could be served in time, nearly all of which became support vectors. The probabilities need no
second fit, and all rows and their weights are used. The hinge on the same columns was no better and took four to ten
times as long. For values, the squared loss explained 0.06 to 0.37 of the variance, libsvm's SVR 0.02 to 0.34.

Source: Williams and Seeger, "Using the Nyström method to speed up kernel machines", NIPS 13 (2001).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

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


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Width of the kernel, in mean squared standard deviations a column; strength of the penalty; class balance."""
    params = {"gamma": trial.suggest_float("svc.gamma", 0.02, 3.0, log=True)}
    if task is Task.REGRESS:
        return params | {"alpha": trial.suggest_float("svc.alpha", 1e-6, 1e-2, log=True)}
    return params | {
        "C": trial.suggest_float("svc.C", 1e-2, 1e2, log=True),
        "balanced": trial.suggest_categorical("svc.balanced", [True, False]),
    }


def fit(training: Training, params: Params) -> Fitted:
    """Draw landmarks evenly over time, then fit the linear model: by L-BFGS, or in one step."""
    return _classes(training, params) if training.task is Task.CLASSIFY else _values(training, params)


def _classes(training: Training, params: Params) -> Fitted:
    rows = training_rows(training)
    if constant := only_class(rows):
        return constant
    weight = rows.balanced if params["balanced"] else rows.weight
    part = spread_out(len(rows.x), MAX_ROWS, training.seed)
    kernel, whitening = _kernel(rows.x, rows.weight, params["gamma"], training.seed)
    columns = kernel(rows.x[part]) @ whitening
    scaler = Scaler(mean=np.zeros(columns.shape[1]), scale=np.ones(columns.shape[1]))
    model = LogisticRegression(C=params["C"], max_iter=1000).fit(columns, rows.y[part], weight[part])
    return ClassesOf(outputs=_sum(kernel, whitening, logits(scaler, model)), classes=rows.classes)


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


DEFAULTS = {"gamma": 0.25, "C": 1.0, "balanced": True, "alpha": 3e-4}

SVC = Family(name="svc", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True)
