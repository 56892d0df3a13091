"""Writes the ONNX nodes of layers that torch and ONNX both have.

Torch's own exporter needs onnxscript, and makes other nodes from release to release. What is written here is the same
for the same weights.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import nn

from bellwether.models.graph import constant

GATES: dict[type[nn.RNNBase], tuple[str, tuple[int, ...]]] = {
    nn.RNN: ("RNN", (0,)),
    nn.GRU: ("GRU", (1, 0, 2)),  # torch: reset, update, new; ONNX: update, reset, new
    nn.LSTM: ("LSTM", (0, 3, 1, 2)),  # torch: input, forget, cell, output; ONNX: input, output, forget, cell
}
"""The operator of each recurrent layer, and where torch keeps the gates that it reads."""


class Writer:
    """Nodes and constants of a graph, in the order they are added.

    >>> writer = Writer()
    >>> writer.add("Mul", writer.add("Neg", "features"), np.float32([2.0]))
    't1'
    >>> [node.op_type for node in writer.nodes], [c.name for c in writer.constants]
    (['Neg', 'Mul'], ['c0'])
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str | NDArray[np.generic], **attributes: object) -> str:
        """Add a node and the arrays among its inputs; returns the name of its (first) output."""
        named = [i if isinstance(i, str) else self._constant(i) for i in inputs]
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, named, [output], name=f"n{len(self.nodes)}", **attributes))
        return output

    def _constant(self, values: NDArray[np.generic]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(constant(name, values))
        return name


TINY = 1e-20
"""Parameters below this are written as zero. Decay takes unused ones towards it, and products with numbers below 1e-38
made a row of a GRU take twice its time."""


def array(tensor: torch.Tensor) -> NDArray[np.generic]:
    """A copy of a parameter or buffer."""
    found = np.array(tensor.detach().cpu().numpy())
    return np.where(np.abs(found) < TINY, np.zeros_like(found), found)


def integers(*values: int) -> NDArray[np.int64]:
    """Axes or a shape."""
    return np.array(values, np.int64)


def linear(writer: Writer, x: str, layer: nn.Linear) -> str:
    """``nn.Linear`` on the last axis."""
    found = writer.add("MatMul", x, np.ascontiguousarray(array(layer.weight).T))
    return found if layer.bias is None else writer.add("Add", found, array(layer.bias))


def gelu(writer: Writer, x: str) -> str:
    """``nn.GELU``: x/2 · (1 + erf(x/√2)), in the shape that onnxruntime makes one node of."""
    inner = writer.add("Erf", writer.add("Div", x, np.array(np.sqrt(2.0), np.float32)))
    half = writer.add("Mul", x, writer.add("Add", inner, np.array(1.0, np.float32)))
    return writer.add("Mul", half, np.array(0.5, np.float32))


def layer_norm(writer: Writer, x: str, layer: nn.LayerNorm) -> str:
    """``nn.LayerNorm`` on the last axis."""
    affine = [array(p) for p in (layer.weight, layer.bias) if p is not None]
    affine = affine or [np.ones(layer.normalized_shape, np.float32)]
    return writer.add("LayerNormalization", x, *affine, axis=-1, epsilon=layer.eps)


def some_rows(writer: Writer, x: str) -> tuple[str, str]:
    """Rows (n, columns), or one row of zeros where there are none, and the tensor that says how many there were.

    onnxruntime (1.31) ends the whole process where an LSTM or GRU is given no row.
    """
    rows = writer.add("Shape", x, start=0, end=1)
    missing = writer.add("Max", writer.add("Sub", integers(1), rows), integers(0))
    pads = writer.add("Concat", integers(0), missing, axis=0)
    return writer.add("Pad", x, pads, "", integers(0)), rows


def first_rows(writer: Writer, x: str, rows: str) -> str:
    """As many rows as there were."""
    return writer.add("Slice", x, integers(0), rows, integers(0))


def recurrent(writer: Writer, x: str, layers: nn.RNNBase) -> str:
    """``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``: states (time, rows, directions * hidden) of input (time, rows, width)."""
    for layer in range(layers.num_layers):
        x = _one_layer(writer, x, layers, layer)
    return x


def _one_layer(writer: Writer, x: str, layers: nn.RNNBase, layer: int) -> str:
    operator, order = GATES[type(layers)]
    ends = ("", "_reverse") if layers.bidirectional else ("",)

    def gates(name: str, end: str) -> NDArray[np.generic]:
        parts = np.split(array(getattr(layers, f"{name}_l{layer}{end}")), len(order))
        return np.concatenate([parts[k] for k in order])

    weights = [np.stack([gates(name, end) for end in ends]) for name in ("weight_ih", "weight_hh")]
    biases = np.stack([np.concatenate([gates(name, end) for name in ("bias_ih", "bias_hh")]) for end in ends])
    how: dict[str, object] = {"hidden_size": layers.hidden_size}
    how["direction"] = "bidirectional" if layers.bidirectional else "forward"
    if operator == "GRU":
        how["linear_before_reset"] = 1  # torch resets after the recurrent product
    states = writer.add(operator, x, *weights, biases, **how)  # (time, directions, rows, hidden)
    if not layers.bidirectional:
        return writer.add("Squeeze", states, integers(1))
    return writer.add("Reshape", writer.add("Transpose", states, perm=[0, 2, 1, 3]), integers(0, 0, -1))
