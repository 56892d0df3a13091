"""LOBSTER's files: which message and order book files belong together, and their cells side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.csv as csv

from bellwether.errors import DataError, EmptySource
from data.sources.archives import Stream, streams

What = Literal["message", "orderbook"]

NAME = re.compile(
    r"(?P<symbol>.+)_(?P<date>\d{4}-\d\d-\d\d)_(?P<hours>\d+_\d+)_(?P<what>message|orderbook)_(?P<levels>\d+)\.csv(\.gz)?"
)
FORM = "LOBSTER file (SYMBOL_YYYY-MM-DD_START_END_message_LEVELS.csv and its orderbook, plain, .gz or in a .zip)"
BLOCK = 1 << 20
"""Bytes of a file that are read at a time."""

MESSAGE = ("time", "type", "order", "size", "price", "direction")


@dataclass(frozen=True, kw_only=True)
class FileName:
    """What LOBSTER says in a file's name.

    >>> FileName.of("BRK.B_2012-06-21_34200000_57600000_orderbook_5.csv.gz").symbol
    'BRK.B'
    """

    symbol: str
    day: date
    hours: str
    what: What
    levels: int

    @classmethod
    def of(cls, leaf: str) -> FileName:
        """Read a name.

        Raises
        ------
        ValueError
            It is not one of LOBSTER's.
        """
        match = NAME.fullmatch(leaf)
        if match is None:
            raise ValueError(f"{leaf} is no {FORM}")
        what: What = "message" if match["what"] == "message" else "orderbook"
        day = date.fromisoformat(match["date"])
        return cls(symbol=match["symbol"], day=day, hours=match["hours"], what=what, levels=int(match["levels"]))

    def written(self, what: What) -> str:
        """Return how the file of either kind is called, without ``.gz``."""
        return f"{self.symbol}_{self.day}_{self.hours}_{what}_{self.levels}.csv"


@dataclass(frozen=True, kw_only=True)
class Day:
    """One symbol's day.

    Parameters
    ----------
    name : FileName
        What the name of the message file says.
    messages : Stream
        A message a row.
    books : Stream or None
        The book after each message; None where there is no such file.
    """

    name: FileName
    messages: Stream
    books: Stream | None


def days(root: Path, patterns: Sequence[str], levels: int | None = None) -> list[Day]:
    """Return the days that paths, globs, folders and zips hold, by symbol and date.

    A file of either kind brings the other one with it if that lies in the same folder.

    Parameters
    ----------
    levels : int, optional
        Files of other levels are passed over.

    Raises
    ------
    DataError
        Nothing of LOBSTER's is there, a day is there twice or days have different levels, or an order book file has no
        message file.
    """
    found: dict[tuple[str, date], dict[What, Stream]] = {}
    form = f"{FORM} of {levels} levels" if levels else FORM
    for stream in streams(root, patterns, partial(_is_lobster, levels=levels), form):
        name = FileName.of(stream.leaf)
        kinds = found.setdefault((name.symbol, name.day), {})
        for what, one in {name.what: stream, **_beside(stream, name)}.items():
            if kinds.setdefault(what, one) != one:
                raise DataError(f"{name.symbol} of {name.day} is in {kinds[what].name} and in {one.name}: name one")
    made = [_day(kinds) for _, kinds in sorted(found.items())]
    if len(several := sorted({day.name.levels for day in made})) > 1:
        raise DataError(
            f"there are files of {' and '.join(map(str, several))} levels, which tell of different messages: say "
            "`levels` in the source's options"
        )
    return made


def paired(day: Day) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
    """Yield a day's cells as text, messages beside the book after each, a block of rows at a time.

    Raises
    ------
    DataError
        A file cannot be read or has other columns than its name says, or one has more rows than the other.
    EmptySource
        A file is empty.
    """
    messages = _cells(day.messages, MESSAGE)
    if day.books is None:
        yield from ((block, None) for block in messages)
        return
    books = _cells(day.books, [str(n) for n in range(4 * day.name.levels)])
    done, left, right = 0, next(messages, None), next(books, None)
    while left is not None and right is not None:
        n = min(left.num_rows, right.num_rows)
        yield left.slice(0, n), right.slice(0, n)
        done, left, right = done + n, left.slice(n), right.slice(n)
        left = left if left.num_rows else next(messages, None)
        right = right if right.num_rows else next(books, None)
    if left is not None or right is not None:
        raise DataError(
            f"{day.messages.name} has {_count(done, left, messages):,} rows and {day.books.name} has "
            f"{_count(done, right, books):,}: "
            "they are not of the same day and levels, or one is cut off; fetch both again"
        )


def _count(done: int, block: pa.RecordBatch | None, rest: Iterator[pa.RecordBatch]) -> int:
    return done + (block.num_rows if block is not None else 0) + sum(b.num_rows for b in rest)


def _is_lobster(leaf: str, levels: int | None) -> bool:
    try:
        found = FileName.of(leaf).levels
    except ValueError:
        return False
    return 0 < found == (levels or found)


def _beside(stream: Stream, name: FileName) -> dict[What, Stream]:
    """Return the file of the other kind in the folder of one that is in no zip."""
    other: What = "orderbook" if name.what == "message" else "message"
    if stream.inner:
        return {}
    paths = [stream.path.with_name(name.written(other) + ending) for ending in ("", ".gz")]
    there = [path for path in paths if path.is_file()]
    return {other: Stream(path=there[0])} if there else {}


def _day(kinds: dict[What, Stream]) -> Day:
    books = kinds.get("orderbook")
    if "message" not in kinds:
        assert books is not None
        raise DataError(f"{books.name} has no message file: add {FileName.of(books.leaf).written('message')} beside it")
    name = FileName.of(kinds["message"].leaf)
    if books is not None and FileName.of(books.leaf).written("message") != name.written("message"):
        raise DataError(
            f"{kinds['message'].name} and {books.name} are not of the same hours and levels: name those that are"
        )
    return Day(name=name, messages=kinds["message"], books=books)


def _cells(stream: Stream, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    convert = csv.ConvertOptions(
        column_types={name: pa.string() for name in columns}, null_values=[""], strings_can_be_null=True
    )
    # one thread: only then an error knows its row
    options = csv.ReadOptions(column_names=list(columns), block_size=BLOCK, use_threads=False)
    try:
        with stream.opened() as file, csv.open_csv(file, read_options=options, convert_options=convert) as reader:
            yield from (block for block in reader if block.num_rows)
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):
            raise EmptySource(f"{stream.name} is empty; put the right file there or leave it out") from error
        raise DataError(f"{stream.name} cannot be read: {error}") from error
