"""Information coefficients: how predictions and outcomes move together, over all rows and at each timestamp.

Sources: Grinold and Kahn, "Active Portfolio Management" (2nd edition, 2000), chapters 6 and 10, for the information
coefficient and its ratio; Spearman, "The proof and measurement of association between two things", American Journal
of Psychology 15 (1904). A correlation with a constant, or of fewer than three rows, is not defined: NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import DataError
from bellwether.validation.bootstrap import Sums, sums_by_time

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Figure = Callable[[Floats], Floats]

LEAST = 3
"""Rows, and symbols at a timestamp, that a correlation needs."""

BLOCKS = 20
"""Runs of timestamps that `icir` takes where timestamps have no cross-section."""

TINY = 1e-12
"""Share of the variance of all rows below which a resample counts as constant: rounding leaves as much."""


def pearson(x: Floats, y: Floats) -> float:
    """Pearson correlation of two series (n,), -1 … 1.

    Raises
    ------
    DataError
        The lengths differ.

    Examples
    --------
    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])), 4)
    0.9934
    """
    if len(x) != len(y):
        raise DataError(f"{len(x)} predictions and {len(y)} outcomes: give as many of each")
    if len(x) < LEAST or not np.ptp(x) or not np.ptp(y):
        return float("nan")
    a, b = _standard(x), _standard(y)
    return float(np.clip(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)), -1.0, 1.0))  # one thread: no BLAS


def spearman(x: Floats, y: Floats) -> float:
    """Pearson correlation of the ranks of two series (n,); ties share their mean rank.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([2.0, 40.0, 7.0]))
    0.5
    """
    return pearson(ranks(x), ranks(y))


def ranks(x: Floats) -> Floats:
    """Rank of each value (n,), from 1; ties share their mean rank.

    >>> ranks(np.array([5.0, 1.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = np.argsort(x)
    v = x[order]
    return _unsorted(order, np.r_[True, v[1:] != v[:-1]][: len(x)])


def grouped_ranks(group: Ints, x: Floats) -> Floats:
    """Rank of each row (n,) among those of its group, numbered from 0; as in `ranks`.

    >>> grouped_ranks(np.array([0, 0, 0, 1]), np.array([5.0, 1.0, 5.0, 9.0])).tolist()
    [2.5, 1.0, 2.5, 1.0]
    """
    order = np.lexsort((x, group))
    g, v = group[order], x[order]
    overall = _unsorted(order, np.r_[True, (g[1:] != g[:-1]) | (v[1:] != v[:-1])][: len(x)])
    count = np.bincount(group)
    return np.asarray(overall - (np.cumsum(count) - count)[group], np.float64)


def _unsorted(order: Ints, new: NDArray[np.bool_]) -> Floats:
    """Mean places of runs of ties, from 1, back in the given order; ``new`` marks where a run begins."""
    starts = np.flatnonzero(new)
    ties = np.diff(np.r_[starts, len(order)])
    found = np.empty(len(order))
    found[order] = np.repeat(starts + (ties + 1) / 2.0, ties)
    return found


def is_cross_section(ts: Ints, who: Ints) -> bool:
    """Whether at least half of the rows (n,) share their timestamp with two other symbols or more.

    >>> is_cross_section(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0]))
    True
    """
    times, place = np.unique(ts, return_inverse=True)
    if len(times) * LEAST > 2 * len(ts):  # fewer than half can: a common case, told apart quickly
        return False
    order = np.lexsort((who, place))
    p, w = place[order], who[order]
    new = np.r_[True, (p[1:] != p[:-1]) | (w[1:] != w[:-1])]
    symbols = np.bincount(p[new], minlength=len(times))
    return bool(np.mean(symbols[place] >= LEAST) >= 0.5)


def ic(predicted: Floats, outcome: Floats) -> float:
    """Information coefficient: Pearson correlation over all rows pooled."""
    return pearson(predicted, outcome)


def rank_ic(ts: Ints, who: Ints, predicted: Floats, outcome: Floats) -> float:
    """Mean over timestamps of the Spearman correlation across symbols; of all rows pooled, where there are too few.

    Parameters
    ----------
    ts, who : int64 arrays of shape (n,)
        Timestamp and symbol of each row. Timestamps of fewer than `LEAST` rows, or at which either side is constant,
        are left out of the mean.
    predicted, outcome : float64 arrays of shape (n,)
        Finite.

    Examples
    --------
    >>> ts, who = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    >>> rank_ic(ts, who, np.array([1.0, 2, 3, 1, 2, 3]), np.array([1.0, 2, 3, 1, 3, 2]))
    0.75
    """
    if not is_cross_section(ts, who):
        return spearman(predicted, outcome)
    return _mean(group_ics(ts, predicted, outcome))


def icir(ts: Ints, who: Ints, predicted: Floats, outcome: Floats) -> float:
    """Information ratio of the coefficient: mean of the rank correlations over their standard deviation (n - 1).

    They are those at each timestamp, as in `rank_ic`. Where timestamps have no cross-section, they are those over
    `BLOCKS` runs of timestamps of equal length (fewer where there are fewer than three timestamps each). Nothing is
    annualised; fewer than two correlations, or equal ones, give NaN.

    Examples
    --------
    >>> ts, who = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    >>> round(icir(ts, who, np.array([1.0, 2, 3, 1, 2, 3]), np.array([1.0, 2, 3, 1, 3, 2])), 4)
    2.1213
    """
    group = ts if is_cross_section(ts, who) else time_blocks(ts)
    found = group_ics(group, predicted, outcome)
    known = found[~np.isnan(found)]
    if len(known) < 2 or not np.ptp(known):
        return float("nan")
    return float(known.mean() / known.std(ddof=1))


def time_blocks(ts: Ints) -> Ints:
    """Number of the run of timestamps that each row (n,) lies in, 0 … `BLOCKS` - 1.

    >>> time_blocks(np.arange(120))[[0, 5, 6, 119]].tolist()
    [0, 0, 1, 19]
    """
    times, place = np.unique(ts, return_inverse=True)
    blocks = max(1, min(BLOCKS, len(times) // LEAST))
    return np.asarray(place * blocks // len(times), np.int64)


def group_ics(group: Ints, predicted: Floats, outcome: Floats) -> Floats:
    """Spearman correlation in each group, in the order of groups; NaN where it is not defined."""
    groups, place = np.unique(group, return_inverse=True)
    count = np.bincount(place, minlength=len(groups))
    middle = (count[place] + 1) / 2.0  # the mean rank, exactly
    x, y = grouped_ranks(place, predicted) - middle, grouped_ranks(place, outcome) - middle
    xx, yy, xy = (np.bincount(place, weights=w, minlength=len(groups)) for w in (x * x, y * y, x * y))
    spread = np.sqrt(xx * yy)
    defined = (count >= LEAST) & (spread > 0.0)
    return np.where(defined, np.clip(xy / np.where(defined, spread, 1.0), -1.0, 1.0), np.nan)


def ic_sums(ts: Ints, predicted: Floats, outcome: Floats) -> Sums:
    """`ic` as a function of sums over timestamps."""
    x, y = _standard(predicted), _standard(outcome)
    return Sums(each=sums_by_time(ts, np.column_stack([np.ones_like(x), x, y, x * x, y * y, x * y])), figure=_pearson)


def rank_ic_sums(ts: Ints, who: Ints, predicted: Floats, outcome: Floats) -> Sums | None:
    """`rank_ic` as a function of sums over timestamps; None where it is pooled, and so is none."""
    return _time_sums(ts, predicted, outcome, _mean_of_times) if is_cross_section(ts, who) else None


def icir_sums(ts: Ints, who: Ints, predicted: Floats, outcome: Floats) -> Sums | None:
    """`icir` as a function of sums over timestamps; None where timestamps have no cross-section."""
    return _time_sums(ts, predicted, outcome, _ratio_of_times) if is_cross_section(ts, who) else None


def _time_sums(ts: Ints, predicted: Floats, outcome: Floats, figure: Figure) -> Sums:
    """How many correlations a timestamp has (one or none), their sum and their squares."""
    found = group_ics(ts, predicted, outcome)
    known = ~np.isnan(found)
    value = np.where(known, found, 0.0)
    return Sums(each=np.column_stack([known.astype(np.float64), value, value * value]), figure=figure)


def _mean_of_times(sums: Floats) -> Floats:
    count, total, _ = sums.T
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def _ratio_of_times(sums: Floats) -> Floats:
    count, total, squares = sums.T
    mean = total / np.maximum(count, 1.0)
    variance = (squares - count * mean**2) / np.maximum(count - 1.0, 1.0)
    defined = (count > 1) & (variance > TINY)
    return np.where(defined, mean / np.sqrt(np.where(defined, variance, 1.0)), np.nan)


def _pearson(sums: Floats) -> Floats:
    n, x, y, xx, yy, xy = sums.T
    across, along = n * xx - x * x, n * yy - y * y
    defined = (across > TINY * n * n) & (along > TINY * n * n)
    spread = np.sqrt(np.where(defined, across * along, 1.0))
    return np.where(defined, np.clip((n * xy - x * y) / spread, -1.0, 1.0), np.nan)


def _standard(x: Floats) -> Floats:
    """Mean 0 and standard deviation 1: sums of squares then neither cancel nor vanish. A constant becomes 0."""
    if not np.ptp(x):
        return np.zeros(len(x))
    centred = x - x.mean()
    centred /= np.abs(centred).max()  # squares of tiny numbers would be 0
    return np.asarray(centred / centred.std(), np.float64)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
