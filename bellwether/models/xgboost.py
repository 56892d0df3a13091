"""XGBoost: gradient boosting with depth-wise trees on histograms; softmax over classes, or squared loss on values.

Chen and Guestrin, "XGBoost: a scalable tree boosting system", KDD 2016.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost
from scipy.special import logit

from bellwether.models.base import Family, Floats, Params, Task, Training, Walk
from bellwether.models.rows import Singles
from bellwether.models.trees.boosting import Losses, Problem, boosted
from bellwether.models.trees.ensemble import Ensemble, Tree, sided

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

FIXED = {"tree_method": "hist", "nthread": 1, "verbosity": 0}
OURS = ("rounds", "balanced")
"""Parameters that are not the library's."""


@dataclass(frozen=True, kw_only=True)
class XGBoostMachine:
    """A booster; ``two`` if its one sum is the log odds of the second of two classes."""

    booster: Any
    targets: int
    two: bool

    def margins(self, x: Singles) -> Floats:
        """The booster's sums (n, targets)."""
        found = self.booster.predict(xgboost.DMatrix(x, nthread=1), output_margin=True).astype(np.float64)
        return sided(found.reshape(len(x), -1), self.two)

    def ensemble(self) -> Ensemble:
        """The trees of the booster's JSON model, which take turns over the targets."""
        learner = json.loads(self.booster.save_raw("json"))["learner"]
        model, facts = learner["gradient_booster"]["model"], learner["learner_model_param"]
        start = np.array(json.loads(facts["base_score"]), np.float64)
        base = sided(logit(start), self.two) if self.two else np.broadcast_to(start, self.targets)
        trees = zip(model["trees"], model["tree_info"], strict=True)
        return Ensemble(
            trees=tuple(_tree(found, owner, self.two) for found, owner in trees),
            test="BRANCH_LT",
            base=base,
            n_features=self.booster.num_features(),
        )

    def gain(self) -> Floats:
        """Total gain (columns,)."""
        found = self.booster.get_score(importance_type="total_gain")
        return np.array([found.get(f"f{k}", 0.0) for k in range(self.booster.num_features())])

    def explain(self, x: Singles) -> tuple[Floats, Floats]:
        """The booster's own Shapley values."""
        found = self.booster.predict(xgboost.DMatrix(x, nthread=1), pred_contribs=True).astype(np.float64)
        shares = sided(found.reshape(len(x), -1, x.shape[1] + 1).transpose(0, 2, 1), self.two)
        return shares[:, :-1], shares[0, -1]


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Most rounds and rate, size of the trees, what each sees of rows and columns, shrinkage, and class balance."""
    drawn = {
        "rounds": trial.suggest_int("xgboost.rounds", 20, 120, log=True),
        "learning_rate": trial.suggest_float("xgboost.learning_rate", 0.01, 0.3, log=True),
        "max_depth": trial.suggest_int("xgboost.max_depth", 2, 5),
        "min_child_weight": trial.suggest_float("xgboost.min_child_weight", 1.0, 100.0, log=True),
        "subsample": trial.suggest_float("xgboost.subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("xgboost.colsample_bytree", 0.3, 1.0),
        "lambda": trial.suggest_float("xgboost.lambda", 1e-2, 30.0, log=True),
    }
    if task is Task.CLASSIFY:
        drawn["balanced"] = trial.suggest_categorical("xgboost.balanced", [True, False])
    return drawn


def fit(training: Training, params: Params) -> Walk:
    """Count the rounds on the tail and fit them on all rows; one thread. Several steps: a tree each, in turn."""
    return boosted(training, params, XGBoost())


class XGBoost:
    """XGBoost as a `bellwether.models.trees.boosting.Library`."""

    def losses(self, early: Problem, tail: Problem, params: Params) -> Losses:
        """Log loss or root mean squared error, a round at a time."""
        matrices = [(_matrix(early), "early"), (_matrix(tail), "tail")]
        booster = xgboost.Booster(_settings(early, params), [matrix for matrix, _ in matrices])
        for k in range(params["rounds"]):
            booster.update(matrices[0][0], k)
            words = booster.eval_set(matrices, k).split("\t")[1:]
            loss, validation = (float(word.split(":")[1]) for word in words)
            yield loss, validation

    def machine(self, rows: Problem, params: Params, rounds: int) -> XGBoostMachine:
        """Fit so many rounds."""
        booster = xgboost.train(_settings(rows, params), _matrix(rows), num_boost_round=rounds)
        return XGBoostMachine(booster=booster, targets=rows.targets, two=rows.classes == 2)


def _matrix(rows: Problem) -> Any:
    return xgboost.DMatrix(rows.x, rows.y, weight=rows.weight, nthread=1)


def _settings(rows: Problem, params: Params) -> dict[str, Any]:
    own = {name: value for name, value in params.items() if name not in OURS}
    kind: dict[str, Any] = {"objective": "multi:softprob", "num_class": rows.classes}
    if rows.classes == 2:
        kind = {"objective": "binary:logistic"}
    elif not rows.classes:
        kind = {"objective": "reg:squarederror", "base_score": 0.0}  # the mean of standardised values
    return FIXED | own | kind | {"seed": rows.seed}


def _tree(found: dict[str, Any], owner: int, two: bool) -> Tree:
    """A tree of XGBoost's JSON model, whose ``split_conditions`` are thresholds and, in leaves, outputs."""
    value = np.array(found["split_conditions"], np.float32)
    return Tree(
        feature=np.array(found["split_indices"], np.int64),
        threshold=value,
        left=np.array(found["left_children"], np.int64),
        right=np.array(found["right_children"], np.int64),
        output=sided(value[:, None].astype(np.float64), two),
        target=owner,
    )


DEFAULTS = {
    "rounds": 60,
    "learning_rate": 0.05,
    "max_depth": 3,
    "min_child_weight": 10.0,
    "subsample": 0.8,
    "colsample_bytree": 0.7,
    "lambda": 1.0,
    "balanced": True,
}

XGBOOST = Family(name="xgboost", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True)
