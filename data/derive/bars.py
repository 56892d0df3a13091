"""Bars of trades: open, high, low, close and volume of each interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.frozen import Frozen
from data.arrow import Column
from data.derive.base import Derivation, DeriveContext
from data.derive.intervals import OUTSIDE, checked_step, interval_ends
from data.features.compiled import compiled
from data.records.bars import BARS, VALUES
from data.records.base import TIME

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STATE = np.dtype([("end", "i8"), ("values", "f8", (len(VALUES),))])
"""The bar under way: its end, 0 where there is none, and what it is so far."""


class BarOptions(Frozen):
    """A derivation that leaves nothing to say: the interval and the hours are the recipe's."""


def make(parts: Iterator[pa.Table], options: BarOptions, context: DeriveContext) -> Iterator[pa.Table]:
    """Yield a bar of each interval in which there were trades, stamped with its end.

    Intervals are those of `interval_ends`: from the session's opening, the last of a session ending with it. Trades
    outside of the market's hours are in no bar and in no report, and an interval without a trade has none. The bar
    after which no trade comes is given too, with the trades there are; while the clock has not reached its end, the
    lake refuses it.

    Raises
    ------
    ConfigError
        The recipe has no interval.
    """
    step, state = checked_step("bars", context), np.zeros(1, STATE)
    for part in parts:
        _, ends = interval_ends(part["ts_event"].cast(pa.int64()).to_numpy(), context.session, step)
        within = ends != OUTSIDE
        ends, price, volume = ends[within], part["price"].to_numpy()[within], part["volume"].to_numpy()[within]
        room = np.count_nonzero(np.diff(ends)) + 1
        done, bars = np.empty(room, np.int64), np.empty((room, len(VALUES)))
        n = _scan(ends, price, volume, state, done, bars)
        yield _table(context.symbol, done[:n], bars[:n])
    last = state[state["end"] > 0]
    yield _table(context.symbol, last["end"], last["values"])


@compiled
def _scan(ends: Any, price: Any, volume: Any, state: Any, done: Any, bars: Any) -> int:
    """Add trades up; write bars that they show to be over, and return how many."""
    s, n = state[0], 0
    for i in range(len(ends)):
        if ends[i] != s.end:
            if s.end > 0:
                done[n] = s.end
                bars[n, :] = s.values
                n += 1
            s.end = ends[i]
            s.values[:4] = price[i]
            s.values[4] = 0.0
        s.values[1] = max(s.values[1], price[i])
        s.values[2] = min(s.values[2], price[i])
        s.values[3] = price[i]
        s.values[4] += volume[i]
    return n


def _table(symbol: str, ends: Ints, bars: Floats) -> pa.Table:
    columns: list[Column] = [pa.repeat(symbol, len(ends)), pa.array(ends).cast(TIME), *map(pa.array, bars.T)]
    return pa.table(columns, schema=BARS)


KIND = Derivation(kind="bars", takes="ticks", gives="bars", options=BarOptions, make=make)
