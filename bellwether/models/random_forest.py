"""Random forest: bagged trees on random subsets of features, kept shallow enough to serve in microseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.ensemble import RandomForestClassifier

from bellwether.models.base import Family, Fitted, Floats, Ints, Params, Task
from bellwether.models.constant import only_class
from bellwether.models.rows import training_rows
from bellwether.models.sklearn_graph import FittedSklearn

if TYPE_CHECKING:
    from optuna import Trial

SHARE = 0.5
"""Rows each tree sees: half, drawn with replacement, halves the time of a fit."""


def space(trial: Trial) -> dict[str, Any]:
    """Size of the forest and of its trees, features tried at a split, and whether classes are balanced."""
    return {
        "n_estimators": trial.suggest_int("random_forest.n_estimators", 20, 80, step=10),
        "max_depth": trial.suggest_int("random_forest.max_depth", 3, 9),
        "min_samples_leaf": trial.suggest_int("random_forest.min_samples_leaf", 5, 200, log=True),
        "max_features": trial.suggest_float("random_forest.max_features", 0.1, 0.4),
        "class_weight": trial.suggest_categorical("random_forest.class_weight", ["balanced", None]),
    }


def fit(x: Floats, y: Ints, params: Params, n_classes: int, seed: int) -> Fitted:
    """Fit on one thread."""
    rows = training_rows(x, y, n_classes)
    if constant := only_class(rows):
        return constant
    model = RandomForestClassifier(**params, max_samples=SHARE, n_jobs=1, random_state=seed)
    return FittedSklearn(estimator=model.fit(rows.x, rows.y), classes=rows.classes, n_features=x.shape[1])


RANDOM_FOREST = Family(name="random_forest", tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit)
