"""Forests of scikit-learn: trees grown apart, whose leaves are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bellwether.models.base import Fitted, Floats, Params, Training
from bellwether.models.constant import only_class
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import Singles, training_rows, value_rows
from bellwether.models.trees.ensemble import Ensemble, sklearn_tree
from bellwether.models.trees.served import TreeClasses, TreeValues
from bellwether.models.trees.shapley import explained


class Make(Protocol):
    """An estimator class of scikit-learn, or a function in its place."""

    def __call__(self, **settings: Any) -> Any:
        """An estimator that is not yet fitted."""
        ...


@dataclass(frozen=True, kw_only=True)
class ForestMachine:
    """A fitted forest."""

    estimator: Any
    targets: int

    def margins(self, x: Singles) -> Floats:
        """The mean over the trees (n, targets)."""
        answer = getattr(self.estimator, "predict_proba", self.estimator.predict)
        return np.asarray(answer(x), np.float64).reshape(len(x), self.targets)

    def ensemble(self) -> Ensemble:
        """The trees, each leaf divided by their number."""
        trees = [found.tree_ for found in self.estimator.estimators_]
        outputs = (tree.value.reshape(tree.node_count, self.targets) / len(trees) for tree in trees)
        return Ensemble(
            trees=tuple(sklearn_tree(tree, output) for tree, output in zip(trees, outputs, strict=True)),
            test="BRANCH_LEQ",
            base=np.zeros(self.targets),
            n_features=self.estimator.n_features_in_,
        )

    def gain(self) -> Floats:
        """Mean fall of the impurity (columns,)."""
        return np.asarray(self.estimator.feature_importances_, np.float64)

    def explain(self, x: Singles) -> tuple[Floats, Floats]:
        """Shapley values of the trees."""
        return explained(self.ensemble(), x)


def forest(training: Training, params: Params, classifier: Make, regressor: Make) -> Fitted:
    """Fit on one thread; ``params["class_weight"]`` weighs rows so that classes count alike.

    Values are standardised, so that several steps count alike and small values are split at all: scikit-learn takes
    a variance below 2e-16 for none.

    Raises
    ------
    ModelError, BadFeatures
        As `training_rows` and `value_rows`.
    """
    settings = {k: v for k, v in params.items() if k != "class_weight"} | {"n_jobs": 1, "random_state": training.seed}
    if not training.classes:
        values = value_rows(training)
        scale = Scaler.of(values.y, values.weight)
        y = scale(values.y)
        estimator = regressor(**settings).fit(values.x, y[:, 0] if training.steps == 1 else y, values.weight)
        machine = ForestMachine(estimator=estimator, targets=training.steps)
        return TreeValues(machine=machine, scale=scale, n_features=values.x.shape[1])
    rows = training_rows(training)
    if constant := only_class(rows):
        return constant
    weight = rows.balanced if params["class_weight"] == "balanced" else rows.weight
    estimator = classifier(**settings).fit(rows.x, rows.y, weight)
    machine = ForestMachine(estimator=estimator, targets=len(rows.classes.present))
    return TreeClasses(machine=machine, classes=rows.classes, softmax=False, n_features=rows.x.shape[1])
