"""Boosted trees as an ONNX graph: sum the leaves of each class, then softmax.

The boosting libraries are read here through their own documented dumps, one small function each beside their
family, because a converter between them and ONNX was measured wrong: onnxmltools 1.16 turns a two-class
``multi:softprob`` of XGBoost 3.2 into probabilities that are off by up to 0.99.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from bellwether.models.base import Ints
from bellwether.models.graph import INPUT, assemble
from bellwether.models.rows import Classes, Singles


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree, node by node; node 0 is the root.

    Parameters
    ----------
    feature : int64 array of shape (nodes,)
        Column that an inner node reads.
    value : float32 array of shape (nodes,)
        Threshold of an inner node, output of a leaf.
    left, right : int64 arrays of shape (nodes,)
        Children: left where the test holds; -1 in a leaf.
    """

    feature: Ints
    value: Singles
    left: Ints
    right: Ints


def boosted_graph(trees: Sequence[Tree], test: str, n_features: int, classes: Classes) -> bytes:
    """The graph of trees that take turns over the present classes: tree ``i`` adds to class ``i % k``.

    Parameters
    ----------
    test : str
        What an inner node asks of its feature: ``BRANCH_LEQ`` or ``BRANCH_LT``.
    """
    k = len(classes.present)
    sizes = [len(tree.value) for tree in trees]
    owner = np.repeat(np.arange(len(trees)), sizes)
    node = np.concatenate([np.arange(size) for size in sizes])
    feature, value, left, right = (
        np.concatenate([getattr(tree, name) for tree in trees]) for name in ("feature", "value", "left", "right")
    )
    leaf = left < 0
    attributes: dict[str, NDArray[Any]] = {
        "nodes_treeids": owner,
        "nodes_nodeids": node,
        "nodes_featureids": np.where(leaf, 0, feature),
        "nodes_values": np.where(leaf, np.float32(0), value),
        "nodes_truenodeids": np.where(leaf, 0, left),
        "nodes_falsenodeids": np.where(leaf, 0, right),
        "target_treeids": owner[leaf],
        "target_nodeids": node[leaf],
        "target_ids": owner[leaf] % k,
        "target_weights": value[leaf],
    }
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        ["margins"],
        domain="ai.onnx.ml",
        n_targets=k,
        nodes_modes=[b"LEAF" if is_leaf else test.encode() for is_leaf in leaf],
        **{name: values.tolist() for name, values in attributes.items()},
    )
    softmax = helper.make_node("Softmax", ["margins"], ["present"], axis=-1)
    return assemble([ensemble, softmax], [], "present", n_features, classes)


def float32_below(thresholds: NDArray[np.float64]) -> Singles:
    """The largest float32 that is not above each threshold.

    For float32 ``x``, ``x <= threshold`` and ``x <= float32_below(threshold)`` are the same; rounding to nearest
    can move a threshold up onto a value it is meant to separate.

    >>> float(np.float32(0.1)) > 0.1, float(float32_below(np.array([0.1]))[0]) <= 0.1
    (True, True)
    """
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
