"""Nodes of an ONNX graph, one call an operator: what calibrators write their maps in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from bellwether.models.graph import constant

PREFIX = "calibration_"
"""What every name that calibration adds to a graph begins with."""


@dataclass(frozen=True)
class Steps:
    """Nodes and constants as they are added, one call an operator.

    >>> steps = Steps()
    >>> steps("Mul", steps("Log", "p"), np.array([2.0]))
    'calibration_2'
    >>> [node.op_type for node in steps.nodes]
    ['Log', 'Mul']
    """

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def __call__(self, operator: str, *inputs: str | NDArray[Any], **attributes: Any) -> str:
        """Add a node; returns the name of what it gives. Arrays become constants, floating ones float32."""
        names = [given if isinstance(given, str) else self._constant(given) for given in inputs]
        result = self._name()
        self.nodes.append(helper.make_node(operator, names, [result], **attributes))
        return result

    def _constant(self, values: NDArray[Any]) -> str:
        name = self._name()
        self.constants.append(constant(name, values.astype(np.float32) if values.dtype.kind == "f" else values))
        return name

    def _name(self) -> str:
        return f"{PREFIX}{len(self.nodes) + len(self.constants)}"


def share_nodes(steps: Steps, values: str, present: NDArray[np.bool_]) -> str:
    """`bellwether.calibration.base.shares` as nodes."""
    kept = steps("Mul", values, present.astype(np.float64))
    return steps("Div", kept, steps("ReduceSum", kept, np.array([1], np.int64), keepdims=1))
