"""Soft vote: the weighted mean of what several families predict.

Source: Kittler, Hatef, Duin and Matas, "On combining classifiers", IEEE Transactions on Pattern Analysis and Machine
Intelligence 20 (1998): the sum rule. For values, Bates and Granger, "The combination of forecasts" (1969).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from bellwether.models.base import Family, Fitted, Floats, Params, Task, Training
from bellwether.models.compose import side_by_side
from bellwether.models.constant import only_class
from bellwether.models.graph import assemble, assemble_values, constant
from bellwether.models.members import LINEAR, OTHERS, fitted_members
from bellwether.models.rows import Classes, Rows, training_rows, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True, kw_only=True)
class SoftVote:
    """Fitted members and their weights (members,), which add up to one.

    ``columns`` is the number of classes, or of steps.
    """

    members: tuple[Fitted, ...]
    weights: Floats
    task: Task
    columns: int
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes), or values (n, steps)."""
        answers = np.stack([member.predict(x) for member in self.members])
        return np.tensordot(self.weights, answers, axes=1)

    def graph(self) -> bytes:
        """The members' graphs side by side, and their weighted sum."""
        nodes, constants, results = side_by_side(self.members)
        for k, (found, weight) in enumerate(zip(results, self.weights, strict=True)):
            constants.append(constant(f"weight_{k}", np.array([weight], np.float32)))
            nodes.append(helper.make_node("Mul", [found, f"weight_{k}"], [f"share_{k}"]))
        nodes.append(helper.make_node("Sum", [f"share_{k}" for k in range(len(results))], ["result"]))
        if self.task is Task.REGRESS:
            return assemble_values(nodes, constants, "result", self.n_features, self.columns)
        classes = Classes(total=self.columns, present=np.arange(self.columns))
        return assemble(nodes, constants, "result", self.n_features, classes)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """How much each member counts; 0 leaves it out, which the linear one never is."""
    linear = LINEAR[task]
    weights = {linear: trial.suggest_int(f"soft_vote.{linear}", 1, 3)}
    return weights | {name: trial.suggest_int(f"soft_vote.{name}", 0, 3) for name in OTHERS}


def fit(training: Training, params: Params) -> Fitted:
    """Fit the members. ``params`` are weights by family name: of any families that read one row's features."""
    rows = training_rows(training) if training.classes else value_rows(training)
    if isinstance(rows, Rows) and (fixed := only_class(rows)):
        return fixed
    chosen = {name: weight for name, weight in params.items() if weight > 0}
    members = fitted_members(training, chosen)
    weights = np.array(list(chosen.values()), np.float64)
    return SoftVote(
        members=members,
        weights=weights / weights.sum(),
        task=training.task,
        columns=training.classes or training.steps,
        n_features=rows.x.shape[1],
    )


DEFAULTS = {"logistic": 1, "ridge": 1, "extra_trees": 1, "lightgbm": 1, "xgboost": 0}

SOFT_VOTE = Family(
    name="soft_vote", tasks=frozenset({Task.CLASSIFY, Task.REGRESS}), space=space, fit=fit, defaults=DEFAULTS
)
