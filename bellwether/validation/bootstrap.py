"""Confidence intervals by the circular block bootstrap over timestamps.

Rows of one timestamp stay together (components move together) and neighbouring timestamps are drawn in blocks
(they depend on each other). What is resampled are sums per timestamp, so a resample costs a few additions.

Sources: Künsch, "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17
(1989); Politis and Romano, "A circular block-resampling procedure for stationary data" (1992); block length of
order n^(1/3): Hall, Horowitz and Jing, Biometrika 82 (1995).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A statistic and its two-sided percentile interval."""

    value: float
    low: float
    high: float
    confidence: float
    block: int
    draws: int


def block_length(n: int, horizon: int = 1) -> int:
    """Timestamps in a block: n^(1/3) rounded up, and no less than what one outcome spans.

    >>> block_length(1000), block_length(1000, horizon=24)
    (10, 24)
    """
    return min(n, max(horizon, int(np.ceil(n ** (1 / 3) - 1e-9))))


def block_bootstrap(
    statistic: Callable[[Floats], Floats],
    sums: Floats,
    *,
    confidence: float = 0.95,
    block: int | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of a statistic of sums over timestamps.

    Parameters
    ----------
    statistic : callable
        Maps (m, k) sums of m resamples to their (m,) figures. NaN figures are left out of the quantiles. For a
        paired difference, put both models' columns side by side and subtract in here.
    sums : float64 array of shape (timestamps, k)
        What each timestamp adds, in time order; finite.
    confidence : float
        Of the two-sided interval; a one-sided bound at level c is the lower end at ``2 * c - 1``.
    block : int, optional
        Timestamps in a block; `block_length` if left out.
    draws : int
        Resamples. The tail needs some: ``draws * (1 - confidence) / 2`` well above one.
    seed : int
        The same arguments give the same interval.

    Raises
    ------
    ConfigError
        ``confidence``, ``block`` or ``draws`` is out of bounds.
    DataError
        There is no timestamp, or a sum is not finite.

    Examples
    --------
    The mean of a series is a sum of values over a count:

    >>> series = np.random.default_rng(0).normal(size=500)
    >>> found = block_bootstrap(lambda s: s[:, 0] / s[:, 1], np.column_stack([series, np.ones(500)]))
    >>> bool(found.low < 0.0 < found.high)
    True
    """
    n = len(sums)
    _check(sums, confidence, block, draws)
    block = block_length(n) if block is None else block
    figures = statistic(_resampled(sums, block, draws, np.random.default_rng(seed)))
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(figures, [tail, 1.0 - tail])
    value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
    return Interval(value=value, low=float(low), high=float(high), confidence=confidence, block=block, draws=draws)


def _resampled(sums: Floats, block: int, draws: int, rng: np.random.Generator) -> Floats:
    """Totals (draws, k) of resamples of exactly ``len(sums)`` timestamps: whole blocks and one cut short."""
    n = len(sums)
    whole, rest = divmod(n, block)
    total = np.zeros((draws, sums.shape[1]))
    starts = rng.integers(n, size=(whole + (rest > 0), draws))
    in_block, in_rest = _circular(sums, block), _circular(sums, rest)
    for drawn in starts[:whole]:
        total += in_block[drawn]
    return total + in_rest[starts[whole]] if rest else total


def _circular(sums: Floats, length: int) -> Floats:
    """Sum of the ``length`` timestamps from each one on, wrapping round the end."""
    running = np.cumsum(np.vstack([np.zeros_like(sums[:1]), sums, sums[:length]]), axis=0)
    return np.asarray(running[length : length + len(sums)] - running[: len(sums)], np.float64)


def _check(sums: Floats, confidence: float, block: int | None, draws: int) -> None:
    if sums.ndim != 2 or not len(sums) or not np.isfinite(sums).all():
        raise DataError(f"sums have shape {sums.shape}: give finite (timestamps, k) with at least one timestamp")
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence is {confidence}: it must lie between 0 and 1")
    if block is not None and not 1 <= block <= len(sums):
        raise ConfigError(f"block is {block}: it must lie between 1 and the {len(sums)} timestamps")
    if draws < 1:
        raise ConfigError(f"draws is {draws}: it must be at least 1")
