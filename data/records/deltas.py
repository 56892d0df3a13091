"""Deltas: what happened to an order book, event by event; with a first snapshot they rebuild it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from data.records.base import TIME, Columns, Flags, RecordKind, Rule, RuleContext
from data.records.rules import after_now, among, bad_side, beyond_calendar, negative, not_finite
from data.records.ticks import QUOTE, SHARES

ACTIONS = ("clear", "set", "add", "cancel", "execute", "hidden", "halt", "resume", "cross")
"""What a delta does; a kernel sees its position here.

======= ==============================================================================================================
clear   forget the book: ``set`` of the same message say what it is, and without any nothing is known; price and side
        mean nothing
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

PRICED = ("set", "add", "cancel", "execute", "hidden", "cross")
"""Actions that mean nothing without a price and a quantity."""
SIDED = ("set", "add", "cancel", "execute")
"""Actions that change one side of the book."""


def _unknown(columns: Columns, context: RuleContext) -> Flags:
    return ~among(columns["action"], ACTIONS)


def _no_side(columns: Columns, context: RuleContext) -> Flags:
    flags: Flags = (columns["side"] == 0) & among(columns["action"], SIDED)
    return flags


def _incomplete(columns: Columns, context: RuleContext) -> Flags:
    lacking = np.isnan(columns["price"]) | np.isnan(columns["qty"])
    flags: Flags = lacking & among(columns["action"], PRICED)
    return flags


def _non_positive(columns: Columns, context: RuleContext) -> Flags:
    flags: Flags = (columns["price"] <= 0) & among(columns["action"], PRICED)
    return flags


RULES = (
    Rule(reason="unknown_action", broken=_unknown),
    bad_side("side"),
    Rule(reason="no_side", broken=_no_side),
    not_finite((), ("price", "qty")),
    Rule(reason="incomplete", broken=_incomplete),
    Rule(reason="non_positive_price", broken=_non_positive),
    negative("negative_quantity", "qty"),
    beyond_calendar(),
    after_now("not_yet"),
)
"""``no_side``: an action of `SIDED` on neither side. ``incomplete``: one of `PRICED` without its price or quantity."""

_ORDER = ("ts_event", "seq", "part")

KIND = RecordKind(
    name="deltas",
    schema=DELTAS,
    key=_ORDER,
    order=_ORDER,
    rules=RULES,
    dated=True,
    facts=(("ts_recv",), ("prev_seq",)),
)
"""Feeds number messages by the day, and a session may go on over midnight UTC: so the time is part of the key."""
