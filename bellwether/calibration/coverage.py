"""How often intervals hold, measured as they would have been served: each outcome counts once it is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.calibration.conformal import Conformal, Floats, band_scores
from bellwether.errors import DataError
from bellwether.validation.bootstrap import Interval, block_length, outcome_span
from bellwether.validation.regression_metrics import mean_sums

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What intervals were worth over a holdout.

    Parameters
    ----------
    promised : float
        1 - alpha.
    measured : Interval
        Share of outcomes inside, and its block-bootstrap interval over timestamps.
    width : float
        Mean width of the finite intervals, in the units of the values; NaN if none is.
    unbounded : float
        Share of intervals that were infinitely wide.
    state : Conformal
        What the holdout's outcomes have made of the state, all of them known: the one to serve with next.
    """

    promised: float
    measured: Interval
    width: float
    unbounded: float
    state: Conformal


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The radius each row was given (n,), whether its outcome lay beyond it (n,), and the last state."""

    radius: Floats
    missed: NDArray[np.bool_]
    state: Conformal


def coverage(
    state: Conformal,
    y: Floats,
    low: Floats,
    high: Floats,
    *,
    ts: Ints,
    t1: Ints,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Coverage:
    """Serve a holdout in time order and count what the intervals held.

    Parameters
    ----------
    state : Conformal
        Calibrated on rows whose outcomes are known before the first of these.
    y, low, high : float64 arrays of shape (n,)
        Outcomes, and the bands; finite. A prediction without quantiles is both ends of its band.
    ts, t1 : int64 arrays of shape (n,)
        When a row is known, and when its outcome is. Rows may come in any order; those of one timestamp all get the
        state of the outcomes known by then.
    confidence, draws, seed
        As `bellwether.validation.bootstrap.block_bootstrap`. Blocks are at least as long as outcomes take.

    Raises
    ------
    DataError
        Lengths differ, there is no row, a value is not finite, or an outcome is known no later than its row.

    Examples
    --------
    >>> from bellwether.calibration.conformal import calibrated
    >>> rng, ts, centre = np.random.default_rng(1), np.arange(1000), np.zeros(1000)
    >>> state = calibrated(np.abs(rng.normal(size=1000)), alpha=0.1)
    >>> found = coverage(state, rng.normal(size=1000), centre, centre, ts=ts, t1=ts + 1)
    >>> round(found.measured.value, 2), round(found.width, 1)
    (0.89, 3.3)
    """
    _check(y, low, high)
    played = replay(state, band_scores(y, low, high), ts=ts, t1=t1)
    bounded = played.radius < np.inf
    width = np.maximum(high - low + 2.0 * played.radius, 0.0)[bounded]
    return Coverage(
        promised=1.0 - state.alpha,
        measured=mean_sums(ts, (~played.missed).astype(np.float64)).interval(
            confidence=confidence,
            block=block_length(len(np.unique(ts)), outcome_span(ts, t1)),
            draws=draws,
            seed=seed,
        ),
        width=float(width.mean()) if bounded.any() else float("nan"),
        unbounded=float(1.0 - bounded.mean()),
        state=played.state,
    )


def replay(state: Conformal, scores: Floats, *, ts: Ints, t1: Ints) -> Replay:
    """Give every row, in time order, the radius of the outcomes known by then.

    Outcomes are taken in the order in which they become known, and in the order of rows where that is the same. Each
    row is a step: a state that several symbols share moves as many times at a timestamp.

    Parameters
    ----------
    scores : float64 array of shape (n,)
        How far each outcome lies outside its band; or, for sets of classes, `bellwether.calibration.sets.set_scores`.

    Raises
    ------
    DataError
        Lengths differ, or an outcome is known no later than its row.
    """
    if not len(scores) == len(ts) == len(t1):
        raise DataError(f"{len(scores)} scores, {len(ts)} timestamps, {len(t1)} times of outcomes: give one each a row")
    if (wrong := np.flatnonzero(t1 <= ts)).size:
        row = int(wrong[0])
        raise DataError(f"row {row} is known at {ts[row]} and its outcome at {t1[row]}: outcomes come after their rows")
    order, known = np.argsort(ts, kind="stable"), np.argsort(t1, kind="stable")
    times, begin = np.unique(ts[order], return_index=True)
    until = np.searchsorted(t1[known], times, side="right")
    radius, done = np.empty(len(scores)), 0
    for rows, outcomes in zip(np.split(order, begin[1:]), until, strict=True):
        state = _after(state, scores, radius, known[done:outcomes])
        radius[rows], done = state.radius, outcomes
    last = _after(state, scores, radius, known[done:])
    return Replay(radius=radius, missed=scores > radius, state=last)


def _after(state: Conformal, scores: Floats, radius: Floats, rows: Ints) -> Conformal:
    for row in rows:
        state = state.after(float(scores[row]), float(radius[row]))
    return state


def _check(y: Floats, low: Floats, high: Floats) -> None:
    if not len(y) == len(low) == len(high) or not len(y):
        raise DataError(f"{len(y)} outcomes, {len(low)} lower and {len(high)} upper ends: give one of each a row")
    if not (np.isfinite(y) & np.isfinite(low) & np.isfinite(high)).all():
        raise DataError("outcomes and bands must be finite: leave rows out whose outcome is not known")
