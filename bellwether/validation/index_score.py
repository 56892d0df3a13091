"""How well a signal foretold what the index did next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.validation.bootstrap import Interval, block_bootstrap, block_length

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class IndexScore:
    """One signal against the next bar of the index.

    Parameters
    ----------
    name : str
        What made the signal.
    bars, calls : int
        Bars scored, and those on which the signal said BUY or SELL.
    hit_rate : Interval or None
        Share of calls whose sign was that of the index's move; None without calls.
    ic : Interval or None
        Pearson correlation of signal and move; None for a signal that never varies.
    captured : Interval
        Mean of position x move, in basis points a bar, before any cost.
    """

    name: str
    bars: int
    calls: int
    hit_rate: Interval | None
    ic: Interval | None
    captured: Interval


def score_index(
    name: str,
    signal: Floats,
    moved: Floats,
    *,
    buy: float,
    sell: float,
    confidence: float = 0.95,
    draws: int = 5000,
) -> IndexScore:
    """Score ``signal`` against ``moved``, with circular block bootstrap intervals.

    Parameters
    ----------
    signal : float64 array of shape (bars,)
        In time order, known when the bar closes; finite.
    moved : float64 array of shape (bars,)
        Simple return of the index over the horizon that begins there; finite. Moves of exactly zero count as missed.
    buy, sell : float
        BUY at or above, SELL at or below.

    Examples
    --------
    >>> moved = np.random.default_rng(0).normal(0, 0.01, 500)
    >>> perfect = score_index("perfect", moved, moved, buy=0.001, sell=-0.001)
    >>> perfect.hit_rate.value, round(perfect.ic.value, 6)
    (1.0, 1.0)
    """
    position = np.where(signal >= buy, 1.0, np.where(signal <= sell, -1.0, 0.0))
    called = position != 0.0
    hits = called & (position == np.sign(moved))
    one = np.ones_like(moved)
    settings = {"confidence": confidence, "draws": draws, "block": block_length(len(moved))}

    def interval(statistic: object, *columns: Floats) -> Interval:
        return block_bootstrap(statistic, np.column_stack(columns).astype(np.float64), **settings)  # type: ignore[arg-type]

    x, y = signal - signal.mean(), moved - moved.mean()
    varies = float(np.ptp(signal)) > 0.0
    return IndexScore(
        name=name,
        bars=len(moved),
        calls=int(called.sum()),
        hit_rate=interval(_ratio, hits, called) if called.any() else None,
        ic=interval(_correlation, one, x, y, x * x, y * y, x * y) if varies else None,
        captured=interval(_ratio, 1e4 * position * moved, one),
    )


def _ratio(sums: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1])


def _correlation(sums: Floats) -> Floats:
    n, x, y, xx, yy, xy = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y)))
