"""The schemas records have from the lake onwards. Times are UTC nanoseconds."""

from __future__ import annotations

import pyarrow as pa

TIME = pa.timestamp("ns", tz="UTC")

BARS = pa.schema(
    [
        pa.field("symbol", pa.string(), nullable=False),
        pa.field("ts_event", TIME, nullable=False, metadata={"is": "close of the bar, from when it is visible"}),
        pa.field("open", pa.float64(), nullable=False, metadata={"unit": "quote currency"}),
        pa.field("high", pa.float64(), nullable=False, metadata={"unit": "quote currency"}),
        pa.field("low", pa.float64(), nullable=False, metadata={"unit": "quote currency"}),
        pa.field("close", pa.float64(), nullable=False, metadata={"unit": "quote currency"}),
        pa.field("volume", pa.float64(), nullable=False, metadata={"unit": "shares or contracts"}),
    ]
)
"""OHLCV bars: one row a symbol and interval, stamped with the bar's close."""
