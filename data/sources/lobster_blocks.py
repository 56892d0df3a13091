"""LOBSTER's cells as numbers and times, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import reduce

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.arrow import Column, pc
from data.records import TIME
from data.sources.lobster_files import Day, paired

DOLLAR = 10_000.0
NOBODY = 9_999_999_999
"""Price, with either sign, of a level that is not there."""

CLOCK = r"^(?P<seconds>\d{1,5})(?:\.(?P<parts>\d{1,9}))?$"
WHOLE = r"^-?\d{1,18}$"
SECOND = 1_000_000_000

AT_ONCE = 1 << 16
"""Messages of a nanosecond that get numbers of their own."""

UNSIGNED = date(2014, 7, 14)
"""The first day on which Nasdaq says of every hidden execution that the order was to buy."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Block:
    """Consecutive messages and the book after each; null is a cell that cannot be read.

    Parameters
    ----------
    row : pyarrow.Array
        Number of the message in its file, from 1.
    seq, prev : pyarrow.Array
        Its number (see `Numbers`), and that of the one before it; null for the first of the file.
    ts, type, order, size : pyarrow.Array
        Of each message; ``type`` is null if it is none of 1 to 7.
    price : pyarrow.Array
        As in the file.
    direction : pyarrow.Array
        The order's side, 1 or -1; 0 for executions of hidden orders from `UNSIGNED` on.
    sound : pyarrow.Array
        Whether every cell of the message that counts can be read.
    lost : pyarrow.Array
        Whether the message goes to quarantine and may have changed the book.
    book : list of pyarrow.Array, or None
        Price and quantity of ask and bid of each level: null and 0 where the level is empty.
    """

    row: Column
    seq: Column
    prev: Column
    ts: Column
    type: Column
    order: Column
    size: Column
    price: Column
    direction: Column
    sound: Column
    lost: Column
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

    @property
    def shown(self) -> Column:
        """Whether the book after the message can be said: when it was, and all of its levels."""
        book = self.book or [pa.nulls(len(self.row), pa.float64())] * 2
        return reduce(pc.and_, [_shown(*book[i : i + 2]) for i in range(0, len(book), 2)], self.ts.is_valid())


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
    numbers = Numbers()
    for messages, book in paired(day):
        yield _block(day, zone, messages, book, numbers)


class Numbers:
    """Numbers messages so that every file that has one, with the same levels, gives it the same number.

    The number is the nanosecond since midnight times `AT_ONCE`, and the place among the messages of that nanosecond:
    files of other hours have all of them or none. One whose time cannot be read counts as of the time before it.

    >>> numbers = Numbers()
    >>> [divmod(seq, AT_ONCE) for block in ([5, 5], [5, None, 7]) for seq in numbers.next(pa.array(block)).tolist()]
    [(5, 0), (5, 1), (5, 2), (5, 3), (7, 0)]
    """

    def __init__(self) -> None:
        self.rows = 0
        self._clock, self._place = 0, -1
        self._before: int | None = None

    def next(self, clock: Column) -> Ints:
        """Return the numbers of the next messages, by their nanoseconds since midnight."""
        given = pc.fill_null(clock, -1).to_numpy()
        at = np.arange(1, 1 + len(given))
        last = np.maximum.accumulate(np.where(given >= 0, at, 0))
        filled = np.append(self._clock, given)[last]
        before = np.append(self._clock, filled[:-1])
        first = np.maximum.accumulate(np.where(filled != before, at, -self._place))
        place = at - first
        self.rows += len(given)
        self._clock, self._place = int(filled[-1]), int(place[-1])
        numbers: Ints = filled * AT_ONCE + place
        return numbers

    def previous(self, seq: Ints, counts: Ints) -> Column:
        """Return the number before each message, passing over those that do not count."""
        known = np.append(-1 if self._before is None else self._before, seq)
        last = np.maximum.accumulate(np.where(counts, np.arange(1, 1 + len(seq)), 0))
        before = known[np.append(0, last)]
        self._before = int(before[-1]) if before[-1] >= 0 else None
        return pa.array(before[:-1], mask=before[:-1] < 0)


def _block(day: Day, zone: str, messages: pa.RecordBatch, book: pa.RecordBatch | None, numbers: Numbers) -> Block:
    kind, order, size, price, direction = (_whole(column) for column in messages.columns[1:])
    clock = _clock(messages.column(0))
    ts = _utc(clock, day, zone)
    kind = pc.if_else(pc.is_in(kind, value_set=pa.array(range(1, 8))), kind, None)
    sided = pc.or_(_among(direction, -1, 1), pc.equal(kind, 6))
    told = pc.and_(sided, pc.and_(size.is_valid(), price.is_valid()))
    sound = pc.fill_null(pc.if_else(pc.equal(kind, 7), _among(price, -1, 0, 1), told), False)
    if day.name.day >= UNSIGNED:
        direction = pc.if_else(_among(kind, 5), 0, direction)
    row = np.arange(numbers.rows + 1, numbers.rows + 1 + messages.num_rows)
    seq = numbers.next(clock)
    kept = _kept(kind, size, price, pc.and_(sound, ts.is_valid()))
    quiet = _among(kind, 5, 6, 7)
    return Block(
        row=pa.array(row),
        seq=pa.array(seq),
        prev=numbers.previous(seq, pc.or_(kept, pc.invert(quiet)).to_numpy(False)),
        ts=ts,
        type=kind,
        order=order,
        size=size.cast(pa.float64()),
        price=price,
        direction=direction,
        sound=sound,
        lost=pc.invert(pc.or_(kept, quiet)),
        book=None if book is None else _book([_whole(column) for column in book.columns]),
    )


def _kept(kind: Column, size: Column, price: Column, sound: Column) -> Column:
    """Whether messages pass the rules of deltas."""
    sensible = pc.and_(pc.greater(price, 0), pc.greater_equal(size, 0))
    return pc.and_(sound, pc.fill_null(pc.or_(_among(kind, 7), sensible), False))


def _shown(price: Column, quantity: Column) -> Column:
    there = pc.fill_null(pc.and_(pc.greater(price, 0), pc.greater(quantity, 0)), False)
    return pc.or_(there, pc.and_(price.is_null(), pc.fill_null(pc.equal(quantity, 0.0), False)))


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


def _clock(column: Column) -> Column:
    """Return nanoseconds after midnight, exactly, null where a cell is none."""
    parts = pc.extract_regex(pc.utf8_trim_whitespace(column), CLOCK)
    seconds = pc.struct_field(parts, "seconds").cast(pa.int64())
    rest = pc.utf8_rpad(pc.struct_field(parts, "parts"), width=9, padding="0").cast(pa.int64())
    return pc.add(pc.multiply(seconds, SECOND), rest)


def _utc(clock: Column, day: Day, zone: str) -> Column:
    """Return UTC times. On a day that changes its clocks, times count what the clocks show."""
    midnight = np.datetime64(day.name.day, "ns").astype(np.int64).item()
    walls = pc.add(clock, midnight).cast(pa.timestamp("ns"))
    return pc.assume_timezone(walls, zone, ambiguous="latest", nonexistent="latest").cast(TIME)
