"""Ticks: one row a trade, with the quote that stood when it happened."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from data.records.base import TIME, Columns, Flags, RecordKind, Rule, RuleContext
from data.records.rules import after_now, bad_side, beyond_calendar, negative, not_finite, not_positive

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


def _crossed(columns: Columns, context: RuleContext) -> Flags:
    flags: Flags = columns["bid"] > columns["ask"]
    return flags


RULES = (
    not_finite(("price", "volume"), ("bid", "ask", "bid_qty", "ask_qty")),
    not_positive("non_positive_price", "price"),
    not_positive("non_positive_volume", "volume"),
    not_positive("non_positive_quote", "bid", "ask"),
    Rule(reason="crossed_quote", broken=_crossed),
    negative("negative_quantity", "bid_qty", "ask_qty"),
    bad_side("side"),
    beyond_calendar(),
    after_now("not_yet"),
)
"""A tick received before it happened is no fault: clocks differ. Nor is a bid at the ask: markets lock."""

KIND = RecordKind(
    name="ticks",
    schema=TICKS,
    key=("ts_event", "seq"),
    order=("ts_event", "seq"),
    rules=RULES,
    dated=True,
    facts=(("ts_recv",), ("bid", "ask", "bid_qty", "ask_qty"), ("side",), ("source",)),
)
