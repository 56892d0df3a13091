"""Scores of predicted probabilities, and of the direction that they expect.

Sources: Good, "Rational decisions", JRSS B 14 (1952), for the logarithmic score; Brier, "Verification of forecasts
expressed in terms of probability", Monthly Weather Review 78 (1950); Hanley and McNeil, Radiology 143 (1982), for the
area under the curve from ranks; Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML
(2017); Peirce, "The numerical measure of the success of predictions", Science 4 (1884), for `directional`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ConfigError
from bellwether.validation.bootstrap import Sums, sums_by_time
from bellwether.validation.correlation import ranks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 10
"""Equal-width bins of the top probability in `calibration_error`."""

FLOOR = float(np.finfo(np.float64).eps)
"""A probability of 0 counts as this in the logarithm, so that one certain error does not make the score infinite."""


def log_losses(y: Ints, p: Floats) -> Floats:
    """Minus the logarithm of the probability of the true class, one a row (n,)."""
    return np.asarray(-np.log(np.clip(p[np.arange(len(y)), y], FLOOR, 1.0)), np.float64)


def log_loss(y: Ints, p: Floats) -> float:
    """Mean of `log_losses`, in nats; 0 is best.

    Parameters
    ----------
    y : int64 array of shape (n,)
        Class positions.
    p : float64 array of shape (n, classes)
        Probabilities; rows sum to 1.

    Examples
    --------
    >>> round(log_loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.25, 0.75]])), 4)
    0.4904
    """
    return float(np.mean(log_losses(y, p)))


def brier_losses(y: Ints, p: Floats) -> Floats:
    """Squared distance of the probabilities from the class that came, one a row (n,), 0 … 2."""
    true = p[np.arange(len(y)), y]
    return np.asarray((p**2).sum(axis=1) - 2.0 * true + 1.0, np.float64)


def brier(y: Ints, p: Floats) -> float:
    """Mean of `brier_losses`: Brier's own definition, summed over all classes, 0 (best) … 2.

    For two classes it is twice the one-column form.

    >>> brier(np.array([0, 1]), np.array([[0.5, 0.5], [0.0, 1.0]]))
    0.25
    """
    return float(np.mean(brier_losses(y, p)))


def auc(y: Ints, p: Floats) -> float:
    """Area under the ROC curve, one class against the rest, mean over the classes that are there; NaN for one class.

    The chance that a row of the class has a greater probability of it than a row of another has; ties count half.

    >>> auc(np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.2, 0.8]]))
    0.75
    """
    present = np.unique(y)
    if len(present) < 2:
        return float("nan")
    return float(np.mean([_area(y == c, p[:, c]) for c in present]))


def _area(own: NDArray[np.bool_], score: Floats) -> float:
    n = int(own.sum())
    return float((ranks(score)[own].sum() - n * (n + 1) / 2.0) / (n * (len(own) - n)))


def calibration_error(y: Ints, p: Floats) -> float:
    """Expected calibration error of the most probable class: how far stated confidence is from the share of hits.

    Rows fall into `BINS` equal-width bins by their top probability, closed above; the mean over rows of the gap
    between a bin's mean confidence and its share of hits, 0 (best) … 1. It is biased upwards where bins hold few rows,
    and its bootstrap interval the more so.

    >>> round(calibration_error(np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]])), 4)
    0.4
    """
    return calibration_sums(np.zeros(len(y), np.int64), y, p).value


def calibration_sums(ts: Ints, y: Ints, p: Floats) -> Sums:
    """`calibration_error` as a function of sums over timestamps: confidence less hits in each bin, and rows."""
    gap = np.zeros((len(y), BINS + 1))
    gap[np.arange(len(y)), bin_of(p)] = p.max(axis=1) - (p.argmax(axis=1) == y)
    gap[:, BINS] = 1.0
    return Sums(each=sums_by_time(ts, gap), figure=lambda sums: np.abs(sums[:, :BINS]).sum(axis=1) / sums[:, BINS])


def bin_of(p: Floats) -> Ints:
    """Bin (n,) of the top probability, 0 … `BINS` - 1; closed above.

    >>> bin_of(np.array([[0.5, 0.5], [0.3, 0.7], [1.0, 0.0]])).tolist()
    [4, 6, 9]
    """
    # 0.1 + 0.2 is a little above 0.3: the rounding keeps an edge in the bin below it
    place = np.ceil(np.round(p.max(axis=1) * BINS, 9)).astype(np.int64) - 1
    return np.asarray(np.clip(place, 0, BINS - 1), np.int64)


def class_scores(n_classes: int) -> Floats:
    """Score of each class (classes,), for classes in order: its distance from the middle, in whole steps.

    An odd number of classes has a middle class of score 0. An even number has none: its scores are odd, two apart.

    >>> class_scores(5).tolist(), class_scores(2).tolist()
    ([-2.0, -1.0, 0.0, 1.0, 2.0], [-1.0, 1.0])
    """
    if n_classes < 2:
        raise ConfigError(f"{n_classes} classes have no direction: give at least two")
    step = 2 if n_classes % 2 == 0 else 1
    return np.asarray(step * (np.arange(n_classes) - (n_classes - 1) / 2.0), np.float64)


def expected_score(p: Floats) -> Floats:
    """Mean score (n,) of probabilities (n, classes), by `class_scores`.

    >>> expected_score(np.array([[0.5, 0.5, 0.0], [0.25, 0.5, 0.25]])).tolist()
    [-0.5, 0.0]
    """
    return np.asarray(p @ class_scores(p.shape[1]), np.float64)


def directional(expected: Floats, true: Floats) -> float:
    """How well the sign of what is expected tells rises from falls, whatever their size; -1 … 1.

    The share of rises that are called right plus the share of falls that are, less 1 (Peirce's skill score); no
    direction (0) counts half. Knowing nothing scores 0, and so does always saying the same, or knowing only how large a
    move will be: 0.1 means that 55 % are called right, where rises and falls are as many. Rows with ``true`` 0 are left
    out; NaN where there are no rises or no falls.

    Parameters
    ----------
    expected : float64 array of shape (n,)
        An `expected_score`, or a predicted change.
    true : float64 array of shape (n,)
        Score of the true class, or the change that came.

    Examples
    --------
    >>> directional(np.array([0.2, -0.1, -0.4, 3.0]), np.array([2.0, 1.0, -1.0, 0.0]))
    0.5
    """
    return directional_sums(np.zeros(len(true), np.int64), expected, true).value


def directional_sums(ts: Ints, expected: Floats, true: Floats) -> Sums:
    """`directional` as a function of sums over timestamps: of rises and of falls, how many and their mean sign."""
    sign, rises, falls = np.sign(expected), true > 0.0, true < 0.0
    return Sums(
        each=sums_by_time(ts, np.column_stack([rises, sign * rises, falls, sign * falls]).astype(np.float64)),
        figure=_peirce,
    )


def _peirce(sums: Floats) -> Floats:
    rises, up, falls, down = sums.T
    gap = up / np.maximum(rises, 1.0) - down / np.maximum(falls, 1.0)
    return np.where((rises > 0.0) & (falls > 0.0), gap / 2.0, np.nan)
