"""Extremely randomised trees: split points are drawn, not searched, which averages out more noise and fits faster.

Geurts, Ernst and Wehenkel (2006), "Extremely randomized trees", Machine Learning 63.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from bellwether.models.base import Family, Fitted, Params, Task, Training
from bellwether.models.trees.forest import forest

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Number and size of the trees, features tried at a split, and whether classes are balanced."""
    drawn = {
        "n_estimators": trial.suggest_int("extra_trees.n_estimators", 40, 160, step=20),
        "max_depth": trial.suggest_int("extra_trees.max_depth", 3, 10),
        "min_samples_leaf": trial.suggest_int("extra_trees.min_samples_leaf", 5, 200, log=True),
        "max_features": trial.suggest_float("extra_trees.max_features", 0.2, 1.0),
    }
    if task is Task.CLASSIFY:
        drawn["class_weight"] = trial.suggest_categorical("extra_trees.class_weight", ["balanced", None])
    return drawn


def fit(training: Training, params: Params) -> Fitted:
    """Fit on one thread, every tree on all rows; several steps share their trees."""
    return forest(training, params, ExtraTreesClassifier, ExtraTreesRegressor)


DEFAULTS = {
    "n_estimators": 100,
    "max_depth": 8,
    "min_samples_leaf": 50,
    "max_features": 0.5,
    "class_weight": "balanced",
}

EXTRA_TREES = Family(name="extra_trees", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True)
