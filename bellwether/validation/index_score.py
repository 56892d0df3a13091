"""How well a signal foretold what the index did next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import DataError
from bellwether.validation.bootstrap import Interval, Sums, block_length
from bellwether.validation.correlation import ic_sums
from bellwether.validation.regression_metrics import mean_sums

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


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
        Pearson correlation of signal and move; None where either never varies.
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
    horizon: int = 1,
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
    horizon : int
        Bars that a move spans: moves of several overlap, and blocks are at least as long.

    Raises
    ------
    DataError
        There are no bars, lengths differ, or a number is not finite.

    Examples
    --------
    >>> moved = np.random.default_rng(0).normal(0, 0.01, 500)
    >>> perfect = score_index("perfect", moved, moved, buy=0.001, sell=-0.001)
    >>> perfect.hit_rate.value, round(perfect.ic.value, 6)
    (1.0, 1.0)
    """
    if not len(signal) or signal.shape != moved.shape or not (np.isfinite(signal) & np.isfinite(moved)).all():
        raise DataError(f"{name}: signals {signal.shape} and moves {moved.shape} must be finite, one each a bar")
    position = np.where(signal >= buy, 1.0, np.where(signal <= sell, -1.0, 0.0))
    called = position != 0.0
    hits = called & (position == np.sign(moved))
    bar, varies = np.arange(len(moved)), bool(np.ptp(signal) and np.ptp(moved))
    how = {"confidence": confidence, "block": block_length(len(moved), horizon), "draws": draws}
    return IndexScore(
        name=name,
        bars=len(moved),
        calls=int(called.sum()),
        hit_rate=_hit_sums(hits, called).interval(**how) if called.any() else None,
        ic=ic_sums(bar, signal, moved).interval(**how) if varies else None,
        captured=mean_sums(bar, 1e4 * position * moved).interval(**how),
    )


def _hit_sums(hits: Flags, called: Flags) -> Sums:
    """Hits over calls as a function of sums over bars; NaN where a resample has no call."""

    def figure(sums: Floats) -> Floats:
        return np.asarray(sums[:, 0] / np.where(sums[:, 1] > 0.0, sums[:, 1], np.nan), np.float64)

    return Sums(each=np.column_stack([hits, called]).astype(np.float64), figure=figure)
