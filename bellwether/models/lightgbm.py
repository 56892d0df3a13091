"""LightGBM: gradient boosting with leaf-wise trees on binned features, multiclass softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from bellwether.models.base import Family, Fitted, Floats, Ints, Params, Task
from bellwether.models.constant import only_class
from bellwether.models.rows import Classes, singles, training_rows
from bellwether.models.trees import Tree, boosted_graph, float32_below

if TYPE_CHECKING:
    from optuna import Trial

FIXED = {
    "objective": "multiclass",
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,  # otherwise chosen by a timing, which may differ from run to run
    "bagging_freq": 1,
    "verbosity": -1,
}


@dataclass(frozen=True, kw_only=True)
class FittedLightGBM:
    """A booster over the present classes."""

    booster: Any
    classes: Classes
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        return self.classes.widen(self.booster.predict(singles(x), num_threads=1))

    def graph(self) -> bytes:
        """The booster's trees and a softmax."""
        trees = [_tree(found["tree_structure"]) for found in self.booster.dump_model()["tree_info"]]
        return boosted_graph(trees, "BRANCH_LEQ", self.n_features, self.classes)


def space(trial: Trial) -> dict[str, Any]:
    """Rounds and rate, size of the trees, what each sees of rows and columns, shrinkage, and class balance."""
    return {
        "rounds": trial.suggest_int("lightgbm.rounds", 20, 120, log=True),
        "learning_rate": trial.suggest_float("lightgbm.learning_rate", 0.01, 0.3, log=True),
        "num_leaves": trial.suggest_int("lightgbm.num_leaves", 4, 31, log=True),
        "min_data_in_leaf": trial.suggest_int("lightgbm.min_data_in_leaf", 10, 300, log=True),
        "bagging_fraction": trial.suggest_float("lightgbm.bagging_fraction", 0.5, 1.0),
        "feature_fraction": trial.suggest_float("lightgbm.feature_fraction", 0.3, 1.0),
        "lambda_l2": trial.suggest_float("lightgbm.lambda_l2", 1e-3, 30.0, log=True),
        "balanced": trial.suggest_categorical("lightgbm.balanced", [True, False]),
    }


def fit(x: Floats, y: Ints, params: Params, n_classes: int, seed: int) -> Fitted:
    """Fit on one thread; ``balanced`` weighs rows so that the classes count alike."""
    rows = training_rows(x, y, n_classes)
    if constant := only_class(rows):
        return constant
    own = {name: value for name, value in params.items() if name not in ("rounds", "balanced")}
    settings = FIXED | own | {"num_class": len(rows.classes.present), "seed": seed}
    weight = rows.balanced if params["balanced"] else None
    data = lightgbm.Dataset(rows.x, rows.y, weight=weight, params=settings)
    booster = lightgbm.train(settings, data, num_boost_round=params["rounds"])
    return FittedLightGBM(booster=booster, classes=rows.classes, n_features=x.shape[1])


def _tree(root: dict[str, Any]) -> Tree:
    """Number the nodes of LightGBM's nested dump, root first."""
    nodes, left, right = [root], [], []
    for node in nodes:  # grows while it is walked
        inner = "split_index" in node
        left.append(len(nodes) if inner else -1)
        right.append(len(nodes) + 1 if inner else -1)
        nodes += [node["left_child"], node["right_child"]] if inner else []
    at = np.array([node["threshold"] if "split_index" in node else node["leaf_value"] for node in nodes])
    return Tree(
        feature=np.array([node.get("split_feature", 0) for node in nodes]),
        value=np.where(np.array(left) < 0, at.astype(np.float32), float32_below(at)),
        left=np.array(left),
        right=np.array(right),
    )


LIGHTGBM = Family(name="lightgbm", tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit)
