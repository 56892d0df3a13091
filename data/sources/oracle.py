"""The best that can be done on the simulated market, by one who knows the distribution of the next return."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bellwether.errors import DataError
from bellwether.validation.metrics import macro_f1
from data.targets.action import ACTION_5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""How far decisions lean to rare classes: 0 not at all (most accurate), 1 by how rare they are."""


def oracle_probabilities(mean: Floats, sd: Floats, edges: Floats) -> Floats:
    """Probability of each class of a simple return whose log return is normal.

    Parameters
    ----------
    mean, sd : float64 arrays of shape (n,)
        Of the next log return, as the truth table has them.
    edges : float64 array of shape (k,)
        Simple returns above -1, rising, such as a target's.

    Returns
    -------
    float64 array of shape (n, k + 1)
        Rows sum to 1.

    >>> oracle_probabilities(np.array([0.0]), np.array([0.01]), np.array([-0.5, 0.0, 0.5])).round(3).tolist()
    [[0.0, 0.5, 0.5, 0.0]]
    """
    if not (edges > -1.0).all() or not (np.diff(edges) > 0.0).all():
        raise DataError(f"edges are simple returns above -1 and rise; got {edges.tolist()}")
    if not (sd > 0.0).all():
        raise DataError(f"sd must be positive; the smallest is {sd.min()}")
    below = ndtr((np.log1p(edges) - mean[:, None]) / sd[:, None])
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def decide(probabilities: Floats, alpha: float = 0.0) -> Ints:
    """The class with the largest p / prior**alpha, the prior being the mean of the probabilities over the rows.

    Alpha 0 maximises the expected accuracy. Macro-F1 counts every class the same, however rare, and alpha near 1
    does better there.

    >>> decide(np.array([[0.7, 0.3], [0.9, 0.1]]), alpha=1.0).tolist()
    [1, 0]
    """
    return np.argmax(probabilities / probabilities.mean(axis=0) ** alpha, axis=1)


def oracle_macro_f1(mean: Floats, sd: Floats, outcome: Floats, edges: Floats) -> float:
    """The best achievable macro-F1 on rows: that of the best `decide` over `ALPHAS`, chosen with hindsight.

    Parameters
    ----------
    mean, sd : float64 arrays of shape (n,)
        The truth at each row.
    outcome : float64 array of shape (n,)
        What followed, as simple returns; finite.
    edges : float64 array of shape (4,)
        Those the rows are labelled with, e.g. of a champion's contract.
    """
    y, probabilities = ACTION_5.encode(outcome, edges), oracle_probabilities(mean, sd, edges)
    return max(macro_f1(y, decide(probabilities, alpha), len(edges) + 1) for alpha in ALPHAS)
