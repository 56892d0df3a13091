"""Sample weights by uniqueness: rows whose outcomes overlap say the same thing more than once.

A label lives over ``[ts, t1)``. The concurrency of a symbol is how many of its labels live at a moment: a step function
of continuous time that changes at ``ts`` and ``t1`` only. A label's average uniqueness is the mean of one over the
concurrency during its life: 1 where it lives alone, 1/h where every moment belongs to h labels.

Give the training rows alone: a label that is only known after them would change their weights.

Source: López de Prado, *Advances in Financial Machine Learning* (2018), ch. 4, which counts bars; here time counts, so
that events and missing bars weigh what they last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
"""``t1`` of a row whose outcome is not known yet."""


def average_uniqueness(ts: Ints, t1: Ints, who: Ints) -> Floats:
    """Mean of 1 / concurrency over each label's life, in O(n log n).

    Parameters
    ----------
    ts, t1 : int64 arrays of shape (n,)
        When a label's life begins and ends (UTC ns), in any order; ``t1`` is not before ``ts``.
    who : int64 array of shape (n,)
        Its symbol: labels of different symbols do not overlap.

    Returns
    -------
    float64 array of shape (n,)
        In (0, 1]. A label without length (``t1 == ts``) has one over the number of labels that live at its moment,
        those without length included, and takes nothing from others. A row with ``t1 == NEVER`` has no label: NaN, and
        it takes nothing from others either.

    Raises
    ------
    DataError
        The three differ in length, or ``t1`` lies before ``ts``.

    Examples
    --------
    Three labels over six bars; the first two share the third bar (the book's section 4.5.3):

    >>> average_uniqueness(np.array([0, 2, 4]), np.array([3, 4, 6]), np.zeros(3, np.int64)).round(4).tolist()
    [0.8333, 0.75, 1.0]
    """
    _check(ts, t1, who)
    out = np.full(len(ts), np.nan)
    order = np.argsort(who, kind="stable")
    order = order[t1[order] != NEVER]
    for rows in np.split(order, np.flatnonzero(np.diff(who[order])) + 1):
        out[rows] = _of_symbol(ts[rows], t1[rows])
    return out


def uniqueness_weights(ts: Ints, t1: Ints, who: Ints) -> Floats:
    """Average uniqueness as sample weights (n,): their mean over the rows with a label is one.

    A row without a label (``t1 == NEVER``) weighs 0. Parameters and errors are those of `average_uniqueness`.

    >>> weights = uniqueness_weights(np.array([0, 2, 4]), np.array([3, 4, 6]), np.zeros(3, np.int64))
    >>> weights.round(4).tolist()
    [0.9677, 0.871, 1.1613]
    """
    unique = np.nan_to_num(average_uniqueness(ts, t1, who), nan=0.0)
    labelled = np.count_nonzero(unique)
    return np.asarray(unique * (labelled / unique.sum()) if labelled else unique)


def _of_symbol(ts: Ints, t1: Ints) -> Floats:
    """Average uniqueness (n,) of one symbol's labels, all of them known."""
    edges = np.unique(np.concatenate([ts, t1]))
    starts, ends, instants = np.sort(ts), np.sort(t1), np.sort(ts[t1 == ts])
    alive = np.searchsorted(starts, edges, "right") - np.searchsorted(ends, edges, "right")  # from an edge to the next
    # Time over concurrency adds up to 1e18 ns while a label may last microseconds. The whole nanoseconds are summed as
    # integers, exactly; only fractions below one are rounded.
    whole, rest = np.divmod(np.diff(edges), np.maximum(alive[:-1], 1))  # where no label lives, none reads the sum
    exact = np.concatenate([[0], np.cumsum(whole)])
    fraction = np.concatenate([[0.0], np.cumsum(rest / np.maximum(alive[:-1], 1))])
    first, last = np.searchsorted(edges, ts), np.searchsorted(edges, t1)
    share = (exact[last] - exact[first]) + (fraction[last] - fraction[first])
    at_once = np.searchsorted(instants, ts, "right") - np.searchsorted(instants, ts, "left")
    moment = 1.0 / np.maximum(alive[first] + at_once, 1)
    return np.asarray(np.where(t1 > ts, share / np.maximum(t1 - ts, 1), moment))


def _check(ts: Ints, t1: Ints, who: Ints) -> None:
    if not ts.shape == t1.shape == who.shape:
        raise DataError(f"ts has {len(ts)} rows, t1 {len(t1)} and who {len(who)}: give one of each for each row")
    if (late := np.flatnonzero(t1 < ts)).size:
        row = int(late[0])
        raise DataError(f"row {row}: its outcome is known at {t1[row]}, before the row itself at {ts[row]}")
