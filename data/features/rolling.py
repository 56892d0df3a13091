"""Moving windows and Wilder's average in constant time a row: the compiled parts that kernels share."""

from __future__ import annotations

from typing import Any

import numpy as np

from data.features.compiled import compiled

SWAMPED = 1e4
"""Squares that were so many times as large as they are now have taken the last digits of a sum that saw them."""


def window(length: int) -> np.dtype[np.void]:
    """Memory of the last ``length`` values and of their moments: a field of a kernel's state.

    The sums are of distances from ``anchor``, a value of the window, so that their differences keep their digits
    when the level is large against the spread. The window takes a new anchor, its newest value, and adds up afresh with
    each turn of the ring, so that rounding never outlives ``length`` rows; and at once when its squares were, since it
    last did, ``peak``, more than `SWAMPED` times what they are about the mean now: when an outlier has left, or an old
    level. So a window without movement has no deviation at all, to the last bit.
    """
    return np.dtype([("ring", "f8", (length,)), *((name, "f8") for name in ("anchor", "sum", "square", "peak"))])


@compiled
def push(w: Any, value: float, at: int) -> None:
    """Put ``value`` in slot ``at`` of window ``w``, in place of the oldest; slots follow each other around the ring."""
    oldest = w.ring[at] - w.anchor
    w.ring[at] = value
    if at == 0:
        _add_up(w, value)
        return
    newest = value - w.anchor
    change = newest - oldest
    w.sum += change
    w.square += change * (newest + oldest)
    w.peak = max(w.peak, w.square)
    if w.ring.size * w.peak > SWAMPED * (w.ring.size * w.square - w.sum * w.sum):
        _add_up(w, value)


@compiled
def _add_up(w: Any, anchor: float) -> None:
    total, squares = 0.0, 0.0
    for k in range(w.ring.size):
        distance = w.ring[k] - anchor
        total += distance
        squares += distance * distance
    w.anchor, w.sum, w.square, w.peak = anchor, total, squares, squares


@compiled
def mean(w: Any) -> float:
    """Mean of a full window."""
    return w.anchor + w.sum / w.ring.size  # type: ignore[no-any-return]


@compiled
def deviation(w: Any) -> float:
    """Population standard deviation of a full window, as TA-Lib's STDDEV and BBANDS have it."""
    centre = w.sum / w.ring.size
    return np.sqrt(max(w.square / w.ring.size - centre * centre, 0.0))  # type: ignore[no-any-return]


@compiled
def mean_of_last(ring: Any, at: int, count: int) -> float:
    """Mean of the ``count`` values that end in slot ``at``; ``count`` is at most the ring's length."""
    total = 0.0
    for back in range(count):
        slot = at - back
        total += ring[slot if slot >= 0 else slot + ring.size]
    return total / count


@compiled
def wilder(previous: float, value: float, period: int, row: int) -> float:
    """Wilder's average after its ``row``-th value (from 1): a plain mean of the first ``period``, then a decay.

    Source: J. Welles Wilder, New Concepts in Technical Trading Systems (1978).

    >>> wilder(wilder(0.0, 2.0, 2, 1), 4.0, 2, 2)  # mean of the first two
    3.0
    >>> wilder(3.0, 5.0, 2, 3)  # then half the old, half the new
    4.0
    """
    if row <= period:
        return previous + value / period
    return previous + (value - previous) / period
