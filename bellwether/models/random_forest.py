"""Random forest: bagged trees on random subsets of features, kept shallow enough to serve in microseconds.

Breiman, "Random forests", Machine Learning 45 (2001).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from bellwether.models.base import Family, Fitted, Params, Task, Training
from bellwether.models.trees.forest import forest

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SHARE = 0.5
"""Rows each tree sees: half, drawn with replacement and in proportion to their weight, halves the time of a fit."""


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Size of the forest and of its trees, features tried at a split, and whether classes are balanced."""
    drawn = {
        "n_estimators": trial.suggest_int("random_forest.n_estimators", 20, 80, step=10),
        "max_depth": trial.suggest_int("random_forest.max_depth", 3, 9),
        "min_samples_leaf": trial.suggest_int("random_forest.min_samples_leaf", 5, 200, log=True),
        "max_features": trial.suggest_float("random_forest.max_features", 0.1, 0.4),
    }
    if task is Task.CLASSIFY:
        drawn["class_weight"] = trial.suggest_categorical("random_forest.class_weight", ["balanced", None])
    return drawn


def fit(training: Training, params: Params) -> Fitted:
    """Fit on one thread; several steps share their trees."""
    seen = max(1, round(SHARE * len(training.y)))
    makes = (partial(make, max_samples=seen) for make in (RandomForestClassifier, RandomForestRegressor))
    return forest(training, params, *makes)


DEFAULTS = {"n_estimators": 60, "max_depth": 7, "min_samples_leaf": 50, "max_features": 0.3, "class_weight": "balanced"}

RANDOM_FOREST = Family(name="random_forest", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True)
