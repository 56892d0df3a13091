"""Models that give every row the same answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import helper

from bellwether.models.base import Floats
from bellwether.models.graph import INPUT, assemble, assemble_values, constant
from bellwether.models.rows import Classes, Rows, singles


@dataclass(frozen=True, kw_only=True)
class Constant:
    """Every row gets ``probabilities`` (classes,). What the baselines fit, and any family that saw one class only."""

    probabilities: Floats
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        return np.tile(self.probabilities, (len(singles(x)), 1))

    def graph(self) -> bytes:
        """The row times zero, plus the probabilities."""
        total = len(self.probabilities)
        constants = [
            constant("zeros", np.zeros((self.n_features, total), np.float32)),
            constant("fixed", self.probabilities.astype(np.float32)),
        ]
        node = helper.make_node("Gemm", [INPUT, "zeros", "fixed"], ["present"])
        return assemble([node], constants, "present", self.n_features, Classes(total=total, present=np.arange(total)))


@dataclass(frozen=True, kw_only=True)
class ConstantValues:
    """Every row gets ``values`` (steps,)."""

    values: Floats
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Values (n, steps)."""
        return np.tile(self.values, (len(singles(x)), 1))

    def graph(self) -> bytes:
        """The row times zero, plus the values."""
        steps = len(self.values)
        constants = [
            constant("zeros", np.zeros((self.n_features, steps), np.float32)),
            constant("fixed", self.values.astype(np.float32)),
        ]
        node = helper.make_node("Gemm", [INPUT, "zeros", "fixed"], ["result"])
        return assemble_values([node], constants, "result", self.n_features, steps)


def only_class(rows: Rows) -> Constant | None:
    """The model of rows that all have one class, which leaves a library nothing to learn; None if there are more."""
    if len(rows.classes.present) > 1:
        return None
    return Constant(probabilities=rows.classes.widen(np.ones((1, 1)))[0], n_features=rows.x.shape[1])
