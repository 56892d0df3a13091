"""Books as they arrive: strict in form here; what they say is judged by the rules of ingest."""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
from pydantic import ConfigDict, Field

from data.records import TIME, record_kind
from data.records.books import LEVELS
from serve_apps.web.bounded import Bounded
from serve_apps.web.values import WRITTEN, Number, Time

MAX_ROWS, MAX_ITEMS = 5_000, 50
"""Rows of one request, and requests of one batch."""

RAW = record_kind("books").raw

Level = Annotated[tuple[Number | None, Number | None], Field(description="Price and quantity; null is unknown.")]
Side = Annotated[tuple[Level, ...], Field(max_length=LEVELS)]

BOOK: dict[str, Any] = {
    "ts_event": "2025-06-30T14:35:00Z",
    "bids": [[100.02, 300.0], [100.01, 500.0]],
    "asks": [[100.03, 200.0], [100.05, 400.0]],
}
TRADED: dict[str, Any] = BOOK | {"trade_px": 100.03, "trade_qty": 50.0, "trade_side": 1}


class PostedBook(Bounded):
    """A book: up to ten levels a side, the best first. Levels beyond those sent are unknown.

    ``[null, 0]`` says that a level is empty, ``[100.5, null]`` that its quantity is unknown.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [BOOK]})

    ts_event: Time = Field(description=f"When it stood: {WRITTEN}.")
    bids: Side
    asks: Side


class PostedChange(PostedBook):
    """A book after a change, and the trade that made it, if one did; ``trade_side`` is 1 where a buyer took it."""

    model_config = ConfigDict(json_schema_extra={"examples": [TRADED]})

    trade_px: Number | None = None
    trade_qty: Number | None = None
    trade_side: Annotated[int, Field(strict=True, ge=-1, le=1)] = 0


class ForecastRequest(Bounded):
    """A window of snapshots, oldest first; the forecast is made from the last."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"symbol": "SIM01", "snapshots": [BOOK], "steps": 1}]})

    symbol: str | None = Field(default=None, description="A symbol of the universe; any other book, if left out.")
    snapshots: Annotated[tuple[PostedBook, ...], Field(max_length=MAX_ROWS)] = Field(
        description="Once an interval, as many as the model looks back on: /model-info tells."
    )
    steps: Annotated[int, Field(strict=True, ge=1)] | None = Field(default=None, description="All the model has.")


class DirectionRequest(Bounded):
    """Changes of a book, oldest first; the prediction is made from the last."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"symbol": "SIM01", "books": [TRADED]}]})

    symbol: str | None = Field(default=None, description="A symbol of the universe; any other book, if left out.")
    books: Annotated[tuple[PostedChange, ...], Field(max_length=MAX_ROWS)] = Field(
        description="Every change, as many as the features need: /model-info tells."
    )


class BatchRequest(Bounded):
    """Several requests. Each is looked at by itself: one that is refused does not stop the others."""

    items: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="As the body of POST /predict, each."
    )


def raw_rows(books: tuple[PostedBook, ...], symbol: str) -> pa.Table:
    """Books as ingest reads them; they are numbered in the order they come.

    >>> book = PostedBook(ts_event=10**18, bids=((99.0, 1.0),), asks=((101.0, None), (None, 0.0)))
    >>> raw = raw_rows((book,), "A")
    >>> [raw[name][0].as_py() for name in ("seq", "bid_px_1", "ask_qty_1", "ask_qty_2", "ask_qty_3")]
    [1, 99.0, None, 0.0, None]
    """
    n = len(books)
    columns: dict[str, Any] = {
        "symbol": [symbol] * n,
        "ts_event": pa.array([book.ts_event for book in books], pa.int64()).cast(TIME),
        "ts_recv": [None] * n,
        "seq": range(1, n + 1),
        "file": ["request"] * n,
        "row": range(1, n + 1),
    }
    for level in range(LEVELS):
        for side in ("bid", "ask"):
            found = [_level(getattr(book, f"{side}s"), level) for book in books]
            columns[f"{side}_px_{level + 1}"] = [price for price, _ in found]
            columns[f"{side}_qty_{level + 1}"] = [quantity for _, quantity in found]
    for name, nothing in (("trade_px", None), ("trade_qty", None), ("trade_side", 0)):
        columns[name] = [getattr(book, name, nothing) for book in books]
    return pa.table([pa.array(columns[field.name], field.type) for field in RAW], schema=RAW)


def _level(side: tuple[Level, ...], level: int) -> Level:
    return side[level] if level < len(side) else (None, None)
