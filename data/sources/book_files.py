"""Snapshots of order books from CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pydantic import Field, field_validator

from bellwether.errors import DataError
from data.arrow import Column
from data.records import BOOKS
from data.records.books import LEVELS
from data.sources.base import Source, SourceContext
from data.sources.columns import Tables, called, listed, matched, of_event, sides
from data.sources.files import batches, each, numbers
from data.sources.rows import raw_table

ALIASES = {
    "ts_event": "timestamp",
    "bid_px_1": "best_bid",
    "ask_px_1": "best_ask",
    "bid_qty_1": "bid_volume",
    "ask_qty_1": "ask_volume",
}
KNOWN = {name: (ALIASES[name], name) if name in ALIASES else (name,) for name in BOOKS.names}
"""What files call our columns."""

UNUSED = ("mid_price", "spread", "total_orders", "num_bids", "num_asks")
"""Columns that follow from others, or that no level has; known and not read."""

NUMBERS = tuple(name for name in BOOKS.names if "_px" in name or "_qty" in name)


class BookOptions(Tables):
    """What a recipe says about its files of books: one snapshot a row, as far down as the columns go.

    Parameters
    ----------
    path, paths : str, or tuple of str
        One of the two: a file, a glob or a folder (its CSV and Parquet files), or several, all of the same form.
    columns : mapping
        The file's name of each of ours where it is not in `KNOWN`, such as ``bid_px_3: B3``. The time and the first
        level must be there, and what is named here; every level that a side has has its price and its quantity.
        Levels without columns are unknown. A cell with no price and a quantity of 0 says that the level is empty.
        A file without a symbol column holds one symbol and is named after it. Books without ``seq`` are numbered in
        the order they come, and as many as say the same are one; where the column is there, every book needs its
        number. Snapshots once an interval are one a time, whatever their number.
    timezone : str, optional
        IANA zone of times that name none; then it must be said. Times that name one need none.
    ignore : tuple of str
        Columns to leave unread besides `UNUSED`. Any other column that is not ours is an error.
    """

    columns: dict[str, str] = Field(default_factory=dict)

    @field_validator("columns")
    @classmethod
    def _ours(cls, columns: dict[str, str]) -> dict[str, str]:
        if unknown := [name for name in columns if name not in KNOWN]:
            raise ValueError(f"no column of ours is called {listed(unknown)}; ours are {listed(BOOKS.names[:8])} …")
        return columns


def read(options: BookOptions, context: SourceContext) -> Iterator[pa.Table]:
    """Yield the books of every file, a batch of rows at a time; a number or time that cannot be read is NaN or null.

    Raises
    ------
    ConfigError
        Times name no zone, or another than ``timezone``.
    DataError
        No file matches, one cannot be read, has other columns than expected, or a price without its quantity.
    EmptySource
        No file has records.
    """
    return each(context.root, options.patterns, lambda path: _read(path, options, context))


def _read(path: Path, options: BookOptions, context: SourceContext) -> Iterator[pa.Table]:
    columns = _columns(options, path)
    row = 1
    for batch in batches(path, list(dict.fromkeys(columns.values()))):
        raw = of_event(batch, columns, path, row, options.timezone, context.root) | _book(batch, columns)
        yield raw_table("books", raw)
        row += batch.num_rows


def _columns(options: BookOptions, path: Path) -> dict[str, str]:
    may_lack = KNOWN.keys() - ALIASES.keys() - options.columns.keys()
    columns = matched(path, called(KNOWN, options.columns), may_lack, (*UNUSED, *options.ignore))
    for side in ("bid", "ask"):
        for level in range(2, LEVELS + 1):
            pair = [f"{side}_px_{level}", f"{side}_qty_{level}"]
            if sum(name in columns for name in pair) == 1:
                raise DataError(f"{path.name} has one of {listed(pair)}: name both in `columns`, or ignore both")
    return columns


def _book(batch: pa.RecordBatch, columns: dict[str, str]) -> dict[str, Column]:
    book: dict[str, Column] = {name: numbers(batch.column(columns[name])) for name in NUMBERS if name in columns}
    unknown = pa.repeat(pa.scalar(0, pa.int8()), batch.num_rows)
    return book | {"trade_side": sides(batch.column(columns["trade_side"])) if "trade_side" in columns else unknown}


BOOK_FILES = Source(kind="book-files", options=BookOptions, read=read, records=("books",), sampled=("books",))
