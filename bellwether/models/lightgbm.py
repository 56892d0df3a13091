"""LightGBM: gradient boosting with leaf-wise trees on binned features; softmax over classes, or a loss on values.

Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from bellwether.models.base import Family, Floats, Params, Task, Training, Walk
from bellwether.models.rows import Singles
from bellwether.models.trees.boosting import Losses, Problem, boosted
from bellwether.models.trees.ensemble import Ensemble, Tree, float32_below, sided

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

FIXED = {
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,  # otherwise chosen by a timing, which may differ from run to run
    "bagging_freq": 1,
    "verbosity": -1,
}
OURS = ("rounds", "balanced", "loss")
"""Parameters that are not the library's."""

OBJECTIVES: dict[str, dict[str, Any]] = {
    "squared": {"objective": "regression"},
    "huber": {"objective": "huber", "alpha": 1.0},
}
"""Losses on standardised values; Huber's is linear beyond one standard deviation."""


@dataclass(frozen=True, kw_only=True)
class LightGBMMachine:
    """A booster; ``two`` if its one sum is the log odds of the second of two classes."""

    booster: Any
    targets: int
    two: bool

    def margins(self, x: Singles) -> Floats:
        """The booster's sums (n, targets)."""
        found = self.booster.predict(x, raw_score=True, num_threads=1)
        return sided(np.asarray(found, np.float64).reshape(len(x), -1), self.two)

    def ensemble(self) -> Ensemble:
        """The booster's trees, which take turns over the targets; the first ones hold the base."""
        turns = 1 if self.two else self.targets
        trees = (found["tree_structure"] for found in self.booster.dump_model()["tree_info"])
        return Ensemble(
            trees=tuple(_tree(root, k % turns, self.two) for k, root in enumerate(trees)),
            test="BRANCH_LEQ",
            base=np.zeros(self.targets),
            n_features=self.booster.num_feature(),
        )

    def gain(self) -> Floats:
        """Total gain (columns,)."""
        return np.asarray(self.booster.feature_importance("gain"), np.float64)

    def explain(self, x: Singles) -> tuple[Floats, Floats]:
        """The booster's own Shapley values."""
        found = np.asarray(self.booster.predict(x, pred_contrib=True, num_threads=1))
        shares = sided(found.reshape(len(x), -1, x.shape[1] + 1).transpose(0, 2, 1), self.two)
        return shares[:, :-1], shares[0, -1]


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Most rounds and rate, size of the trees, what each sees of rows and columns, shrinkage; class balance or loss."""
    drawn = {
        "rounds": trial.suggest_int("lightgbm.rounds", 20, 120, log=True),
        "learning_rate": trial.suggest_float("lightgbm.learning_rate", 0.01, 0.3, log=True),
        "num_leaves": trial.suggest_int("lightgbm.num_leaves", 4, 31, log=True),
        "min_data_in_leaf": trial.suggest_int("lightgbm.min_data_in_leaf", 10, 300, log=True),
        "bagging_fraction": trial.suggest_float("lightgbm.bagging_fraction", 0.5, 1.0),
        "feature_fraction": trial.suggest_float("lightgbm.feature_fraction", 0.3, 1.0),
        "lambda_l2": trial.suggest_float("lightgbm.lambda_l2", 1e-3, 30.0, log=True),
    }
    if task is Task.CLASSIFY:
        drawn["balanced"] = trial.suggest_categorical("lightgbm.balanced", [True, False])
    else:
        drawn["loss"] = trial.suggest_categorical("lightgbm.loss", ["squared", "huber"])
    return drawn


def fit(training: Training, params: Params) -> Walk:
    """Count the rounds on the tail and fit them on all rows; one thread."""
    return boosted(training, params, LightGBM())


class LightGBM:
    """LightGBM as a `bellwether.models.trees.boosting.Library`."""

    def losses(self, early: Problem, tail: Problem, params: Params) -> Losses:
        """Log loss, or the loss on values, a round at a time; ends where no leaf can be split."""
        settings = _settings(early, params)
        data = _dataset(early, settings)
        booster = lightgbm.Booster(settings, data)
        booster.add_valid(data.create_valid(tail.x, tail.y.ravel(), weight=tail.weight), "tail")
        for _ in range(params["rounds"]):
            finished = booster.update()
            yield booster.eval_train()[0][2], booster.eval_valid()[0][2]
            if finished:
                return

    def machine(self, rows: Problem, params: Params, rounds: int) -> LightGBMMachine:
        """Fit so many rounds."""
        settings = _settings(rows, params)
        booster = lightgbm.train(settings, _dataset(rows, settings), num_boost_round=rounds)
        return LightGBMMachine(booster=booster, targets=rows.targets, two=rows.classes == 2)


def _dataset(rows: Problem, settings: dict[str, Any]) -> Any:
    return lightgbm.Dataset(rows.x, rows.y.ravel(), weight=rows.weight, params=settings)


def _settings(rows: Problem, params: Params) -> dict[str, Any]:
    own = {name: value for name, value in params.items() if name not in OURS}
    kind: dict[str, Any] = {"objective": "multiclass", "num_class": rows.classes}
    if rows.classes == 2:
        kind = {"objective": "binary"}
    elif not rows.classes:
        kind = OBJECTIVES[params["loss"]]
    if own["bagging_fraction"] * len(rows.x) < 1:  # a share of one row is none
        own["bagging_fraction"] = 1.0
    return FIXED | own | kind | {"seed": rows.seed}


def _tree(root: dict[str, Any], target: int, two: bool) -> Tree:
    """Number the nodes of LightGBM's nested dump, root first."""
    nodes, left, right = [root], [], []
    for node in nodes:  # grows while it is walked
        inner = "split_index" in node
        left.append(len(nodes) if inner else -1)
        right.append(len(nodes) + 1 if inner else -1)
        nodes += [node["left_child"], node["right_child"]] if inner else []
    output = np.array([[node.get("leaf_value", 0.0)] for node in nodes])
    return Tree(
        feature=np.array([node.get("split_feature", 0) for node in nodes]),
        threshold=float32_below(np.array([node.get("threshold", 0.0) for node in nodes])),
        left=np.array(left),
        right=np.array(right),
        output=sided(output, two),
        target=target,
    )


DEFAULTS = {
    "rounds": 60,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "bagging_fraction": 0.8,
    "feature_fraction": 0.7,
    "lambda_l2": 1.0,
    "balanced": True,
    "loss": "squared",
}

LIGHTGBM = Family(name="lightgbm", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS)
