"""The 20 features of a price forecast: best quotes sampled at a fixed interval, say five minutes, and the clock."""

from __future__ import annotations

from math import cos, pi, sin
from typing import Any

import numpy as np
import pyarrow as pa

from data.arrow import pc
from data.features.base import FeatureKind, FeatureSet, Floats, InputContext, Ints
from data.features.calendar import CLOCK, CLOCKWORK, SessionClock
from data.features.compiled import compiled
from data.features.moments import history, latest, remember
from data.features.windows import begin_windows, push_windows, window_deviation, window_mean, windows
from data.records.books import LEVELS
from data.wall import times

CHANGES, MEANS, DEVIATIONS, SPREADS = (1, 3, 12), (5, 12, 24), (5, 12), (5,)
WARMUP = max(MEANS) - 1
HOURS, DAYS = 24.0, 7.0

STATE = np.dtype(
    [
        ("rows", "i8"),
        ("last", history(max(CHANGES))),
        ("mids", windows(MEANS)),
        ("changes", windows(DEVIATIONS)),
        ("spreads", windows(SPREADS)),
    ]
)


@compiled
def books_5min_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
    """One snapshot in, one row out; see `BOOKS_5MIN` for the columns."""
    for i in range(x.shape[0]):
        s, row = state[who[i]], out[i]
        bid, ask, bids, asks, hour, weekday = x[i, 0], x[i, 1], x[i, 2], x[i, 3], x[i, 4], x[i, 5]
        mid, spread = (bid + ask) / 2.0, ask - bid
        if not (mid > 0.0 and bids + asks > 0.0):
            row[:] = np.nan
            continue
        _take(s, mid, spread)
        if s.rows <= WARMUP:
            row[:] = np.nan
        else:
            row[0], row[1], row[2] = spread, bids, asks
            row[3] = (bids - asks) / (bids + asks)
            for k in range(3):
                row[4 + k] = mid - latest(s.last, CHANGES[k])[0]
                row[7 + k] = window_mean(s.mids, k, MEANS[k])
            row[10] = window_deviation(s.changes, 0, DEVIATIONS[0])
            row[11] = window_deviation(s.changes, 1, DEVIATIONS[1])
            row[12], row[13] = window_mean(s.spreads, 0, SPREADS[0]), window_deviation(s.spreads, 0, SPREADS[0])
            row[14], row[15] = hour, weekday
            row[16], row[17] = sin(2.0 * pi * hour / HOURS), cos(2.0 * pi * hour / HOURS)
            row[18], row[19] = sin(2.0 * pi * weekday / DAYS), cos(2.0 * pi * weekday / DAYS)
        remember(s.last, mid)


@compiled
def _take(s: Any, mid: float, spread: float) -> None:
    """Move the windows on; the mid of this row is not among the last ones yet."""
    if s.rows == 0:
        begin_windows(s.mids, mid)
        begin_windows(s.changes, 0.0)
        begin_windows(s.spreads, spread)
    else:
        push_windows(s.changes, DEVIATIONS, mid - latest(s.last, 1)[0])
    push_windows(s.mids, MEANS, mid)
    push_windows(s.spreads, SPREADS, spread)
    s.rows += 1


def snapshot_inputs(fs: FeatureSet, records: pa.Table, context: InputContext) -> tuple[Ints, Floats]:
    """Bring snapshots of one symbol into the columns the kernel reads: best prices, quantity of all known levels."""
    ts = times(records)
    x = np.empty((len(ts), len(fs.inputs)))
    for k, side in enumerate(("bid", "ask")):
        x[:, k] = pc.fill_null(records[f"{side}_px_1"], np.nan).to_numpy()
        known = [records[f"{side}_qty_{level}"] for level in range(1, LEVELS + 1)]
        x[:, 2 + k] = sum(pc.fill_null(qty, 0.0).to_numpy() for qty in known)
    clock = SessionClock(context.session).at(ts)
    x[:, 4], x[:, 5] = clock[:, CLOCK.index("hour")], clock[:, CLOCK.index("weekday")]
    return ts, x


BOOKS_5MIN = FeatureSet(
    name="books-5min",
    inputs=("bid", "ask", "bid_volume", "ask_volume", "hour", "weekday"),
    outputs=(
        *("spread", "bid_volume", "ask_volume", "volume_imbalance"),
        *(f"price_change_{n}" for n in CHANGES),
        *(f"ma_{n}" for n in MEANS),
        *(f"volatility_{n}" for n in DEVIATIONS),
        *("spread_ma_5", "spread_volatility_5"),
        *("hour", "weekday", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos"),
    ),
    warmup=WARMUP,
    state=STATE,
    kernel=books_5min_kernel,
    inputs_from=(snapshot_inputs, *CLOCKWORK),
)
"""What a model sees of a snapshot; prices and their changes are in the price's unit, as is the mid to be forecast.

=================== ====================================================================================================
spread              best ask minus best bid
bid_volume          quantity of all bid levels that are known; ask_volume likewise
volume_imbalance    (bid_volume - ask_volume) / (bid_volume + ask_volume)
price_change_n      mid minus the mid n rows before, n = 1, 3, 12
ma_n                mean of the last n mids, n = 5, 12, 24
volatility_n        population standard deviation of the last n changes of the mid from row to row, n = 5, 12
spread_ma_5         mean of the last 5 spreads; spread_volatility_5, their population standard deviation
hour                of the exchange's clock, 0 to 23; hour_sin and hour_cos, of the angle it makes in 24 hours
weekday             0 on Monday to 6; weekday_sin and weekday_cos, of the angle it makes in 7 days
=================== ====================================================================================================

Rows count as they come: the night between two sessions is one step like any other. A snapshot without a best bid or
ask, or without any quantity, is passed over: its features are NaN and it leaves no trace in the windows.

Source of conventions: TA-Lib's MOM, SMA and STDDEV.
"""

KIND = FeatureKind(kind="books-5min", record="books", build=lambda options: BOOKS_5MIN, inputs=snapshot_inputs)
