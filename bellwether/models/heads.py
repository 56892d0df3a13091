"""From what a model computes of a row to what it answers: values as they are, or class probabilities by a softmax.

Models here compute in float64, between a float32 input and a float32 output, in Python and in the graph alike. A folded
scaler, a kernel's squared distances and columns that are nearly the same all have large terms that cancel: in float32
one matrix for prices near 1e5 and their means was measured 2e-3 of the outcome's spread off what was fitted, and a
scaler before it 3e-4; in float64 what is served is the model, to the rounding of the output, in the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper
from scipy.special import softmax

from bellwether.models.base import Floats
from bellwether.models.graph import INPUT, assemble, assemble_values
from bellwether.models.rows import Classes

Nodes = tuple[list[NodeProto], list[TensorProto]]
"""Nodes in the order they run, and the arrays they name."""


class Outputs(Protocol):
    """A function of rows that a graph can compute."""

    @property
    def shape(self) -> tuple[int, int]:
        """Columns it takes, outputs it gives."""
        ...

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Outputs (n, outputs) of rows (n, columns)."""
        ...

    def nodes(self, rows: str, result: str) -> Nodes:
        """What reads the float64 tensor ``rows`` and writes the float64 tensor ``result``."""
        ...


@dataclass(frozen=True, kw_only=True)
class ValuesOf:
    """A model whose values are the outputs."""

    outputs: Outputs

    def predict(self, x: Floats) -> Floats:
        """Values (n, steps)."""
        return self.outputs(x)

    def graph(self) -> bytes:
        """The outputs, rounded to float32."""
        nodes, constants = self.outputs.nodes(ROWS, "exact")
        return assemble_values([_double(), *nodes, _single("exact")], constants, "result", *self.outputs.shape)


@dataclass(frozen=True, kw_only=True)
class ClassesOf:
    """A model whose outputs are the logits of the present classes."""

    outputs: Outputs
    classes: Classes

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        return self.classes.widen(softmax(self.outputs(x), axis=1))

    def graph(self) -> bytes:
        """The outputs, their softmax, rounded to float32."""
        nodes, constants = self.outputs.nodes(ROWS, "logits")
        last = helper.make_node("Softmax", ["logits"], ["exact"], axis=-1)
        nodes = [_double(), *nodes, last, _single("exact")]
        return assemble(nodes, constants, "result", self.outputs.shape[0], self.classes)


ROWS = "rows"
"""The input as float64."""


def _double() -> NodeProto:
    return helper.make_node("Cast", [INPUT], [ROWS], to=TensorProto.DOUBLE)


def _single(tensor: str) -> NodeProto:
    return helper.make_node("Cast", [tensor], ["result"], to=TensorProto.FLOAT)
