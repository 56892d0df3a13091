"""Factors: a number a symbol, an interval and a name, such as the share of a day's volume that buyers initiated."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from data.records.base import TIME, RecordKind, Rule
from data.records.rules import after_now, among, not_finite

_FIELDS: list[pa.Field[Any]] = [
    pa.field("symbol", pa.string(), nullable=False),
    pa.field("ts_event", TIME, nullable=False, metadata={"is": "end of the interval, from when it is known"}),
    pa.field("factor", pa.string(), nullable=False, metadata={"is": "its name, e.g. initiative_buy_rate"}),
    pa.field("value", pa.float64(), nullable=False, metadata={"unit": "of the factor; rates are shares, 0 to 1"}),
]

FACTORS = pa.schema(_FIELDS)

RATES = ("initiative_buy_rate", "initiative_sell_rate", "large_buy_rate", "large_sell_rate")
"""The four the `level2-factors` set reads; others are kept as they come."""

RULES = (
    Rule(reason="empty_name", broken=lambda columns, context: among(columns["factor"], ("",))),
    not_finite(("value",)),
    after_now("not_yet"),
)

KIND = RecordKind(name="factors", schema=FACTORS, key=("ts_event", "factor"), order=("ts_event", "factor"), rules=RULES)
