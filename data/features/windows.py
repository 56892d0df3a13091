"""Many moving windows over one series: moments and extremes of each in constant time a row, for kernels to share."""

from __future__ import annotations

from typing import Any

import numpy as np

from data.features.compiled import compiled
from data.features.rolling import SWAMPED


def windows(lengths: tuple[int, ...]) -> np.dtype[np.void]:
    """Memory of a series over windows of ``lengths``: a field of a kernel's state.

    One ring holds the values; each window has its sums, of distances from an anchor, so that their differences keep
    their digits when the level is large against the spread. A window takes a new anchor, its newest value, and adds up
    afresh when it has turned once, so that rounding never outlives its length; and at once when its squares were, since
    it last did, ``peak``, more than `SWAMPED` times what they are about the mean now: when an outlier has left, or an
    old level. So a window without movement has no deviation at all, to the last bit.
    """
    each = (len(lengths),)
    moments = [(name, "f8", each) for name in ("anchor", "sum", "square", "peak")]
    return np.dtype([("ring", "f8", (max(lengths),)), ("at", "i8"), ("turn", "i8", each), *moments])


def extremes(lengths: tuple[int, ...]) -> np.dtype[np.void]:
    """Memory of the lowest and highest value of each window of a series kept in `windows`, and of how old they are."""
    each = (len(lengths),)
    return np.dtype([("low", "f8", each), ("low_age", "i8", each), ("high", "f8", each), ("high_age", "i8", each)])


@compiled
def begin_windows(w: Any, value: float) -> None:
    """Forget everything: as if ``value`` had always been. Leaves nothing of what was there before."""
    w.ring[:] = value
    w.at = 0
    w.turn[:] = 0
    w.anchor[:] = value
    w.sum[:] = 0.0
    w.square[:] = 0.0
    w.peak[:] = 0.0


@compiled
def push_windows(w: Any, lengths: Any, value: float) -> None:
    """Move every window on by ``value``."""
    size, at = w.ring.size, w.at
    for k in range(len(lengths)):
        back = at - lengths[k]
        oldest = w.ring[back if back >= 0 else back + size] - w.anchor[k]
        newest = value - w.anchor[k]
        change = newest - oldest
        w.sum[k] += change
        w.square[k] += change * (newest + oldest)
    w.ring[at] = value
    w.at = at + 1 if at + 1 < size else 0
    for k in range(len(lengths)):
        w.turn[k] += 1
        w.peak[k] = max(w.peak[k], w.square[k])
        left = lengths[k] * w.square[k] - w.sum[k] * w.sum[k]
        if w.turn[k] == lengths[k] or lengths[k] * w.peak[k] > SWAMPED * left:
            w.turn[k] = 0
            _add_up(w, k, lengths[k], value)


@compiled
def _add_up(w: Any, k: int, length: int, anchor: float) -> None:
    total, squares, slot = 0.0, 0.0, w.at
    for _ in range(length):
        slot = slot - 1 if slot > 0 else w.ring.size - 1
        distance = w.ring[slot] - anchor
        total += distance
        squares += distance * distance
    w.anchor[k], w.sum[k], w.square[k], w.peak[k] = anchor, total, squares, squares


@compiled
def window_mean(w: Any, k: int, length: int) -> float:
    """Mean of the ``k``-th window, which is ``length`` long and full."""
    return w.anchor[k] + w.sum[k] / length  # type: ignore[no-any-return]


@compiled
def window_deviation(w: Any, k: int, length: int) -> float:
    """Population standard deviation of the ``k``-th window, as TA-Lib's STDDEV and BBANDS have it."""
    centre = w.sum[k] / length
    return np.sqrt(max(w.square[k] / length - centre * centre, 0.0))  # type: ignore[no-any-return]


@compiled
def begin_extremes(e: Any, value: float) -> None:
    """Forget everything: as if ``value`` had always been."""
    e.low[:] = value
    e.high[:] = value
    e.low_age[:] = 0
    e.high_age[:] = 0


@compiled
def push_extremes(e: Any, w: Any, lengths: Any, value: float) -> None:
    """Move the extremes on by ``value``, which `push_windows` has put into ``w`` just before.

    Constant time a row, but for the rows where the extreme leaves a window: those look through the window.
    """
    for k in range(len(lengths)):
        e.low_age[k] += 1
        e.high_age[k] += 1
        if value <= e.low[k]:
            e.low[k], e.low_age[k] = value, 0
        elif e.low_age[k] >= lengths[k]:
            e.low_age[k] = _look_back(w, lengths[k], 1.0)
            e.low[k] = _back(w, e.low_age[k])
        if value >= e.high[k]:
            e.high[k], e.high_age[k] = value, 0
        elif e.high_age[k] >= lengths[k]:
            e.high_age[k] = _look_back(w, lengths[k], -1.0)
            e.high[k] = _back(w, e.high_age[k])


@compiled
def _look_back(w: Any, length: int, sign: float) -> int:
    """Age of the newest of the lowest of the last ``length`` values times ``sign``."""
    age, lowest = 0, sign * _back(w, 0)
    for back in range(1, length):
        if sign * _back(w, back) < lowest:
            age, lowest = back, sign * _back(w, back)
    return age


@compiled
def _back(w: Any, rows: int) -> float:
    slot = w.at - 1 - rows
    return w.ring[slot if slot >= 0 else slot + w.ring.size]  # type: ignore[no-any-return]
