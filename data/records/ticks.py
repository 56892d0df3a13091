"""Ticks: one row a trade, with the quote that stood when it happened."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from data.records.base import TIME, RecordKind

SIDE_IS = {"is": "1 buyer-initiated, -1 seller-initiated, 0 not known"}
QUOTE, SHARES = {"unit": "quote currency"}, {"unit": "shares or contracts"}

_FIELDS: list[pa.Field[Any]] = [
    pa.field("symbol", pa.string(), nullable=False),
    pa.field("ts_event", TIME, nullable=False, metadata={"is": "when the exchange says it happened"}),
    pa.field("ts_recv", TIME, metadata={"is": "when it was received here; null where nobody noted it"}),
    pa.field("seq", pa.int64(), nullable=False, metadata={"is": "orders trades of one instant; the feed's if any"}),
    pa.field("price", pa.float64(), nullable=False, metadata=QUOTE),
    pa.field("volume", pa.float64(), nullable=False, metadata=SHARES),
    pa.field("bid", pa.float64(), metadata={**QUOTE, "is": "best bid before the trade; null where not known"}),
    pa.field("ask", pa.float64(), metadata={**QUOTE, "is": "best ask before the trade; null where not known"}),
    pa.field("bid_qty", pa.float64(), metadata=SHARES),
    pa.field("ask_qty", pa.float64(), metadata=SHARES),
    pa.field("side", pa.int8(), nullable=False, metadata=SIDE_IS),
    pa.field("source", pa.string(), metadata={"is": "the feed, as it calls itself"}),
]

TICKS = pa.schema(_FIELDS)

KIND = RecordKind(name="ticks", schema=TICKS, key=("ts_event", "seq"), order=("ts_event", "seq"), rules=(), dated=True)
