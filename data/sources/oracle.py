"""The best that can be done on the simulated market, by one who knows the distribution of the next return."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bellwether.errors import DataError
from bellwether.validation.metrics import f1_of
from data.targets.action import ACTION_5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TINY = 1e-300  # keeps a class of probability zero out of 0 / 0
CLIMBS, LINE = 60, np.linspace(0.0, 1.0, 51)  # steps of the ascent, and where it looks along each


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

    Alpha 0 maximises the expected accuracy; alpha 1 follows what is unusual about a row. Macro-F1, which counts every
    class the same however rare, is served best between the two, and better still by `best_policy`.

    >>> decide(np.array([[0.7, 0.3], [0.9, 0.1]]), alpha=1.0).tolist()
    [1, 0]
    """
    prior = np.maximum(probabilities.mean(axis=0), TINY)
    best: Ints = np.argmax(probabilities / prior**alpha, axis=1)
    return best


def best_policy(probabilities: Floats) -> Floats:
    """How often to choose each class in each row so that the expected macro-F1 is as high as possible.

    Frank-Wolfe over confusion matrices, from drawing classes by their probabilities: from a policy with hits h and
    choices c of each class, per row, the macro-F1 rises fastest towards argmax (p - h / (prior + c)) / (prior + c);
    the best point on the way there is the next policy. No outcome is used, so nothing is chosen with hindsight.
    Where rows cannot be told apart, drawing stays best and scores 1 / classes, more than any fixed choice.

    Returns
    -------
    float64 array of shape (n, classes)
        Rows sum to 1; nearly all are one class for certain where the probabilities tell the rows apart.

    Source: Narasimhan et al., Consistent Multiclass Algorithms for Complex Performance Measures, ICML 2015.
    """
    prior, share, policy = np.maximum(probabilities.mean(axis=0), TINY), LINE[:, None], probabilities
    for _ in range(CLIMBS):
        hits, choices = _rates(probabilities, policy)
        slope = (probabilities - hits / (prior + choices)) / (prior + choices)
        there: Floats = np.eye(len(prior))[np.argmax(slope, axis=1)]
        new_hits, new_choices = _rates(probabilities, there)
        along = (1.0 - share) * hits + share * new_hits
        along /= prior + (1.0 - share) * choices + share * new_choices
        step = LINE[np.argmax(along.mean(axis=1))]
        if step == 0.0:
            break
        policy = (1.0 - step) * policy + step * there
    return policy


def oracle_macro_f1(mean: Floats, sd: Floats, outcome: Floats, edges: Floats) -> float:
    """The macro-F1 that `best_policy` has on rows, what a champion's is to be compared with.

    Parameters
    ----------
    mean, sd : float64 arrays of shape (n,)
        The truth at each row.
    outcome : float64 array of shape (n,)
        What followed, as simple returns; finite.
    edges : float64 array of shape (4,)
        Those the rows are labelled with, e.g. of a champion's contract.
    """
    policy = best_policy(oracle_probabilities(mean, sd, edges))
    counts = np.eye(policy.shape[1])[ACTION_5.encode(outcome, edges)].T @ policy
    return float(f1_of(counts))


def _rates(probabilities: Floats, policy: Floats) -> tuple[Floats, Floats]:
    """Expected hits and choices of each class, per row."""
    return (probabilities * policy).mean(axis=0), policy.mean(axis=0)
