"""Calibration as nodes of an ONNX graph, so that a calibrated model is one graph like any other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from bellwether.calibration.base import FittedCalibrator, Flags
from bellwether.errors import ModelError
from bellwether.models.graph import OUTPUT, constant

PREFIX = "calibration_"
"""What every name that calibration adds to a graph begins with."""

BEFORE = f"{PREFIX}input"


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


def share_nodes(steps: Steps, values: str, present: Flags) -> str:
    """`bellwether.calibration.base.shares` as nodes."""
    kept = steps("Mul", values, present.astype(np.float64))
    return steps("Div", kept, steps("ReduceSum", kept, np.array([1], np.int64), keepdims=1))


def calibrated_graph(graph: bytes, calibrator: FittedCalibrator) -> bytes:
    """Append a calibrator to a model's graph.

    Parameters
    ----------
    graph : bytes
        float32 ``features`` in, float32 ``probabilities`` (n, classes) out.
    calibrator : FittedCalibrator

    Returns
    -------
    bytes
        The same names and shapes in and out, checked. The same arguments give the same bytes.

    Raises
    ------
    ModelError
        The graph is not one, gives no ``probabilities``, or is calibrated already.

    Examples
    --------
    >>> from bellwether.calibration import restored
    >>> from bellwether.models.constant import Constant
    >>> model = Constant(probabilities=np.array([0.2, 0.8]), n_features=3)
    >>> sharper = restored({"calibrator": "temperature", "temperature": 0.5, "present": [True, True]})
    >>> found = onnx.load_from_string(calibrated_graph(model.graph(), sharper)).graph
    >>> found.input[0].name, found.output[0].name
    ('features', 'probabilities')
    """
    model = _parsed(graph)
    for node in model.graph.node:
        node.input[:] = [BEFORE if name == OUTPUT else name for name in node.input]
        node.output[:] = [BEFORE if name == OUTPUT else name for name in node.output]
    steps = Steps()
    result = calibrator.nodes(steps, BEFORE)
    model.graph.node.extend([*steps.nodes, helper.make_node("Identity", [result], [OUTPUT])])
    model.graph.initializer.extend(steps.constants)
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString()
    return serialised


def _parsed(graph: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_from_string(graph)
    except Exception as error:  # protobuf's own class, which onnx does not name
        raise ModelError(f"these {len(graph)} bytes are not an ONNX graph ({error}): give a classifier's") from error
    given = [output.name for output in model.graph.output]
    if given != [OUTPUT]:
        raise ModelError(f"the graph gives {given} and calibration wants {OUTPUT}: only classifiers are calibrated")
    if any(name == BEFORE for node in model.graph.node for name in node.output):
        raise ModelError("the graph is calibrated already: give the one of the model itself")
    return model
