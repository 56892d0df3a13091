"""The features of one hourly bar: returns, trend, spread, momentum, volume, the clock and the basket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import log
from typing import Any

import numpy as np
import pyarrow as pa

from data.features.base import FeatureKind, FeatureSet, Floats, InputContext, Ints, MarketScan
from data.features.basket import basket
from data.features.calendar import CLOCKWORK
from data.features.compiled import compiled, source_of
from data.features.market import MarketContext, component_inputs, market_context
from data.features.rolling import deviation, mean, mean_of_last, push, wilder, window
from data.wall import times
from data.weights.table import WeightTable

FAST, SLOW, WILDER, BANDS = 5, 20, 14, 2.0
WARMUP = 160

STATE = np.dtype(
    [
        ("rows", "i8"),
        ("slot", "i8"),
        ("session", "f8"),
        ("close", "f8"),
        ("gain", "f8"),
        ("loss", "f8"),
        ("true_range", "f8"),
        ("traded", "i8"),
        ("closes", window(SLOW)),
        ("returns", window(SLOW)),
        ("volumes", window(SLOW)),
    ]
)


@compiled
def hourly_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
    """One row in, one row out; see `HOURLY` for the columns."""
    for i in range(x.shape[0]):
        s = state[who[i]]
        high, low, close, session = x[i, 1], x[i, 2], x[i, 3], x[i, 5]
        row, before, slot = s.rows, s.close, s.slot
        change = log(close / before) if row > 0 else 0.0
        gap = x[i, 0] / before - 1.0 if row > 0 and session != s.session else 0.0
        if row > 0:
            _average_moves(s, high, low, close, row)
        _count_traded(s, x[i, 4], slot)
        push(s.closes, close, slot)
        push(s.returns, change, slot)
        push(s.volumes, x[i, 4], slot)
        s.close, s.session, s.rows = close, session, row + 1
        s.slot = slot + 1 if slot + 1 < SLOW else 0
        if row < WARMUP:
            out[i, :] = np.nan
            continue
        fast, slow = mean_of_last(s.closes.ring, slot, FAST), mean(s.closes)
        moved = s.gain + s.loss
        out[i, 0] = change
        out[i, 1] = (high - low) / close
        out[i, 2] = (close - x[i, 0]) / close
        out[i, 3] = close / fast - 1.0
        out[i, 4] = close / slow - 1.0
        out[i, 5] = fast / slow - 1.0
        out[i, 6] = deviation(s.returns)
        out[i, 7] = 100.0 * s.gain / moved if moved > 0.0 else 50.0
        out[i, 8] = s.true_range / close
        out[i, 9] = 2.0 * BANDS * deviation(s.closes) / slow
        out[i, 10] = x[i, 4] / mean(s.volumes) - 1.0 if s.traded > 0 else 0.0
        out[i, 11] = x[i, 6]
        out[i, 12] = x[i, 7]
        out[i, 13] = gap
        out[i, 14] = x[i, 8]
        out[i, 15] = x[i, 9]
        out[i, 16] = change - x[i, 8]


@compiled
def _average_moves(s: Any, high: float, low: float, close: float, row: int) -> None:
    before = s.close
    move = close - before
    s.gain = wilder(s.gain, max(move, 0.0), WILDER, row)
    s.loss = wilder(s.loss, max(-move, 0.0), WILDER, row)
    s.true_range = wilder(s.true_range, max(high, before) - min(low, before), WILDER, row)


@compiled
def _count_traded(s: Any, volume: float, slot: int) -> None:
    """Bars of the volume window with any volume; whole numbers, so that an idle window is known exactly."""
    s.traded += int(volume > 0.0) - int(s.volumes.ring[slot] > 0.0)


def hourly_inputs(fs: FeatureSet, records: pa.Table, context: InputContext) -> tuple[Ints, Floats]:
    """Bring bars of one symbol into the columns the kernel reads; ``context.market`` is a `MarketContext`."""
    return times(records), component_inputs(records, context.session, context.market)


HOURLY = FeatureSet(
    name="hourly",
    inputs=(
        "open",
        "high",
        "low",
        "close",
        "volume",
        "session",
        "hour",
        "session_position",
        "basket_return",
        "basket_volatility",
    ),
    outputs=(
        "log_return",
        "range",
        "body",
        "close_vs_sma_5",
        "close_vs_sma_20",
        "sma_5_vs_sma_20",
        "std_20",
        "rsi_14",
        "atr_14",
        "bollinger_width_20",
        "volume_vs_mean_20",
        "hour",
        "session_position",
        "overnight_gap",
        "basket_return",
        "basket_volatility",
        "relative_return",
    ),
    warmup=WARMUP,
    state=STATE,
    kernel=hourly_kernel,
    inputs_from=(hourly_inputs, market_context, MarketContext.at, *CLOCKWORK),
)
"""What a model sees of an hourly bar. Nothing in it has the scale of a price or a volume.

===================== ==================================================================================================
log_return            log of close over the bar before's close
range                 (high - low) / close
body                  (close - open) / close
close_vs_sma_5        close over the mean of the last 5 closes, minus 1; close_vs_sma_20 likewise
sma_5_vs_sma_20       the 5-bar mean over the 20-bar mean, minus 1: its sign change is their cross
std_20                population standard deviation of the last 20 log returns
rsi_14                Wilder's relative strength index, 0 to 100; 50 where the price has never moved
atr_14                Wilder's average true range over close
bollinger_width_20    (upper - lower) / middle band: 2 population standard deviations either side of the 20-bar mean
volume_vs_mean_20     volume over the mean of the last 20 volumes, minus 1; 0 where none of them traded
hour                  hour of the exchange's clock at the close
session_position      share of the session gone by at the close, 0 to 1; of the calendar's, if the session names one
overnight_gap         open over the last session's close, minus 1, on the first bar of a session; 0 on the others
basket_return         the index's components in the same bar, and the volatility of that (`basket`)
relative_return       log_return minus basket_return
===================== ==================================================================================================

A volume of zero is a value like any other: some feeds publish it for the first bar of a day. ``session`` is a number
that changes with the trading day. NaN is allowed in the two basket columns only; it makes the three outputs that need
them NaN in that row and leaves no trace in the state.

RSI and ATR remember their first values for ever, ever less: after n bars two histories with different beginnings
differ by (13/14)**(n - 14) of how far their first averages lay apart. The warm-up of 160 bars makes that 2.0e-5, so
that features of bars posted with no earlier history agree with those of the full one.

Sources: Wilder, New Concepts in Technical Trading Systems (1978), for RSI and ATR; Bollinger, Bollinger on Bollinger
Bands (2001). Names and conventions are TA-Lib's.
"""


def hourly_market(series: Any, weights: Any, universe: Any) -> MarketContext:
    """Scan the basket over the closes of the components."""
    closes = {symbol: (ts, values[:, 0]) for symbol, (ts, values) in series.items()}
    return market_context(closes, weights, universe.symbols)


def hourly_definition(n: int) -> str:
    """Return a hash that changes with what the scan of a universe of ``n`` computes, weights in force included."""
    made_by: tuple[Callable[..., Any], ...] = (hourly_market, WeightTable.matrix, WeightTable.from_arrow)
    return hashlib.sha256(repr((basket(n).definition, *map(source_of, made_by))).encode()).hexdigest()[:16]


KIND = FeatureKind(
    kind="hourly",
    record="bars",
    build=lambda options: HOURLY,
    inputs=hourly_inputs,
    market=MarketScan(columns=("close",), scan=hourly_market, definition=hourly_definition),
)
