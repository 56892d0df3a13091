"""Standardised columns within bounds, in a graph: what models without a scale of their own read."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from bellwether.models.base import Floats
from bellwether.models.graph import INPUT, constant
from bellwether.models.heads import Nodes
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import Singles

LIMIT = 5.0
"""Standard deviations at which a column ends: one freak row cannot throw the weights, nor an answer."""


def standardised(x: Singles, scaler: Scaler) -> Floats:
    """Standardise rows (n, columns) and cut them at `LIMIT`.

    >>> scaler = Scaler(mean=np.array([1.0]), scale=np.array([2.0]))
    >>> standardised(np.array([[3.0], [100.0]], np.float32), scaler).tolist()
    [[1.0], [5.0]]
    """
    return np.clip(scaler(x), -LIMIT, LIMIT)


def standardised_nodes(scaler: Scaler) -> Nodes:
    """What writes the same, float64 (n, columns), to the tensor ``standard``.

    In float64: what is left of a price after its mean has few digits in float32.
    """
    nodes = [
        helper.make_node("Cast", [INPUT], ["exact_columns"], to=TensorProto.DOUBLE),
        helper.make_node("Sub", ["exact_columns", "column_mean"], ["centred"]),
        helper.make_node("Div", ["centred", "column_scale"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "lowest", "highest"], ["standard"]),
    ]
    constants = [
        constant("column_mean", scaler.mean),
        constant("column_scale", scaler.scale),
        constant("lowest", np.array(-LIMIT)),
        constant("highest", np.array(LIMIT)),
    ]
    return nodes, constants


def rounded(tensor: str, result: str) -> onnx.NodeProto:
    """Round a float64 tensor to the float32 that a graph gives."""
    return helper.make_node("Cast", [tensor], [result], to=TensorProto.FLOAT)
