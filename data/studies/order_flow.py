"""How much of the moves of the mid over ten seconds order flow explains, and how much trades alone do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bellwether.config.sections import Session
from bellwether.errors import DataError
from bellwether.validation.bootstrap import Interval, block_bootstrap
from data.arrow import pc
from data.features.base import Floats, Ints
from data.features.calendar import CLOCK, SessionClock
from data.features.order_flow import flows
from data.wall import times

QUOTE = ("bid_px_1", "bid_qty_1", "ask_px_1", "ask_qty_1")
HALF_HOUR = 1_800
SUMS = 6


@dataclass(frozen=True, kw_only=True)
class FlowWindows:
    """What happened in each window of some seconds, in time order, from open to close of each session.

    Parameters
    ----------
    sample : int64 array of shape (n,)
        Which half hour a window lies in, from 0; every session starts a new one.
    move : float64 array of shape (n,)
        Change of the mid from the end of the window before to the end of this one, in ticks. The session's first window
        starts from its first quote.
    order_flow : float64 array of shape (n,)
        Order-flow imbalance, in quantity.
    trade_flow : float64 array of shape (n,)
        Quantity bought minus quantity sold, by who initiated. Trades of unknown initiator are left out.
    """

    sample: Ints
    move: Floats
    order_flow: Floats
    trade_flow: Floats


@dataclass(frozen=True, kw_only=True)
class Explained:
    """How well a flow explains the moves in the same windows.

    Parameters
    ----------
    mean : Interval
        R² of a regression in each half hour, mean over them: the published figure.
    whole : Interval
        R² of one regression over all windows.
    slopes : float64 array of shape (samples,)
        Ticks that a unit of flow moves the mid by, in each half hour.
    """

    mean: Interval
    whole: Interval
    slopes: Floats


@dataclass(frozen=True, kw_only=True)
class FlowStudy:
    """Both regressions over the same windows."""

    windows: int
    samples: int
    order_flow: Explained
    trade_flow: Explained


def order_flow_study(
    books: pa.Table, *, tick: float = 0.01, seconds: int = 10, session: Session | None = None, seed: int = 0
) -> FlowStudy:
    """Regress moves of the mid on order flow, and on trade flow, in windows of ``seconds``, half hour by half hour.

    Parameters
    ----------
    books : pyarrow.Table
        Changes of one symbol's book, in the lake's order.
    tick : float
        Unit of the moves; R² does not depend on it.
    seconds : int
        Length of a window; a divisor of 1,800.
    session : Session, optional
        The market's hours: only those are looked at.
    seed : int
        Of the bootstrap.

    Returns
    -------
    FlowStudy
        Intervals are 95 % circular block bootstraps over windows.

    Raises
    ------
    DataError
        No quote lies in a session, or ``seconds`` does not divide half an hour.

    Notes
    -----
    Source: Cont, Kukanov and Stoikov, "The price impact of order book events", Journal of Financial Econometrics 12
    (2014): windows of 10 s, samples of half an hour, means over 50 stocks of 65 % for order flow and 32 % for trades.
    """
    w = flow_windows(books, tick=tick, seconds=seconds, session=session or Session())
    order, trade = (explained(x, w.move, w.sample, seed=seed) for x in (w.order_flow, w.trade_flow))
    return FlowStudy(windows=len(w.move), samples=len(order.slopes), order_flow=order, trade_flow=trade)


def flow_windows(books: pa.Table, *, tick: float, seconds: int, session: Session) -> FlowWindows:
    """Cut the sessions of ``books`` into windows; `order_flow_study` has the parameters."""
    if seconds < 1 or HALF_HOUR % seconds:
        raise DataError(f"seconds is {seconds}: give a whole number that divides {HALF_HOUR}, such as 10")
    clock = SessionClock(session).at(times(books))
    number, is_open, since, until = (clock[:, CLOCK.index(name)] for name in _CLOCK)
    quotes = np.column_stack([pc.fill_null(books[name], np.nan).to_numpy() for name in QUOTE])
    side = books["trade_side"].cast(pa.float64()).to_numpy()
    signed = np.nan_to_num(side * pc.fill_null(books["trade_qty"], np.nan).to_numpy())
    good = (is_open == 1.0) & ~np.isnan(quotes).any(axis=1)
    parts = []
    for day in np.unique(number[good]):
        rows = good & (number == day)
        # the clock counts minutes in doubles: a trade on a window's edge must not fall on either side by rounding
        at = np.round(since[rows] * 60.0, 9)
        count = int(np.ceil(round(60.0 * float(since[rows][0] + until[rows][0]), 9) / seconds))
        parts.append(_session_windows(quotes[rows], signed[rows], (at // seconds).astype(np.int64), count, tick))
    if not parts:
        raise DataError("no row of these books has both best quotes within a session: check the session's hours")
    per_half_hour, sample, first = HALF_HOUR // seconds, [], 0
    for move, _, _ in parts:
        sample.append(first + np.arange(len(move)) // per_half_hour)
        first = int(sample[-1][-1]) + 1
    move, order, trade = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return FlowWindows(sample=np.concatenate(sample), move=move, order_flow=order, trade_flow=trade)


_CLOCK = ("session", "session_open", "minutes_since_open", "minutes_to_close")


def _session_windows(
    quotes: Floats, signed: Floats, window: Ints, count: int, tick: float
) -> tuple[Floats, Floats, Floats]:
    """Moves in ticks, order flow and trade flow of ``count`` windows; ``window`` of each row does not fall."""
    mid = (quotes[:, 0] + quotes[:, 2]) / 2.0
    last = np.searchsorted(window, np.arange(count), side="right") - 1
    ends = mid[np.maximum(last, 0)]
    move = np.diff(ends, prepend=mid[0]) / tick
    order, trade = (np.bincount(window, added, count).astype(np.float64) for added in (flows(quotes), signed))
    return move, order, trade


def explained(flow: Floats, move: Floats, sample: Ints, *, seed: int = 0) -> Explained:
    """Regress ``move`` on ``flow``, with an intercept, in each sample and over all, with bootstrap intervals.

    A sample in which either does not vary has no R² and is left out of the mean.

    Raises
    ------
    DataError
        Either does not vary at all.

    >>> flow = np.random.default_rng(0).normal(size=200)
    >>> found = explained(flow, 2.0 * flow, np.arange(200) // 100)
    >>> round(found.mean.value, 9), round(found.whole.low, 9), found.slopes.round(9).tolist()
    (1.0, 1.0, [2.0, 2.0])
    """
    n, samples = len(move), int(sample.max()) + 1
    if not (np.ptp(flow) > 0.0 and np.ptp(move) > 0.0):
        raise DataError(
            f"the {'moves' if np.ptp(flow) > 0.0 else 'flow'} of all {n} windows are the same: no regression"
        )
    x, y = (flow - flow.mean()) / flow.std(), (move - move.mean()) / move.std()  # R² keeps its digits
    terms = np.column_stack([np.ones(n), x, y, x * x, x * y, y * y])
    sums = np.zeros((n, samples, SUMS))
    sums[np.arange(n), sample] = terms
    slopes = [_slope(flow[sample == k], move[sample == k]) for k in range(samples)]
    return Explained(
        mean=block_bootstrap(lambda s: _mean(_r2(s.reshape(len(s), samples, SUMS))), sums.reshape(n, -1), seed=seed),
        whole=block_bootstrap(_r2, terms, seed=seed),
        slopes=np.array(slopes),
    )


def _r2(sums: Floats) -> Floats:
    """Squared correlation from sums of 1, x, y, xx, xy and yy; NaN where either does not vary."""
    n, x, y, xx, xy, yy = np.moveaxis(sums, -1, 0)
    across, down, along = n * xy - x * y, n * xx - x * x, n * yy - y * y
    varies = (down > 1e-9 * n * xx) & (along > 1e-9 * n * yy)
    return np.where(varies, across**2 / np.where(varies, down * along, 1.0), np.nan)


def _mean(values: Floats) -> Floats:
    """Mean over the samples that have a value; NaN where none has."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    return np.where(count, np.where(known, values, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _slope(x: Floats, y: Floats) -> float:
    spread = x - x.mean()
    return float(spread @ y / (spread @ spread)) if spread.any() else float("nan")
