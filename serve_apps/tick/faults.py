"""Why a trade was not taken: the field, the bound and the value, of the reasons that ingest gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from bellwether.trading_time import iso
from data.arrow import pc

SAID: Mapping[str, tuple[str, str]] = {
    "non_positive_price": ("price", "is {price}; it must be above 0"),
    "non_positive_volume": ("volume", "is {volume}; it must be above 0"),
    "crossed_quote": ("bid", "is {bid}, above ask, which is {ask}"),
    "bad_side": ("side", "is {side}; it must be 1, -1 or 0"),
    "beyond_calendar": ("ts_event", "is {time}, of which the exchange's calendar does not know"),
    "not_yet": ("ts_event", "is {time}, which is still to come"),
    "duplicate": ("ts_event", "is {time}: the request has this trade twice"),
    "conflicting_duplicate": ("seq", "is {seq} at {time}: a trade with this number that says something else is there"),
    "out_of_order": ("ts_event", "is {time}: newer trades of {symbol} are there; ingest takes what is older"),
}
"""Field and message by reason."""

EITHER = {
    "non_positive_quote": (("bid", "ask"), "is {value}; it must be above 0"),
    "negative_quantity": (("bid_qty", "ask_qty"), "is {value}; it must be at least 0"),
}
"""The same of rules that look at two fields: the first that is wrong is named."""


def quarantined(rejected: pa.Table) -> Iterator[dict[str, Any]]:
    """Rejected rows as the answer says them.

    Parameters
    ----------
    rejected : pyarrow.Table
        Schema `data.intake.screen.rejected_schema`.
    """
    plain = rejected.set_column(1, "ts_event", pc.cast(rejected["ts_event"], pa.int64())).drop_columns("ts_recv")
    for row in plain.to_pylist():
        field, message = explained(row)
        yield {"tick": row["row"] - 1, "reason": row["reason"], "field": field, "message": message}


def explained(row: Mapping[str, Any]) -> tuple[str | None, str]:
    """The field that is to blame, and what is wrong with it.

    >>> explained({"reason": "crossed_quote", "bid": 2.0, "ask": 1.0, "ts_event": 0})
    ('bid', 'is 2.0, above ask, which is 1.0')
    """
    reason = row["reason"]
    if reason in EITHER:
        fields, message = EITHER[reason]
        field = min(fields, key=lambda name: float("inf") if row[name] is None else row[name])
        return field, message.format(value=row[field])
    if reason in SAID:
        field, message = SAID[reason]
        return field, message.format(**row, time=iso(row["ts_event"]))
    return None, f"is rejected: {str(reason).replace('_', ' ')}"
