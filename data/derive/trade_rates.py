"""Level-2 factor rates of trades: whose initiative an interval's volume was, and how much came in large trades."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bellwether.config.frozen import Frozen
from data.arrow import Column, pc
from data.derive.base import Derivation, DeriveContext
from data.derive.intervals import OUTSIDE, checked_step, interval_ends
from data.derive.trade_sign import TICK_STATE, lee_ready
from data.features.compiled import compiled
from data.records.base import TIME
from data.records.factors import FACTORS, RATES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STATE = np.dtype(
    [
        ("opened", "i8"),
        ("end", "i8"),
        ("volume", "f8"),
        ("by", "f8", (len(RATES),)),
        ("large", "f8"),
        ("seen", "i8"),
        ("tick", TICK_STATE),
    ]
)
"""Of the interval under way: its session's opening, its end (0: there is none), its volume in all and by rate, and
above which size a trade is large (NaN: not known); how many sizes were seen, and what the tick test remembers."""


ROUNDING = 1e-6
"""Of a trade: by how little a share of the trades may exceed a whole number and still be it."""


class TradeRateOptions(Frozen):
    """What a recipe says about large trades.

    Parameters
    ----------
    large_size : float, optional
        Size from which on a trade is large, shares or contracts.
    large_quantile : float
        Where no size is given: a trade is large that is larger than this share of the trades before its interval.
    sizes : int
        How many trades before the interval that looks at, at most: the last ones.
    """

    large_size: float | None = Field(default=None, gt=0)
    large_quantile: float = Field(default=0.9, gt=0, lt=1)
    sizes: int = Field(default=10_000, ge=1, le=10_000_000)


def make(parts: Iterator[pa.Table], options: TradeRateOptions, context: DeriveContext) -> Iterator[pa.Table]:
    """Yield the rates of each interval in which there were trades, stamped with its end.

    ====================== =============================================================================================
    initiative_buy_rate    volume of buyer-initiated trades over the interval's volume
    initiative_sell_rate   likewise of sellers; with every trade signed, one minus the buy rate
    large_buy_rate         volume of large buyer-initiated trades over the interval's volume
    large_sell_rate        likewise of sellers
    ====================== =============================================================================================

    A trade has the side its record has or, where that is 0, the one Lee and Ready's rule tells, whose tick test starts
    anew with each session. One that neither tells counts in the volume and for nobody. Trades outside of the market's
    hours take no part at all, and no report counts them.

    What is large is settled before an interval begins: by ``large_size``, or by the sizes of the last trades before
    it, of which ``large_quantile`` are no larger than one that is. As many sizes tie, mostly fewer trades are large
    than the quantile leaves. Before the first interval there are no trades, so it has no large rates.

    The interval after which no trade comes is given too, with the trades there are; while the clock has not reached its
    end, the lake refuses it.

    Raises
    ------
    ConfigError
        The recipe has no interval.
    """
    step = checked_step("trade-rates", context)
    state, ring = np.zeros(1, STATE), np.empty(options.sizes if options.large_size is None else 0)
    fixed = np.nan if options.large_size is None else np.nextafter(options.large_size, 0.0)
    for part in parts:
        opens, ends, x = _trades(part, context, step)
        done, rates = np.empty(_changes(ends) + 1, np.int64), np.empty((_changes(ends) + 1, len(RATES)))
        n = _scan(opens, ends, x, state, ring, options.large_quantile, fixed, done, rates)
        yield _table(context.symbol, done[:n], rates[:n])
    last = np.empty((1, len(RATES)))
    n = _finish(state[0], last[0])
    yield _table(context.symbol, state["end"][:n], last[:n])


def _trades(part: pa.Table, context: DeriveContext, step: int) -> tuple[Ints, Ints, Floats]:
    """Trades within the hours: their session's opening, their interval's end, and price, volume, bid, ask and side."""
    opens, ends = interval_ends(part["ts_event"].cast(pa.int64()).to_numpy(), context.session, step)
    names = ("price", "volume", "bid", "ask", "side")
    x = np.column_stack([pc.fill_null(part[name].cast(pa.float64()), np.nan).to_numpy() for name in names])
    within = ends != OUTSIDE
    return opens[within], ends[within], x[within]


def _changes(ends: Ints) -> int:
    return int(np.count_nonzero(np.diff(ends)))


def _table(symbol: str, ends: Ints, rates: Floats) -> pa.Table:
    """Records of the rates that are known, in the order of the lake."""
    value = rates.ravel()
    known = ~np.isnan(value)
    stamps = pa.array(np.repeat(ends, len(RATES))[known]).cast(TIME)
    factor = pa.array(np.tile(np.array(RATES, object), len(ends))[known], pa.string())
    columns: list[Column] = [pa.repeat(symbol, len(stamps)), stamps, factor, pa.array(value[known])]
    return pa.table(columns, schema=FACTORS)


@compiled
def _scan(
    opens: Any, ends: Any, x: Any, state: Any, ring: Any, quantile: float, fixed: float, done: Any, rates: Any
) -> int:
    """Add trades up; write intervals that they show to be over, and return how many."""
    s, n = state[0], 0
    for i in range(len(ends)):
        if ends[i] != s.end:
            done[n] = s.end
            n += _finish(s, rates[n])
            _begin(s, opens[i], ends[i], ring, quantile, fixed)
        volume, side = x[i, 1], int(x[i, 4])
        told = lee_ready(x[i, 0], x[i, 2], x[i, 3], s.tick)
        side = side if side != 0 else told
        s.volume += volume
        if side != 0:
            way = 0 if side > 0 else 1
            s.by[way] += volume
            s.by[2 + way] += volume if volume > s.large else 0.0
        if ring.size > 0:
            ring[s.seen % ring.size] = volume
            s.seen += 1
    return n


@compiled
def _begin(s: Any, opened: int, end: int, ring: Any, quantile: float, fixed: float) -> None:
    if opened != s.opened:
        s.tick.price, s.tick.way = 0.0, 0
    s.opened, s.end, s.volume = opened, end, 0.0
    s.by[:] = 0.0
    n = min(s.seen, ring.size)
    s.large = fixed
    if n > 0:
        place = max(int(np.ceil(quantile * n - ROUNDING)) - 1, 0)
        s.large = np.partition(ring[:n], place)[place]


@compiled
def _finish(s: Any, out: Any) -> int:
    """Write the rates of the interval under way; return how many intervals there are: 1, or 0 at the very start."""
    if s.end == 0:
        return 0
    for k in range(out.size):
        out[k] = s.by[k] / s.volume
    if s.large != s.large:
        out[2] = out[3] = np.nan
    return 1


KIND = Derivation(kind="trade-rates", takes="ticks", gives="factors", options=TradeRateOptions, make=make)
