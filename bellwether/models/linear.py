"""Linear regression: ordinary least squares on standardised columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bellwether.models.base import Family, Params, Task, Training
from bellwether.models.least_squares import Moments
from bellwether.models.linear_graph import LinearValues
from bellwether.models.rows import value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Nothing to tune."""
    return {}


def fit(training: Training, params: Params) -> LinearValues:
    """Solve; of columns that say the same, each gets an equal part."""
    return LinearValues(outputs=Moments.of(value_rows(training)).solve(0.0))


LINEAR = Family(name="linear", tasks=frozenset({Task.REGRESS}), space=space, fit=fit, steps=True)
