"""Extremely randomised trees: split points are drawn, not searched, which averages out more noise and fits faster.

Geurts, Ernst and Wehenkel (2006), "Extremely randomized trees", Machine Learning 63.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.ensemble import ExtraTreesClassifier

from bellwether.models.base import Family, Fitted, Floats, Ints, Params, Task
from bellwether.models.constant import only_class
from bellwether.models.rows import training_rows
from bellwether.models.sklearn_graph import FittedSklearn

if TYPE_CHECKING:
    from optuna import Trial


def space(trial: Trial) -> dict[str, Any]:
    """Number and size of the trees, features tried at a split, and whether classes are balanced."""
    return {
        "n_estimators": trial.suggest_int("extra_trees.n_estimators", 40, 160, step=20),
        "max_depth": trial.suggest_int("extra_trees.max_depth", 3, 10),
        "min_samples_leaf": trial.suggest_int("extra_trees.min_samples_leaf", 5, 200, log=True),
        "max_features": trial.suggest_float("extra_trees.max_features", 0.2, 1.0),
        "class_weight": trial.suggest_categorical("extra_trees.class_weight", ["balanced", None]),
    }


def fit(x: Floats, y: Ints, params: Params, n_classes: int, seed: int) -> Fitted:
    """Fit on one thread, every tree on all rows."""
    rows = training_rows(x, y, n_classes)
    if constant := only_class(rows):
        return constant
    model = ExtraTreesClassifier(**params, n_jobs=1, random_state=seed).fit(rows.x, rows.y)
    return FittedSklearn(estimator=model, classes=rows.classes, n_features=x.shape[1])


EXTRA_TREES = Family(name="extra_trees", tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit)
