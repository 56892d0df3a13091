"""Histogram gradient boosting of scikit-learn: leaf-wise trees on binned features, Newton steps.

Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29 (2001); binned as by
Ke et al., "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS 2017.

The features are binned here. Given sample weights, scikit-learn 1.9 looks for each of 255 x columns bin edges with a
sort of its own: nine tenths of the time that 60 rounds on 10,000 rows of 17 columns took, again at every warm start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bellwether.models.base import Family, Floats, Params, Task, Training, Walk
from bellwether.models.rows import Singles
from bellwether.models.trees.boosting import PATIENCE, Losses, Problem, boosted
from bellwether.models.trees.ensemble import Ensemble, Tree, sided
from bellwether.models.trees.shapley import explained

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

OURS = ("rounds", "balanced")
"""Parameters that are not the library's."""

AT_ONCE = 10
"""Rounds between two looks at the tail: every fit bins the rows again."""


BINS = 255


@dataclass(frozen=True)
class Bins:
    """Where each column is cut: the largest value of every bin but the last."""

    edges: tuple[Singles, ...]

    @classmethod
    def of(cls, x: Singles) -> Bins:
        """One bin a value, or bins of as many rows where there are more than `BINS` values."""
        return cls(tuple(_edges(column) for column in x.T))

    def codes(self, x: Singles) -> Singles:
        """The number of the bin that each value is in.

        >>> Bins((np.array([1.0, 5.0], np.float32),)).codes(np.array([[0.5], [1.0], [2.0], [9.0]], np.float32)).T
        array([[0., 0., 1., 2.]], dtype=float32)
        """
        columns = zip(self.edges, x.T, strict=True)
        return np.column_stack([np.searchsorted(edges, column) for edges, column in columns]).astype(np.float32)


def _edges(column: Singles) -> Singles:
    values = np.unique(column)
    if len(values) > BINS:
        values = np.unique(np.quantile(column, np.arange(1, BINS + 1) / BINS, method="lower"))
    return values[:-1]


@dataclass(frozen=True, kw_only=True)
class HistGradientBoostingMachine:
    """An estimator fitted on bins; ``two`` if its one sum is the log odds of the second of two classes."""

    estimator: Any
    bins: Bins
    two: bool

    def margins(self, x: Singles) -> Floats:
        """The estimator's sums (n, targets)."""
        answer = getattr(self.estimator, "decision_function", self.estimator.predict)
        with threadpool_limits(1):  # it has no setting of its own
            return sided(np.asarray(answer(self.bins.codes(x)), np.float64).reshape(len(x), -1), self.two)

    def ensemble(self) -> Ensemble:
        """The trees, whose leaves hold the learning rate already."""
        return Ensemble(
            trees=tuple(
                _tree(found.nodes, self.bins, target, self.two)
                for stage in self.estimator._predictors  # nothing public has the nodes
                for target, found in enumerate(stage)
            ),
            test="BRANCH_LEQ",
            base=sided(self.estimator._baseline_prediction[0], self.two),
            n_features=self.estimator.n_features_in_,
        )

    def gain(self) -> Floats:
        """Total gain (columns,)."""
        nodes = np.concatenate([found.nodes for stage in self.estimator._predictors for found in stage])
        inner = nodes[nodes["is_leaf"] == 0]
        return np.bincount(inner["feature_idx"], inner["gain"], self.estimator.n_features_in_).astype(np.float64)

    def explain(self, x: Singles) -> tuple[Floats, Floats]:
        """Shapley values of the trees, whose covers are numbers of rows."""
        return explained(self.ensemble(), x)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Most rounds and rate, size of the trees, what a split sees of the columns, shrinkage, and class balance."""
    drawn = {
        "rounds": trial.suggest_int("hist_gradient_boosting.rounds", 20, 120, log=True),
        "learning_rate": trial.suggest_float("hist_gradient_boosting.learning_rate", 0.01, 0.3, log=True),
        "max_leaf_nodes": trial.suggest_int("hist_gradient_boosting.max_leaf_nodes", 4, 31, log=True),
        "min_samples_leaf": trial.suggest_int("hist_gradient_boosting.min_samples_leaf", 10, 300, log=True),
        "max_features": trial.suggest_float("hist_gradient_boosting.max_features", 0.2, 1.0),
        "l2_regularization": trial.suggest_float("hist_gradient_boosting.l2_regularization", 1e-3, 30.0, log=True),
    }
    if task is Task.CLASSIFY:
        drawn["balanced"] = trial.suggest_categorical("hist_gradient_boosting.balanced", [True, False])
    return drawn


def fit(training: Training, params: Params) -> Walk:
    """Count the rounds on the tail and fit them on all rows; one thread."""
    return boosted(training, params, HistGradientBoosting())


class HistGradientBoosting:
    """scikit-learn's histogram gradient boosting as a `bellwether.models.trees.boosting.Library`."""

    def losses(self, early: Problem, tail: Problem, params: Params) -> Losses:
        """Log loss or half the mean squared error, some rounds at a time."""
        most = params["rounds"]
        watching = {"warm_start": True, "early_stopping": True, "n_iter_no_change": most + PATIENCE}  # we stop
        estimator, bins = _estimator(early, params).set_params(**watching), Bins.of(early.x)
        for done in range(0, most, AT_ONCE):
            estimator.set_params(max_iter=min(done + AT_ONCE, most))
            _fit(estimator, early, bins, X_val=bins.codes(tail.x), y_val=tail.y.ravel(), sample_weight_val=tail.weight)
            scores = zip(estimator.train_score_, estimator.validation_score_, strict=True)
            for loss, validation in list(scores)[done + 1 :]:  # the first is before any round
                yield -loss, -validation

    def machine(self, rows: Problem, params: Params, rounds: int) -> HistGradientBoostingMachine:
        """Fit so many rounds."""
        estimator = _estimator(rows, params).set_params(max_iter=rounds, early_stopping=False)
        _fit(estimator, rows, bins := Bins.of(rows.x))
        return HistGradientBoostingMachine(estimator=estimator, bins=bins, two=rows.classes == 2)


def _estimator(rows: Problem, params: Params) -> Any:
    own = {name: value for name, value in params.items() if name not in OURS}
    kind = HistGradientBoostingClassifier if rows.classes else HistGradientBoostingRegressor
    return kind(**own, random_state=rows.seed)


def _fit(estimator: Any, rows: Problem, bins: Bins, **tail: object) -> None:
    estimator.fit(bins.codes(rows.x), rows.y.ravel(), rows.weight, **tail)


def _tree(nodes: NDArray[Any], bins: Bins, target: int, two: bool) -> Tree:
    """A ``TreePredictor``'s nodes: numerical splits only, and rows have no missing values.

    A threshold between bins is the edge below it: ``code <= 3.5`` is ``x <= edges[3]``.
    """
    leaf = nodes["is_leaf"] == 1
    edges = [0.0 if n["is_leaf"] else bins.edges[n["feature_idx"]][int(n["num_threshold"])] for n in nodes]
    return Tree(
        feature=np.where(leaf, 0, nodes["feature_idx"]),
        threshold=np.array(edges, np.float32),
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        output=sided(nodes["value"][:, None], two),
        target=target,
        cover=nodes["count"].astype(np.float64),
    )


DEFAULTS = {
    "rounds": 60,
    "learning_rate": 0.05,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 50,
    "max_features": 0.7,
    "l2_regularization": 1.0,
    "balanced": True,
}

HIST_GRADIENT_BOOSTING = Family(
    name="hist_gradient_boosting", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS
)
