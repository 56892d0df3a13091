"""Elastic net: least squares that keeps coefficients small and most of them at zero, on standardised columns.

Source: Zou and Hastie, "Regularization and variable selection via the elastic net", Journal of the Royal Statistical
Society B 67 (2005); coordinate descent: Friedman, Hastie and Tibshirani, Journal of Statistical Software 33 (2010).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet

from bellwether.models.base import Family, Floats, Params, Task, Training
from bellwether.models.least_squares import Moments
from bellwether.models.linear_graph import LinearValues
from bellwether.models.rows import value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

MAX_SWEEPS = 20_000
"""Over columns, not rows: half a second for 200 of them.

With little penalty and columns that are nearly the same, such as prices and their means, descent may not be through by
then. What it left undone was measured to move a prediction by 1e-3 of the values' spread, on 20,000 rows.
"""


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Strength of the penalty in standard deviations of the values, its absolute part, and the rows shown."""
    return {
        "alpha": trial.suggest_float("elastic_net.alpha", 1e-4, 0.3, log=True),
        "l1_ratio": trial.suggest_float("elastic_net.l1_ratio", 0.05, 1.0),
        "lookback": trial.suggest_categorical("elastic_net.lookback", [1, 3, 6, 12]),
    }


def fit(training: Training, params: Params) -> LinearValues:
    """Descend along coordinates; each step of the values by itself."""
    moments = Moments.of(value_rows(training))
    return LinearValues(outputs=moments.linear(_coefficients(moments, params["alpha"], params["l1_ratio"])))


def _coefficients(moments: Moments, alpha: float, l1_ratio: float) -> Floats:
    """Coefficients (columns, steps) at the lowest of ``|y - z b|² / 2n + alpha (l1 |b| + (1 - l1) |b|² / 2)``.

    The squares of the rows differ from those of the ``kept`` directions by a constant only, so that a problem of that
    many rows has the same answer. Values are scaled to a standard deviation of one, so that ``alpha`` is free of units.
    """
    spread = np.where(moments.spread > 0, moments.spread, 1.0)
    root = np.sqrt(moments.spectrum)
    count = np.sqrt(len(root))  # the library divides by the number of rows
    rows = count * root[:, None] * moments.directions.T
    values = count * moments.cross / root[:, None] / spread
    if not values.any():
        return np.zeros((rows.shape[1], len(spread)))
    net = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, fit_intercept=False, max_iter=MAX_SWEEPS, tol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last sweeps are along directions that hardly matter
        net.fit(rows, values)
    return np.asarray(net.coef_, np.float64).reshape(len(spread), -1).T * spread


DEFAULTS = {"alpha": 0.01, "l1_ratio": 0.5, "lookback": 1}

ELASTIC_NET = Family(
    name="elastic_net", tasks=frozenset({Task.REGRESS}), space=space, fit=fit, defaults=DEFAULTS, steps=True
)
