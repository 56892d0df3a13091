"""Books: one row a change of the order book, with the levels that stood after it and the trade that made it, if any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from data.records.base import TIME, RecordKind
from data.records.ticks import QUOTE, SHARES, SIDE_IS

LEVELS = 10


def _level_fields() -> Iterator[pa.Field[pa.DataType]]:
    for level in range(1, LEVELS + 1):
        for side in ("bid", "ask"):
            yield pa.field(f"{side}_px_{level}", pa.float64(), metadata=QUOTE)
            yield pa.field(f"{side}_qty_{level}", pa.float64(), metadata=SHARES)


_FIELDS: list[pa.Field[Any]] = [
    pa.field("symbol", pa.string(), nullable=False),
    pa.field("ts_event", TIME, nullable=False, metadata={"is": "when the exchange says it happened"}),
    pa.field("ts_recv", TIME, metadata={"is": "when it was received here; null where nobody noted it"}),
    pa.field("seq", pa.int64(), nullable=False, metadata={"is": "orders changes of an instant; the feed's if any"}),
    *_level_fields(),
    pa.field("trade_px", pa.float64(), metadata={**QUOTE, "is": "null where the change was no trade"}),
    pa.field("trade_qty", pa.float64(), metadata={**SHARES, "is": "null where the change was no trade"}),
    pa.field("trade_side", pa.int8(), nullable=False, metadata=SIDE_IS),
]

BOOKS = pa.schema(_FIELDS)
"""Levels 1 (best) to 10 a side. A level with price and quantity is known. A level without either is *unknown*: beyond
what the feed shows, or not named by any event yet. A level with a null price and a quantity of 0 is known to be empty.
"""

KIND = RecordKind(name="books", schema=BOOKS, key=("ts_event", "seq"), order=("ts_event", "seq"), rules=(), dated=True)
