"""Deltas: what happened to an order book, event by event; with a first snapshot they rebuild it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from data.records.base import TIME, RecordKind
from data.records.ticks import QUOTE, SHARES

ACTIONS = ("clear", "set", "add", "cancel", "execute", "hidden", "halt", "resume", "cross")
"""What a delta does; a kernel sees its position here.

======= ==============================================================================================================
clear   the book is empty from here on (a snapshot follows as ``set``); price and side mean nothing
set     the level at ``price`` has ``qty`` now, 0 takes it away
add     a new order: ``qty`` more at ``price``
cancel  ``qty`` less at ``price``, taken away or reduced by whoever placed it
execute ``qty`` less at ``price``, traded against; ``side`` is that of the resting order
hidden  ``qty`` traded at ``price`` against an order the book does not show: the book stays as it is
halt    trading stops; resume: it goes on, or quotes only; the book stays as it is
cross   an auction traded ``qty`` at ``price``: the book stays as it is
======= ==============================================================================================================
"""

_FIELDS: list[pa.Field[Any]] = [
    pa.field("symbol", pa.string(), nullable=False),
    pa.field("ts_event", TIME, nullable=False, metadata={"is": "when the exchange says it happened"}),
    pa.field("ts_recv", TIME, metadata={"is": "when it was received here; null where nobody noted it"}),
    pa.field("seq", pa.int64(), nullable=False, metadata={"is": "number of the message; its deltas share it"}),
    pa.field("part", pa.int32(), nullable=False, metadata={"is": "number of the delta in its message, from 0"}),
    pa.field("prev_seq", pa.int64(), metadata={"is": "seq of the message before, where the feed says it"}),
    pa.field("action", pa.string(), nullable=False, metadata={"is": "one of " + ", ".join(ACTIONS)}),
    pa.field("side", pa.int8(), nullable=False, metadata={"is": "1 bid, -1 ask, 0 neither"}),
    pa.field("price", pa.float64(), metadata=QUOTE),
    pa.field("qty", pa.float64(), metadata=SHARES),
    pa.field("order_id", pa.int64(), metadata={"is": "the exchange's number of the order; null where not told"}),
]

DELTAS = pa.schema(_FIELDS)

KIND = RecordKind(
    name="deltas", schema=DELTAS, key=("seq", "part"), order=("ts_event", "seq", "part"), rules=(), dated=True
)
