"""Baseline: the exponentially weighted mean of the last known changes.

The half-life is the one of a few that would have foretold the training rows best, by squared error: each row's mean is
of outcomes that were known at the row, so nothing is looked ahead for.

Source: Muth, "Optimal properties of exponentially weighted forecasts", Journal of the American Statistical Association
55 (1960).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bellwether.models.base import Family, Floats, Params, Reads, Task, Training
from bellwether.models.linear_graph import LinearValues, weighted_sum
from bellwether.models.rows import value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

LOOKBACK = 24
"""Outcomes it sees."""

HALF_LIVES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Outcomes after which a weight is halved."""


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Nothing to tune: the outcomes it is shown."""
    return {"lookback": LOOKBACK}


def fit(training: Training, params: Params) -> LinearValues:
    """Try every half-life on the training rows; of equally good ones the shortest wins."""
    rows = value_rows(training)
    weights = [decaying(half_life, rows.x.shape[1]) for half_life in HALF_LIVES]
    errors = [rows.weight @ (rows.y[:, 0] - rows.x @ weight) ** 2 for weight in weights]
    return weighted_sum(weights[int(np.argmin(errors))])


def decaying(half_life: float, length: int) -> Floats:
    """Weights that sum to one, oldest first.

    >>> decaying(1.0, 3).round(3).tolist()
    [0.143, 0.286, 0.571]
    """
    weights = 0.5 ** (np.arange(length)[::-1] / half_life)
    return np.asarray(weights / weights.sum(), np.float64)


EWMA = Family(
    name="ewma",
    tasks=frozenset({Task.REGRESS}),
    space=space,
    fit=fit,
    baseline=True,
    reads=Reads.OUTCOMES,
)
