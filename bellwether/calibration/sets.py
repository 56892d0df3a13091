"""Sets of classes that hold the true one as often as promised.

A set takes the most probable classes until their probabilities add up to a radius, which is calibrated as that of an
interval is: by `bellwether.calibration.conformal.calibrated` on `set_scores` of the true classes.

Source: Romano, Sesia and Candès, "Classification with valid and adaptive coverage", NeurIPS (2020), without their
randomisation: sets are never empty and hold the true class a little more often than promised.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def class_radii(p: Floats) -> Floats:
    """The radius at which each class joins the set (n, classes): its probability and that of all more probable ones.

    Equal probabilities stand in class order.

    >>> class_radii(np.array([[0.25, 0.5, 0.25]])).tolist()
    [[0.75, 0.5, 1.0]]
    """
    order = np.argsort(-p, axis=1, kind="stable")
    found = np.empty_like(p)
    np.put_along_axis(found, order, np.cumsum(np.take_along_axis(p, order, axis=1), axis=1), axis=1)
    return found


def set_scores(p: Floats, y: Ints) -> Floats:
    """`class_radii` of the true classes (n,): what conformal calibration takes as scores.

    >>> set_scores(np.array([[0.25, 0.5, 0.25]]), np.array([0])).tolist()
    [0.75]
    """
    return np.asarray(class_radii(p)[np.arange(len(y)), y], np.float64)


def prediction_sets(p: Floats, radius: float) -> NDArray[np.bool_]:
    """Which classes are in the set of each row (n, classes); the most probable one always is.

    >>> prediction_sets(np.array([[0.25, 0.5, 0.25]]), 0.8).tolist()
    [[True, True, False]]
    """
    found = class_radii(p) <= radius
    found[np.arange(len(p)), p.argmax(axis=1)] = True
    return np.asarray(found, np.bool_)
