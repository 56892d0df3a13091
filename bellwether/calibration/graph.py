"""Calibration as nodes of an ONNX graph, so that a calibrated model is one graph like any other."""

from __future__ import annotations

import onnx
from onnx import helper

from bellwether.calibration.base import FittedCalibrator
from bellwether.calibration.steps import PREFIX, Steps
from bellwether.errors import ModelError
from bellwether.models.graph import OUTPUT

BEFORE = f"{PREFIX}input"


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
    >>> import numpy as np
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
