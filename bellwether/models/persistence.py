"""Baseline: what was will be. The last known class again; or a value of 0, which is "no change".

It reads the last known class (`Reads.LABELS`, one row). For values it reads the last known change in the same place and
ignores it: the value of a level is its change, and of a return 0 says that the price stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from bellwether.models.base import Family, Fitted, Floats, Params, Reads, Task, Training
from bellwether.models.constant import ConstantValues
from bellwether.models.graph import INPUT, assemble, constant
from bellwether.models.rows import Classes, singles, training_rows, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True, kw_only=True)
class LastClass:
    """All probability to the class that a row's only column holds the position of.

    >>> LastClass(total=3).predict(np.array([[2.0], [0.0]])).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    total: int

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes); a position that is none counts as the nearest that is."""
        positions = np.rint(singles(x)[:, 0].clip(0, self.total - 1)).astype(np.int64)
        return np.asarray(np.eye(self.total)[positions], np.float64)

    def graph(self) -> bytes:
        """Compare the position with each class's own."""
        positions = np.arange(self.total)
        constants = [constant("positions", positions.astype(np.float32))]
        constants += [
            constant("first", np.zeros((), np.float32)),
            constant("last", np.full((), self.total - 1, np.float32)),
        ]
        nodes = [
            helper.make_node("Clip", [INPUT, "first", "last"], ["clipped"]),
            helper.make_node("Round", ["clipped"], ["position"]),
            helper.make_node("Equal", ["position", "positions"], ["same"]),
            helper.make_node("Cast", ["same"], ["present"], to=TensorProto.FLOAT),
        ]
        return assemble(nodes, constants, "present", 1, Classes(total=self.total, present=positions))


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Nothing to tune."""
    return {}


def fit(training: Training, params: Params) -> Fitted:
    """Nothing is learnt; the rows are checked."""
    if training.task is Task.CLASSIFY:
        training_rows(training)
        return LastClass(total=training.classes)
    rows = value_rows(training)
    return ConstantValues(values=np.zeros(training.steps), n_features=rows.x.shape[1])


PERSISTENCE = Family(
    name="persistence",
    tasks=frozenset(Task),
    space=space,
    fit=fit,
    baseline=True,
    reads=Reads.LABELS,
    steps=True,
)
