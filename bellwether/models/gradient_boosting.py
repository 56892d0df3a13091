"""Gradient boosting as Friedman wrote it down: depth-wise trees on exact split points, a random part of the rows each.

Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29 (2001), and
"Stochastic gradient boosting", Computational Statistics & Data Analysis 38 (2002). The slowest of the boosting
families to fit; `hist_gradient_boosting` bins the features first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_softmax
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from bellwether.models.base import Family, Floats, Params, Task, Training, Walk
from bellwether.models.rows import Singles
from bellwether.models.trees.boosting import Losses, Problem, boosted
from bellwether.models.trees.ensemble import Ensemble, sided, sklearn_tree
from bellwether.models.trees.shapley import explained

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

OURS = ("rounds", "balanced")
"""Parameters that are not the library's."""

AT_ONCE = 5
"""Rounds between two looks at the tail."""


@dataclass(frozen=True, kw_only=True)
class GradientBoostingMachine:
    """A fitted estimator; ``two`` if its one sum is the log odds of the second of two classes."""

    estimator: Any
    two: bool

    def margins(self, x: Singles) -> Floats:
        """The estimator's sums (n, targets)."""
        return sided(_sums(self.estimator, x), self.two)

    def ensemble(self) -> Ensemble:
        """The trees, times the learning rate."""
        stages, rate = self.estimator.estimators_, self.estimator.learning_rate
        row = np.zeros((1, self.estimator.n_features_in_), np.float32)
        base = (_sums(self.estimator, row) - _added(self.estimator, stages, row))[0]
        return Ensemble(
            trees=tuple(
                sklearn_tree(found.tree_, sided(rate * found.tree_.value[:, :, 0], self.two), target)
                for stage in stages
                for target, found in enumerate(stage)
            ),
            test="BRANCH_LEQ",
            base=sided(base, self.two),
            n_features=self.estimator.n_features_in_,
        )

    def gain(self) -> Floats:
        """Mean fall of the impurity (columns,)."""
        return np.asarray(self.estimator.feature_importances_, np.float64)

    def explain(self, x: Singles) -> tuple[Floats, Floats]:
        """Shapley values of the trees."""
        return explained(self.ensemble(), x)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Most rounds and rate, size of the trees, what each sees of rows and columns, and class balance."""
    drawn = {
        "rounds": trial.suggest_int("gradient_boosting.rounds", 20, 80, log=True),
        "learning_rate": trial.suggest_float("gradient_boosting.learning_rate", 0.01, 0.3, log=True),
        "max_depth": trial.suggest_int("gradient_boosting.max_depth", 2, 4),
        "min_samples_leaf": trial.suggest_int("gradient_boosting.min_samples_leaf", 10, 300, log=True),
        "subsample": trial.suggest_float("gradient_boosting.subsample", 0.2, 0.6),
        "max_features": trial.suggest_float("gradient_boosting.max_features", 0.1, 0.4),
    }
    if task is Task.CLASSIFY:
        drawn["balanced"] = trial.suggest_categorical("gradient_boosting.balanced", [True, False])
    return drawn


def fit(training: Training, params: Params) -> Walk:
    """Count the rounds on the tail and fit them on all rows; one thread."""
    return boosted(training, params, GradientBoosting())


class GradientBoosting:
    """scikit-learn's gradient boosting as a `bellwether.models.trees.boosting.Library`."""

    def losses(self, early: Problem, tail: Problem, params: Params) -> Losses:
        """Log loss or mean squared error, a few rounds at a time."""
        estimator = _estimator(early, params).set_params(warm_start=True)
        sums: list[Floats] = []
        for done in range(0, params["rounds"], AT_ONCE):
            estimator.set_params(n_estimators=min(done + AT_ONCE, params["rounds"]))
            estimator.fit(early.x, early.y.ravel(), early.weight)
            stages = estimator.estimators_
            if not done:
                sums = [_sums(estimator, rows.x) - _added(estimator, stages, rows.x) for rows in (early, tail)]
            for k in range(done, len(stages)):
                new = (_added(estimator, stages[k : k + 1], rows.x) for rows in (early, tail))
                sums = [before + added for before, added in zip(sums, new, strict=True)]
                yield _loss(sums[0], early), _loss(sums[1], tail)

    def machine(self, rows: Problem, params: Params, rounds: int) -> GradientBoostingMachine:
        """Fit so many rounds."""
        estimator = _estimator(rows, params).set_params(n_estimators=rounds).fit(rows.x, rows.y.ravel(), rows.weight)
        return GradientBoostingMachine(estimator=estimator, two=rows.classes == 2)


def _estimator(rows: Problem, params: Params) -> Any:
    own = {name: value for name, value in params.items() if name not in OURS}
    if own["subsample"] * len(rows.x) < 1:  # a share of one row is none
        own["subsample"] = 1.0
    kind = GradientBoostingClassifier if rows.classes else GradientBoostingRegressor
    return kind(**own, random_state=rows.seed)


def _sums(estimator: Any, x: Singles) -> Floats:
    """The estimator's sums (n, trees a round)."""
    answer = getattr(estimator, "decision_function", estimator.predict)
    return np.asarray(answer(x), np.float64).reshape(len(x), -1)


def _added(estimator: Any, stages: Any, x: Singles) -> Floats:
    """What these rounds of the estimator add to the sums (n, trees a round)."""
    found = [np.column_stack([tree.predict(x) for tree in stage]) for stage in stages]
    return np.asarray(estimator.learning_rate * np.sum(found, axis=0), np.float64)


def _loss(sums: Floats, rows: Problem) -> float:
    """Weighted log loss, or mean squared error."""
    if not rows.classes:
        return float(np.average((sums[:, 0] - rows.y[:, 0]) ** 2, weights=rows.weight))
    logs = log_softmax(sided(sums, rows.classes == 2), axis=1)
    return float(-np.average(logs[np.arange(len(logs)), rows.y], weights=rows.weight))


DEFAULTS = {
    "rounds": 50,
    "learning_rate": 0.05,
    "max_depth": 3,
    "min_samples_leaf": 50,
    "subsample": 0.4,
    "max_features": 0.3,
    "balanced": True,
}

GRADIENT_BOOSTING = Family(name="gradient_boosting", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS)
