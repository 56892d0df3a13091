"""Baseline: always the most frequent class of the training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bellwether.models.base import Family, Params, Task, Training
from bellwether.models.constant import Constant
from bellwether.models.rows import training_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Nothing to tune."""
    return {}


def fit(training: Training, params: Params) -> Constant:
    """Count the classes; of equally frequent ones the first wins."""
    rows = training_rows(training)
    winner = np.zeros((1, len(rows.classes.present)))
    winner[0, np.argmax(np.bincount(rows.y))] = 1.0
    return Constant(probabilities=rows.classes.widen(winner)[0], n_features=rows.x.shape[1])


MAJORITY = Family(name="majority", tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit, baseline=True)
