"""Bars: one row a symbol and interval."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from data.records.base import TIME, RecordKind

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

KIND = RecordKind(name="bars", schema=BARS, rules=())
