"""A trade as the running app holds it: plain numbers, without Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from data.wall import times

FACTS = ("price", "volume", "bid", "ask", "bid_qty", "ask_qty", "side")
COLUMNS = ("ts_event", "seq", *FACTS)
"""What is read of the lake's trades."""


class Tick(NamedTuple):
    """A trade; fields as in `data.records.ticks`, the time in UTC nanoseconds, None where a number is not known."""

    ts: int
    seq: int
    price: float
    volume: float
    bid: float | None = None
    ask: float | None = None
    bid_qty: float | None = None
    ask_qty: float | None = None
    side: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """What says which trade of its symbol it is, and where it stands."""
        return self.ts, self.seq

    @property
    def said(self) -> tuple[Any, ...]:
        """What it says besides its key: of one instant, trades without a number are told apart by it."""
        return self[2:]


def ticks_of(table: pa.Table) -> list[Tick]:
    """Trades of a few rows of the lake."""
    columns = [times(table).tolist(), *(table[name].to_pylist() for name in COLUMNS[1:])]
    return [Tick(*row) for row in zip(*columns, strict=True)]


def tick_of(ts: int, seq: int, facts: Mapping[str, Any]) -> Tick:
    """A trade from what a message says of it."""
    return Tick(ts, seq, **{name: facts[name] for name in FACTS if facts.get(name) is not None})
