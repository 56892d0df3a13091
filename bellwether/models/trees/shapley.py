"""Shapley values of trees, for the libraries that do not give them.

Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature Machine
Intelligence 2 (2020): algorithm 2, "path dependent", which needs no rows but those the trees were grown on.
"""

from __future__ import annotations

import numpy as np

from bellwether.models.base import Floats
from bellwether.models.rows import Singles
from bellwether.models.trees.ensemble import Ensemble, Tree


def explained(ensemble: Ensemble, x: Singles) -> tuple[Floats, Floats]:
    """Contributions (n, columns, targets) and what they are added to (targets,).

    Parameters
    ----------
    ensemble : Ensemble
        Its trees have covers, and ask ``BRANCH_LEQ``.
    x : float32 array of shape (n, columns)

    >>> tree = Tree(
    ...     feature=np.array([1, 0, 0]), threshold=np.zeros(3, np.float32), left=np.array([1, -1, -1]),
    ...     right=np.array([2, -1, -1]), output=np.array([[0.0], [1.0], [4.0]]), cover=np.array([3.0, 2.0, 1.0]),
    ... )
    >>> only = Ensemble(trees=(tree,), test="BRANCH_LEQ", base=np.array([10.0]), n_features=2)
    >>> found, bias = explained(only, np.array([[0.0, 1.0]], np.float32))
    >>> bias.tolist(), found[0].round(9).tolist()  # a mean of 2 over the rows, and 2 more for the second column
    ([12.0], [[0.0], [2.0]])
    """
    from shap import TreeExplainer

    width = len(ensemble.base)
    bias = ensemble.base + sum((_mean(tree, width) for tree in ensemble.trees), np.zeros(width))
    form = {"trees": [_dictionary(tree, width) for tree in ensemble.trees]}
    explainer = TreeExplainer(
        form | {"internal_dtype": np.float64, "input_dtype": np.float32, "tree_output": "raw_value"}
    )
    found = explainer.shap_values(x, check_additivity=False)
    return np.asarray(found, np.float64).reshape(*x.shape, width), bias


def _wide(tree: Tree, width: int) -> Floats:
    """A tree's output over all targets (nodes, targets), zero where it adds nothing and in inner nodes."""
    out = np.zeros((len(tree.left), width))
    leaf = tree.left < 0
    out[leaf, tree.target : tree.target + tree.output.shape[1]] = tree.output[leaf]
    return out


def _mean(tree: Tree, width: int) -> Floats:
    """The mean output (targets,) over the rows the tree was grown on."""
    assert tree.cover is not None
    leaf = tree.left < 0
    return np.average(_wide(tree, width)[leaf], axis=0, weights=tree.cover[leaf])


def _dictionary(tree: Tree, width: int) -> dict[str, object]:
    """A tree as shap takes it. Its thresholds are compared in float64, so float32 ones keep their meaning."""
    return {
        "children_left": tree.left,
        "children_right": tree.right,
        "children_default": tree.left,
        "features": tree.feature,
        "thresholds": tree.threshold.astype(np.float64),
        "values": _wide(tree, width),
        "node_sample_weight": tree.cover,
    }
