"""From training rows that hold windows of past outcomes back to each symbol's series of outcomes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bellwether.models.base import Floats, Ints
from bellwether.models.training import Training


def outcome_series(training: Training) -> list[Floats]:
    """Outcomes of each symbol, oldest first, none overlapping the next: what the windows show one by one.

    The newest outcome of a row is that of the newest row whose outcome is known by then. Following these from the last
    row back leaves out rows whose outcomes overlap; where rows are missing between training rows, outcomes are, too.

    Parameters
    ----------
    training : Training
        Rows whose family reads outcomes.

    Examples
    --------
    >>> from bellwether.models.training import plain
    >>> windows = np.array([[0.0, 0.0], [0.0, 5.0], [5.0, 6.0], [6.0, 7.0]])
    >>> [series.tolist() for series in outcome_series(plain(windows, np.zeros(4), lookback=2))]
    [[5.0, 6.0, 7.0]]
    """
    found = []
    for who in np.unique(training.who):
        own = np.flatnonzero(training.who == who)
        chain = own[_chain(training.ts[own], training.t1[own])]
        windows = training.x[chain]
        series = np.concatenate([windows[0], windows[1:, -1]]).astype(np.float64)
        found.append(series[known(series[None])[0]])
    return found


def known(windows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which values of windows (n, w) are outcomes: all but the zeros before the first that is not zero.

    >>> known(np.array([[0.0, 3.0, 0.0]])).tolist()
    [[False, True, True]]
    """
    return np.asarray(np.logical_or.accumulate(windows != 0.0, axis=1), np.bool_)


def _chain(ts: Ints, t1: Ints) -> Ints:
    """Rows of one symbol from the last one back, each the newest whose outcome the next one knows; ascending."""
    count = np.searchsorted(np.maximum.accumulate(t1), ts, side="right")
    chain = [len(ts) - 1]
    while (before := min(int(count[chain[-1]]), chain[-1]) - 1) >= 0:
        chain.append(before)
    return np.array(chain[::-1])
