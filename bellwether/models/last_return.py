"""Baseline: the next change is the last one that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bellwether.models.base import Family, Params, Reads, Task, Training
from bellwether.models.linear_graph import LinearValues, weighted_sum
from bellwether.models.rows import value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Nothing to tune."""
    return {}


def fit(training: Training, params: Params) -> LinearValues:
    """Nothing is learnt; the rows are checked."""
    value_rows(training)
    return weighted_sum(np.ones(1))


LAST_RETURN = Family(
    name="last_return",
    tasks=frozenset({Task.REGRESS}),
    space=space,
    fit=fit,
    baseline=True,
    reads=Reads.OUTCOMES,
)
