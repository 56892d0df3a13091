"""XGBoost: gradient boosting with depth-wise trees on histograms, multiclass softmax."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from bellwether.models.base import Family, Fitted, Floats, Ints, Params, Task
from bellwether.models.constant import only_class
from bellwether.models.rows import Classes, singles, training_rows
from bellwether.models.trees import Tree, boosted_graph

if TYPE_CHECKING:
    from optuna import Trial

FIXED = {
    "objective": "multi:softprob",
    "tree_method": "hist",
    "base_score": 0.0,  # no starting margin: the trees are the whole model
    "nthread": 1,
    "verbosity": 0,
}


@dataclass(frozen=True, kw_only=True)
class FittedXGBoost:
    """A booster over the present classes."""

    booster: Any
    classes: Classes
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        return self.classes.widen(self.booster.predict(xgboost.DMatrix(singles(x), nthread=1)))

    def graph(self) -> bytes:
        """The booster's trees and a softmax."""
        model = json.loads(self.booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
        return boosted_graph([_tree(found) for found in model["trees"]], "BRANCH_LT", self.n_features, self.classes)


def space(trial: Trial) -> dict[str, Any]:
    """Rounds and rate, size of the trees, what each sees of rows and columns, shrinkage, and class balance."""
    return {
        "rounds": trial.suggest_int("xgboost.rounds", 20, 120, log=True),
        "learning_rate": trial.suggest_float("xgboost.learning_rate", 0.01, 0.3, log=True),
        "max_depth": trial.suggest_int("xgboost.max_depth", 2, 5),
        "min_child_weight": trial.suggest_float("xgboost.min_child_weight", 1.0, 100.0, log=True),
        "subsample": trial.suggest_float("xgboost.subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("xgboost.colsample_bytree", 0.3, 1.0),
        "lambda": trial.suggest_float("xgboost.lambda", 1e-2, 30.0, log=True),
        "balanced": trial.suggest_categorical("xgboost.balanced", [True, False]),
    }


def fit(x: Floats, y: Ints, params: Params, n_classes: int, seed: int) -> Fitted:
    """Fit on one thread; ``balanced`` weighs rows so that the classes count alike."""
    rows = training_rows(x, y, n_classes)
    if constant := only_class(rows):
        return constant
    own = {name: value for name, value in params.items() if name not in ("rounds", "balanced")}
    settings = FIXED | own | {"num_class": len(rows.classes.present), "seed": seed}
    weight = rows.balanced if params["balanced"] else None
    data = xgboost.DMatrix(rows.x, rows.y, weight=weight, nthread=1)
    booster = xgboost.train(settings, data, num_boost_round=params["rounds"])
    return FittedXGBoost(booster=booster, classes=rows.classes, n_features=x.shape[1])


def _tree(found: dict[str, Any]) -> Tree:
    """A tree of XGBoost's JSON model, whose ``split_conditions`` are thresholds and, in leaves, outputs."""
    return Tree(
        feature=np.array(found["split_indices"], np.int64),
        value=np.array(found["split_conditions"], np.float32),
        left=np.array(found["left_children"], np.int64),
        right=np.array(found["right_children"], np.int64),
    )


XGBOOST = Family(name="xgboost", tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit)
