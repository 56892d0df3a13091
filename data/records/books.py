"""Books: one row a change of the order book, with the levels that stood after it and the trade that made it, if any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from data.records.base import TIME, Columns, Flags, RecordKind, Rule, RuleContext
from data.records.rules import after_now, bad_side, beyond_calendar, negative, not_finite, not_positive
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
what the feed shows, or not named by any event yet. One with a price alone exists, and how much it holds is unknown. One
with a null price and a quantity of 0 is known to be empty.
"""


BIDS, ASKS = ([f"{side}_px_{level}" for level in range(1, LEVELS + 1)] for side in ("bid", "ask"))
QUANTITIES = [f"{side}_qty_{level}" for side in ("bid", "ask") for level in range(1, LEVELS + 1)]


def _crossed(columns: Columns, context: RuleContext) -> Flags:
    best_bid = np.fmax.reduce([columns[name] for name in BIDS])
    best_ask = np.fmin.reduce([columns[name] for name in ASKS])
    flags: Flags = best_bid >= best_ask
    return flags


def _unordered(columns: Columns, context: RuleContext) -> Flags:
    bad = np.zeros(len(columns["ts_event"]), bool)
    for names, best, worse in ((BIDS, np.fmin, np.greater_equal), (ASKS, np.fmax, np.less_equal)):
        last = columns[names[0]]
        for name in names[1:]:
            bad |= worse(columns[name], last)  # a comparison with an unknown level is false
            last = best(last, columns[name])
    return bad


def _without_price(columns: Columns, context: RuleContext) -> Flags:
    bad = np.zeros(len(columns["ts_event"]), bool)
    for name in QUANTITIES:
        bad |= (columns[name] > 0) & np.isnan(columns[name.replace("qty", "px")])
    return bad


RULES = (
    not_finite((), (*BIDS, *ASKS, *QUANTITIES, "trade_px", "trade_qty")),
    not_positive("non_positive_price", *BIDS, *ASKS, "trade_px"),
    negative("negative_quantity", *QUANTITIES),
    not_positive("non_positive_volume", "trade_qty"),
    Rule(reason="quantity_without_price", broken=_without_price),
    Rule(reason="crossed", broken=_crossed),
    Rule(reason="levels_unordered", broken=_unordered),
    bad_side("trade_side"),
    beyond_calendar(),
    after_now("not_yet"),
)
"""``crossed``: a bid at or above an ask. ``levels_unordered``: known bids do not fall, or known asks do not rise."""

KIND = RecordKind(
    name="books", schema=BOOKS, key=("ts_event", "seq"), order=("ts_event", "seq"), rules=RULES, dated=True
)
