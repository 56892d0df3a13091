"""Several graphs as one: every part reads the same ``features``, and nodes of our own read what the parts write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import compose
from onnx.utils import Extractor

from bellwether.models.base import Fitted
from bellwether.models.graph import INPUT, OUTPUT, VALUES


@dataclass(frozen=True, kw_only=True)
class Part:
    """A graph taken apart, to be put into a larger one.

    Parameters
    ----------
    nodes, constants : lists
        In the order they run; what they name. All names begin with the part's prefix.
    result : str
        The tensor (n, classes) or (n, steps) the part writes.
    """

    nodes: list[onnx.NodeProto]
    constants: list[onnx.TensorProto]
    result: str


def part(graph: bytes, prefix: str) -> Part:
    """Take a model's graph apart; its quantiles, if it gives any, are left out.

    Parameters
    ----------
    graph : bytes
        What `bellwether.models.base.Fitted.graph` returns.
    prefix : str
        Goes before every name, so that parts of one graph do not clash.

    Examples
    --------
    >>> import numpy as np
    >>> from bellwether.models.constant import Constant
    >>> found = part(Constant(probabilities=np.array([0.25, 0.75]), n_features=3).graph(), "a/")
    >>> found.nodes[0].input[:2], found.result
    (['features', 'a/zeros'], 'a/probabilities')
    """
    model = onnx.load_from_string(graph)
    result = next(output.name for output in model.graph.output if output.name in (OUTPUT, VALUES))
    alone = Extractor(model).extract_model([INPUT], [result])
    named = compose.add_prefix(alone, prefix, rename_inputs=False).graph
    for node in named.node:
        node.input[:] = [INPUT if name == prefix + INPUT else name for name in node.input]
    return Part(nodes=list(named.node), constants=list(named.initializer), result=prefix + result)


def side_by_side(members: Sequence[Fitted]) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[str]]:
    """Nodes and constants of all members' graphs, and the tensor that each writes."""
    parts = [part(member.graph(), f"member_{k}/") for k, member in enumerate(members)]
    nodes = [node for found in parts for node in found.nodes]
    constants = [tensor for found in parts for tensor in found.constants]
    return nodes, constants, [found.result for found in parts]
