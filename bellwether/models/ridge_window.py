"""Baseline: ridge regression on the columns of the last twelve rows, its penalty chosen on the training rows.

The plainest model that sees a stretch of history: a network of sequences has to beat it. Of features that are levels,
such as prices, it also learns how far the last training rows were from their mean; such a slope does not hold where the
level goes next, and the tail on which the penalty is chosen, the newest rows, shows as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bellwether.models.base import Family, Params, Task, Training
from bellwether.models.least_squares import Moments
from bellwether.models.linear_graph import LinearValues, blocks
from bellwether.models.rows import Values, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

LOOKBACK = 12
"""Rows it sees."""

TAIL = 0.2
"""Share of the timestamps on which penalties are compared."""

PENALTIES = tuple(float(a) for a in np.logspace(-3, 3, 13))
"""Per row, as in `bellwether.models.ridge`: from next to none to one that leaves next to nothing but the mean."""


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Nothing to tune: the rows it is shown."""
    return {"lookback": LOOKBACK}


def fit(training: Training, params: Params) -> LinearValues:
    """Choose the penalty on a purged tail, then fit all rows with it."""
    rows = value_rows(training)
    early, late = (value_rows(part) for part in training.parted(TAIL))
    moments = Moments.of(early)
    errors = [_error(LinearValues(outputs=moments.solve(penalty)), late, moments) for penalty in PENALTIES]
    best = PENALTIES[int(np.argmin(errors))]
    return LinearValues(outputs=Moments.of(rows).solve(best))


def _error(model: LinearValues, rows: Values, moments: Moments) -> float:
    """Weighted squared error, each step in units of its spread."""
    spread = np.where(moments.spread > 0, moments.spread, 1.0)
    return sum(
        float(rows.weight[k] @ (((rows.y[k] - model.outputs(rows.x[k])) / spread) ** 2).sum(axis=1))
        for k in blocks(len(rows.x))
    )


RIDGE_WINDOW = Family(
    name="ridge_window", tasks=frozenset({Task.REGRESS}), space=space, fit=fit, baseline=True, steps=True
)
