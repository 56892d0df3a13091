"""Trees as arrays, and their sum as an ONNX graph.

The libraries are read here through their own documented structures, one small function each beside their family,
because converters between them and ONNX were measured wrong: onnxmltools 1.16 turns a two-class ``multi:softprob``
of XGBoost 3.2 into probabilities that are off by up to 0.99, and skl2onnx 1.20 cannot read a multiclass
histogram gradient boosting of scikit-learn 1.9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from bellwether.models.base import Floats, Ints
from bellwether.models.graph import INPUT, assemble, assemble_values
from bellwether.models.rows import Classes, Singles


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree, node by node; node 0 is the root.

    Parameters
    ----------
    feature : int64 array of shape (nodes,)
        Column that an inner node reads.
    threshold : float32 array of shape (nodes,)
        What it is compared to.
    left, right : int64 arrays of shape (nodes,)
        Children: left where the test holds; -1 in a leaf.
    output : float64 array of shape (nodes, m)
        What a leaf adds to the targets ``target`` … ``target + m - 1``.
    target : int
    cover : float64 array of shape (nodes,), optional
        Weight of the training rows that came by a node; left out where the library explains itself.
    """

    feature: Ints
    threshold: Singles
    left: Ints
    right: Ints
    output: Floats
    target: int = 0
    cover: Floats | None = None


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Trees whose outputs are added up.

    Parameters
    ----------
    trees : tuple of Tree
    test : str
        What an inner node asks of its feature: ``BRANCH_LEQ`` or ``BRANCH_LT``.
    base : float64 array of shape (targets,)
        What the trees are added to.
    n_features : int
        Columns of a row.
    """

    trees: tuple[Tree, ...]
    test: str
    base: Floats
    n_features: int

    def node(self, scale: Floats | float = 1.0, shift: Floats | float = 0.0) -> NodeProto:
        """The ONNX node from ``features`` to ``margins`` (n, targets): ``shift + scale * sum``."""
        scales = np.broadcast_to(scale, self.base.shape)
        sizes = [len(tree.feature) for tree in self.trees]
        owner = np.repeat(np.arange(len(sizes)), sizes)
        number = np.concatenate([np.arange(size) for size in sizes])
        feature, threshold, left, right = (
            np.concatenate([getattr(tree, name) for tree in self.trees])
            for name in ("feature", "threshold", "left", "right")
        )
        leaf = left < 0
        attributes: dict[str, NDArray[Any]] = {
            "nodes_treeids": owner,
            "nodes_nodeids": number,
            "nodes_featureids": np.where(leaf, 0, feature),
            "nodes_values": np.where(leaf, np.float32(0), threshold),
            "nodes_truenodeids": np.where(leaf, 0, left),
            "nodes_falsenodeids": np.where(leaf, 0, right),
            "base_values": (np.broadcast_to(shift, scales.shape) + scales * self.base).astype(np.float32),
            **self._leaves(scales),
        }
        return helper.make_node(
            "TreeEnsembleRegressor",
            [INPUT],
            ["margins"],
            domain="ai.onnx.ml",
            n_targets=len(self.base),
            nodes_modes=[b"LEAF" if is_leaf else self.test.encode() for is_leaf in leaf],
            **{name: values.tolist() for name, values in attributes.items()},
        )

    def _leaves(self, scales: Floats) -> dict[str, NDArray[Any]]:
        """The attributes that say what each leaf adds to each of its tree's targets."""
        parts: list[tuple[NDArray[Any], ...]] = []
        for k, tree in enumerate(self.trees):
            width = tree.output.shape[1]
            leaves = np.flatnonzero(tree.left < 0)
            targets = np.tile(np.arange(tree.target, tree.target + width), len(leaves))
            weights = (tree.output[leaves].ravel() * scales[targets]).astype(np.float32)
            parts.append((np.full(len(targets), k), np.repeat(leaves, width), targets, weights))
        names = ("target_treeids", "target_nodeids", "target_ids", "target_weights")
        return {name: np.concatenate(found) for name, found in zip(names, zip(*parts, strict=True), strict=True)}


def class_graph(ensemble: Ensemble, classes: Classes, *, softmax: bool) -> bytes:
    """The graph of an ensemble whose sums are log odds (``softmax``) or probabilities of the present classes."""
    link = helper.make_node("Softmax", ["margins"], ["present"], axis=-1)
    nodes = [ensemble.node(), *([link] if softmax else [])]
    return assemble(nodes, [], "present" if softmax else "margins", ensemble.n_features, classes)


def value_graph(ensemble: Ensemble, scale: Floats, shift: Floats) -> bytes:
    """The graph of an ensemble whose sums, times ``scale`` plus ``shift``, are the values (n, steps)."""
    return assemble_values([ensemble.node(scale, shift)], [], "margins", ensemble.n_features, len(ensemble.base))


def sklearn_tree(tree: Any, output: Floats, target: int = 0) -> Tree:
    """A ``sklearn.tree._tree.Tree``, whose leaves give ``output`` (nodes, m)."""
    return Tree(
        feature=np.asarray(tree.feature, np.int64),
        threshold=float32_below(tree.threshold),
        left=np.asarray(tree.children_left, np.int64),
        right=np.asarray(tree.children_right, np.int64),
        output=output,
        target=target,
        cover=np.asarray(tree.weighted_n_node_samples, np.float64),
    )


def sided(found: Floats, two: bool) -> Floats:
    """Sums (…, 1) that are the log odds of the second of ``two`` classes, shared by both (…, 2); others as they are.

    The softmax of the shares is the sigmoid of the log odds.

    >>> sided(np.array([[3.0]]), True), sided(np.array([[3.0]]), False)
    (array([[-1.5,  1.5]]), array([[3.]]))
    """
    return found * np.array([-0.5, 0.5]) if two else found


def float32_below(thresholds: NDArray[np.float64]) -> Singles:
    """The largest float32 that is not above each threshold.

    For float32 ``x``, ``x <= threshold`` and ``x <= float32_below(threshold)`` are the same; rounding to nearest
    can move a threshold up onto a value it is meant to separate.

    >>> float(np.float32(0.1)) > 0.1, float(float32_below(np.array([0.1]))[0]) <= 0.1
    (True, True)
    """
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
