"""Bars: one row a symbol and interval."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.records.base import TIME, Columns, Flags, RecordKind, Rule, RuleContext
from data.records.rules import after_now, negative, not_finite, not_positive
from data.wall import DAY, of_day, wall_times

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
NOISE = 1e-6
"""How far, relative to a price, prices of a bar may contradict each other: what a pass through float32 can do."""

_BAR_NUMBERS = {
    "open": "quote currency",
    "high": "quote currency",
    "low": "quote currency",
    "close": "quote currency",
    "volume": "shares or contracts",
}


def _bar_fields() -> Iterator[pa.Field[pa.DataType]]:
    yield pa.field("symbol", pa.string(), nullable=False)
    yield pa.field("ts_event", TIME, nullable=False, metadata={"is": "close of the bar, from when it is visible"})
    for name, unit in _BAR_NUMBERS.items():
        yield pa.field(name, pa.float64(), nullable=False, metadata={"unit": unit})


BARS = pa.schema(_bar_fields())
"""OHLCV bars: one row a symbol and interval, stamped with the bar's close."""


def _slack(columns: Columns) -> NDArray[np.float64]:
    high = np.nan_to_num(columns["high"], posinf=0.0, neginf=0.0)  # of infinite prices a rule before has spoken
    slack: NDArray[np.float64] = NOISE * np.abs(high)
    return slack


def _high_below_low(columns: Columns, context: RuleContext) -> Flags:
    flags: Flags = columns["high"] < columns["low"] - _slack(columns)
    return flags


def _outside_range(columns: Columns, context: RuleContext) -> Flags:
    o, h, low, c = (columns[name] for name in PRICES)
    slack = _slack(columns)
    flags: Flags = (np.maximum(o, c) > h + slack) | (np.minimum(o, c) < low - slack)
    return flags


def _outside_session(columns: Columns, context: RuleContext) -> Flags:
    if context.session.calendar:
        from data.records.sessions import is_close

        return ~is_close(columns["ts_event"], context.session)
    clock = wall_times(columns["ts_event"], context.session.timezone) % DAY
    flags: Flags = (clock <= of_day(context.session.opens)) | (clock > of_day(context.session.closes))
    return flags


RULES = (
    not_finite(VALUES),
    not_positive("non_positive_price", *PRICES),
    negative("negative_volume", "volume"),
    Rule(reason="high_below_low", broken=_high_below_low),
    Rule(reason="outside_range", broken=_outside_range),
    Rule(reason="outside_session", broken=_outside_session),
    after_now("not_closed"),
)
"""``high_below_low`` and ``outside_range`` (open or close outside low..high) allow for `NOISE`; ``outside_session`` is
not opens < ts_event <= closes on its day in the session's zone, or of any session of its calendar, where it has one."""

KIND = RecordKind(name="bars", schema=BARS, rules=RULES)
