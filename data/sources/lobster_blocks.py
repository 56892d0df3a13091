"""LOBSTER's cells as numbers and times, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data.arrow import Column, pc
from data.records import TIME
from data.sources.lobster_files import Day, paired

DOLLAR = 10_000.0
NOBODY = 9_999_999_999
"""Price, with either sign, of a level that is not there."""

CLOCK = r"^(?P<seconds>\d{1,5})(?:\.(?P<parts>\d{1,9}))?$"
WHOLE = r"^-?\d{1,18}$"
SECOND = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Block:
    """Consecutive messages and the book after each; null is a cell that cannot be read.

    Parameters
    ----------
    seq, ts, type, order, size, direction : pyarrow.Array
        Of each message; ``type`` is null if it is none of 1 to 7.
    price : pyarrow.Array
        As in the file.
    sound : pyarrow.Array
        Whether every cell of the message that counts can be read.
    book : list of pyarrow.Array, or None
        Price and quantity of ask and bid of each level: null and 0 where the level is empty.
    """

    seq: Column
    ts: Column
    type: Column
    order: Column
    size: Column
    price: Column
    direction: Column
    sound: Column
    book: list[Column] | None

    @property
    def dollars(self) -> Column:
        """Prices in dollars; null for messages that have none."""
        return pc.if_else(pc.equal(self.type, 7), None, _dollars(self.price))

    def is_a(self, *types: int) -> Column:
        """Whether messages are of one of these types; those of no known type are of none."""
        return pc.is_in(self.type, value_set=pa.array(types, pa.int64()))

    @property
    def initiator(self) -> Column:
        """Who initiated a trade of type 4 or 5, the other side than the order's; 0 for all else, null for unsound."""
        trade = pc.if_else(self.is_a(4, 5), pc.negate(self.direction), 0)
        return pc.if_else(self.sound, trade, None)


def blocks(day: Day, zone: str) -> Iterator[Block]:
    """Yield a day's messages and books, a block of rows at a time.

    Parameters
    ----------
    zone : str
        IANA zone of the midnight that times count from.

    Raises
    ------
    DataError, EmptySource
        As `data.sources.lobster_files.paired` does.
    """
    done = 0
    for messages, book in paired(day):
        yield _block(day, zone, messages, book, done)
        done += messages.num_rows


def _block(day: Day, zone: str, messages: pa.RecordBatch, book: pa.RecordBatch | None, done: int) -> Block:
    kind, order, size, price, direction = (_whole(column) for column in messages.columns[1:])
    ts = _utc(messages.column(0), day, zone)
    kind = pc.if_else(pc.is_in(kind, value_set=pa.array(range(1, 8))), kind, None)
    sided = pc.or_(_among(direction, -1, 1), pc.equal(kind, 6))
    told = pc.and_(sided, pc.and_(size.is_valid(), price.is_valid()))
    sound = pc.if_else(pc.equal(kind, 7), _among(price, -1, 0, 1), told)
    return Block(
        seq=pa.array(np.arange(done + 1, done + 1 + messages.num_rows)),
        ts=ts,
        type=kind,
        order=order,
        size=size.cast(pa.float64()),
        price=price,
        direction=direction,
        sound=pc.fill_null(sound, False),
        book=None if book is None else _book([_whole(column) for column in book.columns]),
    )


def _book(cells: list[Column]) -> list[Column]:
    return [column for i in range(0, len(cells), 2) for column in _level(cells[i], cells[i + 1])]


def _level(price: Column, quantity: Column) -> tuple[Column, Column]:
    nobody = pc.fill_null(pc.equal(pc.abs(price), NOBODY), False)
    return pc.if_else(nobody, None, _dollars(price)), quantity.cast(pa.float64())


def _dollars(price: Column) -> Column:
    return pc.divide(price.cast(pa.float64()), DOLLAR)


def _among(column: Column, *values: int) -> Column:
    return pc.is_in(column, value_set=pa.array(values, pa.int64()))


def _whole(column: Column) -> Column:
    """Return whole numbers, null where a cell is none."""
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:  # some cell is no number: only its own row shall suffer
        trimmed = pc.utf8_trim_whitespace(column)
        return pc.if_else(pc.match_substring_regex(trimmed, WHOLE), trimmed, None).cast(pa.int64())


def _utc(column: Column, day: Day, zone: str) -> Column:
    """Return UTC nanoseconds of seconds after midnight, exactly, null where a cell is none.

    On a day that changes its clocks, times count what the clocks show.
    """
    parts = pc.extract_regex(pc.utf8_trim_whitespace(column), CLOCK)
    seconds = pc.struct_field(parts, "seconds").cast(pa.int64())
    rest = pc.utf8_rpad(pc.struct_field(parts, "parts"), width=9, padding="0").cast(pa.int64())
    midnight = np.datetime64(day.name.day, "ns").astype(np.int64).item()
    walls = pc.add(pc.add(pc.multiply(seconds, SECOND), rest), midnight).cast(pa.timestamp("ns"))
    return pc.assume_timezone(walls, zone, ambiguous="latest", nonexistent="latest").cast(TIME)
