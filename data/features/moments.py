"""Shape of a window, looked at as a whole: moments and autocorrelations without rounding that outlives a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from data.features.compiled import compiled

STILL = 1e-12
"""Deviation, relative to the mean, below which values are one and the same but for rounding."""


def history(length: int) -> np.dtype[np.void]:
    """Memory of the last ``length`` values: a field of a kernel's state.

    The ring is kept twice, one after the other, so that any window of it is one piece of memory.
    """
    return np.dtype([("ring", "f8", (2 * length,)), ("at", "i8"), ("count", "i8")])


@compiled
def forget(h: Any) -> None:
    """Be as at the start."""
    h.ring[:] = 0.0
    h.at, h.count = 0, 0


@compiled
def remember(h: Any, value: float) -> None:
    """Put ``value`` in place of the oldest."""
    length = h.ring.size // 2
    h.ring[h.at] = h.ring[h.at + length] = value
    h.at = h.at + 1 if h.at + 1 < length else 0
    h.count = min(h.count + 1, length)


@compiled
def latest(h: Any, count: int) -> Any:
    """Return the last ``count`` values, oldest first: a view; ``count`` is at most the length."""
    end = h.at + h.ring.size // 2
    return h.ring[end - count : end]


@compiled
def total(values: Any) -> float:
    """Sum of values, in four strands and a fixed order: as quick as the machine adds, the same on every one.

    >>> total(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    15.0
    """
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = values.size // 4 * 4
    for k in range(0, whole, 4):
        a += values[k]
        b += values[k + 1]
        c += values[k + 2]
        d += values[k + 3]
    for k in range(whole, values.size):
        a += values[k]
    return (a + b) + (c + d)


@compiled
def product(u: Any, v: Any) -> float:
    """Inner product of two arrays of one length, in the order of `total`.

    >>> product(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.ones(5))
    15.0
    """
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = u.size // 4 * 4
    for k in range(0, whole, 4):
        a += u[k] * v[k]
        b += u[k + 1] * v[k + 1]
        c += u[k + 2] * v[k + 2]
        d += u[k + 3] * v[k + 3]
    for k in range(whole, u.size):
        a += u[k] * v[k]
    return (a + b) + (c + d)


@compiled
def centre(values: Any, out: Any) -> tuple[float, float]:
    """Write distances from the mean to ``out``; return the mean, and the sum of squares of the distances.

    That sum is exactly 0 for values that differ by no more than rounding does.

    >>> distances = np.empty(2)
    >>> centre(np.array([1.0, 3.0]), distances), distances.tolist()
    ((2.0, 2.0), [-1.0, 1.0])
    """
    mean = total(values) / values.size
    for k in range(values.size):
        out[k] = values[k] - mean
    energy = product(out, out)
    least = STILL * mean
    return mean, energy if energy > values.size * least * least else 0.0


@compiled
def shape(distances: Any, squares: Any, variance: float) -> tuple[float, float]:
    """Skewness and excess kurtosis: population moments, as scipy.stats has them by default; 0 of what does not vary.

    Parameters
    ----------
    distances : float64 array of shape (n,)
        From the mean, as `centre` writes them.
    squares : float64 array of shape (n,)
        Their squares are written here.
    variance : float
        Mean of those, 0 for what does not vary.
    """
    for k in range(distances.size):
        squares[k] = distances[k] * distances[k]
    if variance == 0.0:
        return 0.0, 0.0
    skew = product(squares, distances) / distances.size / (variance * np.sqrt(variance))
    return skew, product(squares, squares) / distances.size / (variance * variance) - 3.0


@compiled
def autocorrelation(distances: Any, lag: int, energy: float) -> float:
    """Autocorrelation at ``lag`` of values at these distances from their mean; 0 of what does not vary.

    The sum of the n - lag products over the sum of the n squares, ``energy``: the usual biased estimate, which is never
    beyond 1. Source: Box and Jenkins, Time Series Analysis: Forecasting and Control (1970), section 2.1.

    >>> autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), 1, 4.0)
    -0.75
    """
    if energy == 0.0:
        return 0.0
    return product(distances[lag:], distances[: distances.size - lag]) / energy  # type: ignore[no-any-return]
