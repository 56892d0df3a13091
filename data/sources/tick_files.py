"""Ticks from CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import Field

from data.arrow import Column
from data.sources.base import Source, SourceContext
from data.sources.columns import Tables, called, matched, of_event, sides
from data.sources.files import batches, each, numbers, text
from data.sources.rows import raw_table

Name = Literal[
    "symbol", "ts_event", "ts_recv", "seq", "price", "volume", "bid", "ask", "bid_qty", "ask_qty", "side", "source"
]

KNOWN: dict[str, tuple[str, ...]] = {
    "symbol": ("symbol",),
    "ts_event": ("tick_generated_at", "ts_event"),
    "ts_recv": ("ws_received_at", "ts_recv"),
    "seq": ("seq",),
    "price": ("price",),
    "volume": ("volume",),
    "bid": ("bid",),
    "ask": ("ask",),
    "bid_qty": ("bid_qty1", "bid_qty"),
    "ask_qty": ("ask_qty1", "ask_qty"),
    "side": ("side",),
    "source": ("source",),
}
"""What files call our columns."""

NEEDED = {"ts_event", "price", "volume"}
UNUSED = ("id", "spread", "ws_processed_at", "consumer_processed_at", "bid_qty2", "ask_qty2")
"""Columns of feeds that are known and not read."""


class TickOptions(Tables):
    """What a recipe says about its files of ticks: one trade a row, with the quote that stood before it.

    Parameters
    ----------
    path, paths : str, or tuple of str
        One of the two: a file, a glob or a folder (its CSV and Parquet files), or several, all of the same form.
    columns : mapping
        The file's name of each of ours (symbol, ts_event, ts_recv, seq, price, volume, bid, ask, bid_qty, ask_qty,
        side, source) where it is not in `KNOWN`. Only ts_event, price and volume must be there, and what is named
        here. A file without a symbol column holds one symbol and is named after it. ``side`` says who started the
        trade: 1, buy or b; -1, sell or s; 0 or blank where it is not known. A feed without ``seq`` has its ticks
        numbered in the order they come, and as many as say the same in every column are one: trades of one instant,
        price and size that are different ones need a ``seq`` to be told apart. Where the column is there, every tick
        needs its number, and one that lacks it is rejected; ``ignore`` a column that is blank.
    timezone : str, optional
        IANA zone of times that name none; then it must be said. Times that name one need none.
    ignore : tuple of str
        Columns to leave unread besides `UNUSED`. Any other column that is not ours is an error.
    """

    columns: dict[Name, str] = Field(default_factory=dict)


def read(options: TickOptions, context: SourceContext) -> Iterator[pa.Table]:
    """Yield the ticks of every file, a batch of rows at a time; a number or time that cannot be read is NaN or null.

    Raises
    ------
    ConfigError
        Times name no zone, or another than ``timezone``.
    DataError
        No file matches, one cannot be read, or has other columns than expected.
    EmptySource
        No file has records.
    """
    return each(context.root, options.patterns, lambda path: _read(path, options, context))


def _read(path: Path, options: TickOptions, context: SourceContext) -> Iterator[pa.Table]:
    named = {str(name): column for name, column in options.columns.items()}
    columns = matched(path, called(KNOWN, named), KNOWN.keys() - NEEDED - named.keys(), (*UNUSED, *options.ignore))
    row = 1
    for batch in batches(path, list(dict.fromkeys(columns.values()))):
        raw = of_event(batch, columns, path, row, options.timezone, context.root) | _trade(batch, columns)
        yield raw_table("ticks", raw)
        row += batch.num_rows


def _trade(batch: pa.RecordBatch, columns: dict[str, str]) -> dict[str, Column]:
    names = ("price", "volume", "bid", "ask", "bid_qty", "ask_qty")
    trade: dict[str, Column] = {name: numbers(batch.column(columns[name])) for name in names if name in columns}
    if "source" in columns:
        trade["source"] = text(batch.column(columns["source"]))
    unknown = pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows)
    return trade | {"side": sides(batch.column(columns["side"])) if "side" in columns else unknown}


TICK_FILES = Source(kind="tick-files", options=TickOptions, read=read, records=("ticks",))
