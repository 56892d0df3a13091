"""Ridge regression: least squares that keeps coefficients small, on standardised columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bellwether.models.base import Family, Params, Task, Training
from bellwether.models.least_squares import Moments
from bellwether.models.linear_graph import LinearValues
from bellwether.models.rows import value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Strength of the penalty per row, so that it means the same on few rows and on many; and the rows shown.

    At ``alpha`` 1 the coefficient of a column that is like no other is half that of least squares.
    """
    return {
        "alpha": trial.suggest_float("ridge.alpha", 1e-4, 1e2, log=True),
        "lookback": trial.suggest_categorical("ridge.lookback", [1, 3, 6, 12]),
    }


def fit(training: Training, params: Params) -> LinearValues:
    """Solve; the seed is not used."""
    return LinearValues(outputs=Moments.of(value_rows(training)).solve(params["alpha"]))


DEFAULTS = {"alpha": 0.1, "lookback": 1}

RIDGE = Family(name="ridge", tasks=frozenset({Task.REGRESS}), space=space, fit=fit, defaults=DEFAULTS, steps=True)
