"""Scores of predicted classes. All work on confusion counts, so that scores of resamples are functions of sums.

Definitions: Sokolova and Lapalme, "A systematic analysis of performance measures for classification tasks",
Information Processing & Management 45 (2009). Macro means are over all classes of the target, there or not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import DataError
from bellwether.validation.bootstrap import Sums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def confusion(y: Ints, predicted: Ints, n_classes: int) -> Ints:
    """Counts of (true class, predicted class), shape (n_classes, n_classes).

    Raises
    ------
    DataError
        There are no rows, the lengths differ, or a class lies outside ``0 … n_classes - 1``.

    Examples
    --------
    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    one_group = np.zeros(len(y), np.int64)
    return np.asarray(grouped_confusion(one_group, y, predicted, n_classes)[0], np.int64)


def grouped_confusion(ts: Ints, y: Ints, predicted: Ints, n_classes: int) -> Ints:
    """Confusion counts of each unique timestamp in time order, shape (timestamps, n_classes, n_classes).

    What a bootstrap over timestamps resamples: the confusion of a resample is a sum of these.
    """
    if not len(ts) == len(y) == len(predicted):
        raise DataError(f"{len(y)} labels, {len(predicted)} predictions and {len(ts)} timestamps: give one each a row")
    if not len(y):
        raise DataError("no rows to score")
    for what, classes in (("label", y), ("prediction", predicted)):
        if classes.min() < 0 or classes.max() >= n_classes:
            raise DataError(f"{what} {classes.min()} … {classes.max()} lies outside the {n_classes} classes")
    times, place = np.unique(ts, return_inverse=True)
    cell = (place * n_classes + y) * n_classes + predicted
    counts = np.bincount(cell, minlength=len(times) * n_classes**2)
    return counts.reshape(len(times), n_classes, n_classes).astype(np.int64)


def f1_of(counts: NDArray[np.number]) -> Floats:
    """Macro-F1 of confusion counts of shape (…, classes, classes), one figure for each leading index.

    The mean over all classes of 2·TP / (2·TP + FP + FN); a class that is neither there nor predicted scores 0, as
    scikit-learn's ``f1_score(labels=all, average="macro", zero_division=0)`` does.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    both = counts.sum(axis=-1) + counts.sum(axis=-2)  # 2·TP + FP + FN
    return np.asarray(np.mean(2.0 * hits / np.maximum(both, 1), axis=-1), np.float64)


def accuracy_of(counts: NDArray[np.number]) -> Floats:
    """Share of rows on the diagonal of confusion counts (…, classes, classes); NaN without rows."""
    return _ratio(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)), nothing=np.nan)


def precision_of(counts: NDArray[np.number]) -> Floats:
    """Macro precision of confusion counts (…, classes, classes); a class that is never predicted scores 0."""
    return np.asarray(np.mean(_ratio(_hits(counts), counts.sum(axis=-2)), axis=-1), np.float64)


def recall_of(counts: NDArray[np.number]) -> Floats:
    """Macro recall of confusion counts (…, classes, classes); a class that is not there scores 0."""
    return np.asarray(np.mean(_ratio(_hits(counts), counts.sum(axis=-1)), axis=-1), np.float64)


def weighted_f1_of(counts: NDArray[np.number]) -> Floats:
    """F1 of confusion counts (…, classes, classes), weighted by how often a class is there; NaN without rows."""
    there = counts.sum(axis=-1)
    f1 = _ratio(2.0 * _hits(counts), there + counts.sum(axis=-2))
    return _ratio((f1 * there).sum(axis=-1), there.sum(axis=-1), nothing=np.nan)


def confusion_sums(
    ts: Ints, y: Ints, predicted: Ints, n_classes: int, figure: Callable[[NDArray[np.number]], Floats] = f1_of
) -> Sums:
    """A score of confusion counts as a function of sums over timestamps, for `block_bootstrap`.

    >>> confusion_sums(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0, 0, 1]), 2, accuracy_of).value
    0.6666666666666666
    """
    counts = grouped_confusion(ts, y, predicted, n_classes)
    return Sums(
        each=counts.reshape(len(counts), -1).astype(np.float64),
        figure=lambda sums: figure(sums.reshape(-1, n_classes, n_classes)),
    )


def _hits(counts: NDArray[np.number]) -> Floats:
    return np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)


def _ratio(part: NDArray[np.number], whole: NDArray[np.number], nothing: float = 0.0) -> Floats:
    """``part / whole``, and ``nothing`` where there is no whole."""
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1), nothing), np.float64)


def macro_f1(y: Ints, predicted: Ints, n_classes: int) -> float:
    """Unweighted mean of the F1 of all classes (see `f1_of`).

    >>> round(macro_f1(np.array([0, 1, 1]), np.array([0, 0, 1]), 2), 4)
    0.6667
    """
    return float(f1_of(confusion(y, predicted, n_classes)))


def accuracy(y: Ints, predicted: Ints) -> float:
    """Share of rows whose class is predicted.

    >>> accuracy(np.array([0, 1]), np.array([0, 0]))
    0.5
    """
    if not len(y) or len(y) != len(predicted):
        raise DataError(f"{len(y)} labels and {len(predicted)} predictions: give as many of each, at least one")
    return float(np.mean(y == predicted))
