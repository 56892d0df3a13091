"""ONNX graphs in the one shape that artefacts have: ``features`` in, ``probabilities`` or ``values`` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bellwether.models.base import LEVELS
from bellwether.models.rows import Classes

INPUT, OUTPUT = "features", "probabilities"
VALUES, QUANTILES = "values", "quantiles"
OPSETS = {"": 18, "ai.onnx.ml": 3}
"""Operator versions every graph declares: current enough for all we use, old enough for any onnxruntime since 1.14."""

IR_VERSION = 8


def assemble(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    result: str,
    n_features: int,
    classes: Classes,
) -> bytes:
    """Make a graph out of nodes that read ``features`` and write the probabilities of the present classes.

    Parameters
    ----------
    nodes, constants
        In the order they run; what they name.
    result : str
        The tensor (n, k) with the probabilities of ``classes.present``.
    n_features : int
        Width of the input.
    classes : Classes
        Columns of absent classes are added, all zero.

    Returns
    -------
    bytes
        float32 ``features`` (n, n_features) in, float32 ``probabilities`` (n, classes.total) out; checked.
    """
    places = np.zeros((len(classes.present), classes.total), np.float32)
    places[np.arange(len(classes.present)), classes.present] = 1.0
    if len(classes.present) == classes.total:
        last = helper.make_node("Identity", [result], [OUTPUT])
    else:
        last = helper.make_node("MatMul", [result, "places"], [OUTPUT])
        constants = [*constants, constant("places", places)]
    return _model([*nodes, last], constants, n_features, {OUTPUT: (classes.total,)})


def assemble_values(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    result: str,
    n_features: int,
    steps: int,
    quantiles: str | None = None,
) -> bytes:
    """Make a graph out of nodes that read ``features`` and write values.

    Parameters
    ----------
    result : str
        The tensor (n, steps) with the values.
    quantiles : str, optional
        The tensor (n, steps, levels) with their quantiles at `bellwether.models.base.LEVELS`.

    Returns
    -------
    bytes
        float32 ``features`` (n, n_features) in, float32 ``values`` and perhaps ``quantiles`` out; checked.
    """
    last = [helper.make_node("Identity", [result], [VALUES])]
    shapes: dict[str, tuple[int, ...]] = {VALUES: (steps,)}
    if quantiles is not None:
        last.append(helper.make_node("Identity", [quantiles], [QUANTILES]))
        shapes[QUANTILES] = (steps, len(LEVELS))
    return _model([*nodes, *last], constants, n_features, shapes)


def _model(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    n_features: int,
    outputs: Mapping[str, tuple[int, ...]],
) -> bytes:
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "bellwether",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", n_features])],
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, ["rows", *shape]) for k, shape in outputs.items()],
            list(constants),
        ),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS.items()],
        ir_version=IR_VERSION,
        producer_name="bellwether",
    )
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString()
    return serialised


def constant(name: str, values: NDArray[np.generic]) -> onnx.TensorProto:
    """A named array in a graph."""
    return numpy_helper.from_array(values, name)
