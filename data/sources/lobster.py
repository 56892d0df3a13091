"""LOBSTER: NASDAQ's order book rebuilt by lobsterdata.com, one pair of CSV files a symbol and day.

Prices are dollars × 10,000 in the files and dollars here; times are seconds after midnight there. Message types, and
what becomes of them:

==== =================================== =========== ============================
type what happened                       delta       tick
==== =================================== =========== ============================
1    a new limit order                   ``add``
2, 3 part of an order, all of it deleted ``cancel``
4    a visible order traded              ``execute`` yes
5    a hidden order traded               ``hidden``  yes, if ``hidden``
6    an auction                          ``cross``   yes, initiated by neither
7    price -1: halt; 0: quotes resume;   ``halt``,
     1: trading resumes                  ``resume``
==== =================================== =========== ============================

A trade is initiated by the side opposite to the resting order's. From 2014-07-14 on nobody knows it of type 5: Nasdaq
says of every hidden execution since that the order was to buy. Its side is 0 then, for a rule such as Lee and Ready's
to decide. A row with a cell that is not what it must be keeps its place and loses what its record kind cannot do
without (``action``, ``trade_side``, ``side``).

``seq`` is the nanosecond since midnight times 65,536, and the place among the messages of that nanosecond. So files of
a symbol's day that overlap in their hours agree on it, and a lake that takes in both has each event once; the deltas
have the book once more where the second begins. That holds for files of as many levels: with more levels other messages
are told. Say ``levels``, and a lake that has records of other levels refuses them; without it, all files that are read
together must have the same, and what the lake has of earlier ones is not checked.

Source: LOBSTER_SampleFiles_ReadMe.txt (2013-09-01), and lobsterdata.com, "Output structure", for type 6; Nasdaq
TotalView-ITCH 5.0, "Trade Message (Non-Cross)", for the side of hidden executions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce

import pyarrow as pa
from pydantic import Field, field_validator

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.arrow import Column, pc
from data.records.books import LEVELS
from data.sources.base import Source, SourceContext
from data.sources.files import Files
from data.sources.lobster_blocks import Block, blocks
from data.sources.lobster_files import Day, days
from data.sources.lobster_snapshots import Beginnings, snapshots
from data.sources.rows import raw_table

ACTION = pa.array(["add", "cancel", "cancel", "execute", "hidden", "cross", "resume"])


class LobsterOptions(Files):
    """What a recipe says about LOBSTER files.

    Parameters
    ----------
    path, paths : str, or tuple of str
        One of the two: a file of either kind, a glob, a folder or a zip, or several; ``.csv`` or ``.csv.gz``. Symbol,
        date and levels are read from the names; a file brings the other one of its pair with it.
    timezone : str
        IANA zone of the midnight that times count from.
    hidden : bool
        Whether trades against hidden orders are ticks.
    levels : int, optional
        Read files of so many levels only. Records of other levels, or of none that are said, are another series.
    """

    timezone: str = "America/New_York"
    hidden: bool = True
    levels: int | None = Field(default=None, ge=1)

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        return Session(timezone=name).timezone


def read(options: LobsterOptions, context: SourceContext) -> Iterator[pa.Table]:
    """Yield the records of every day, by symbol and date, a block of rows at a time.

    ``deltas`` are the messages, part 0 each. ``prev_seq`` is the one before in the file: where that is missing, a book
    that is rebuilt is unknown from there. After the first message comes the book it left, as ``clear`` (part 1) and
    ``set``: the file starts in mid-life, and this is the first that is known of it; without an order book file, or if
    its row cannot be read, a ``clear`` alone. The book comes again after each message that is lost because a cell
    cannot be read or makes no sense, or after the next one whose time and row of the book can be read; not for those
    of types 5 to 7, which change no book. Levels beyond the file's are unknown whenever they come into view. ``side``
    is the order's own; 0 for ``cross``.

    ``books`` have a row a message, and the trade where it is of type 4 or 5. Levels the file does not have are unknown.

    ``ticks`` show the book in the row before the trade's, and nothing for the first row.

    Raises
    ------
    DataError
        No file matches, they have different levels, a pair does not fit together, or one cannot be read; books are
        asked of messages alone.
    EmptySource
        A file is empty.
    """
    make = MAKERS[context.record]
    for day in days(context.root, options.patterns, options.levels):
        yield from make(day, options)


def _deltas(day: Day, options: LobsterOptions) -> Iterator[pa.Table]:
    beginnings = Beginnings()
    for block in blocks(day, options.timezone):
        table = _raw("deltas", day, block, _delta_columns(block))
        at = beginnings.next(block)
        if len(at):
            books = _raw("deltas", day, block, snapshots(block, at))
            table = pa.concat_tables([table, books]).sort_by([("row", "ascending"), ("part", "ascending")])
        yield table


def _delta_columns(block: Block) -> dict[str, Column]:
    action = ACTION.take(pc.subtract(block.type, 1))
    action = pc.if_else(pc.and_(pc.equal(block.type, 7), pc.equal(block.price, -1)), "halt", action)
    quiet = block.is_a(7)
    return {
        "part": pa.repeat(0, len(block.seq)),
        "prev_seq": block.prev,
        "action": pc.if_else(block.sound, action, None),
        "side": pc.if_else(block.is_a(6, 7), 0, block.direction),
        "price": block.dollars,
        "qty": pc.if_else(quiet, None, block.size),
        "order_id": pc.if_else(pc.greater(block.order, 0), block.order, None),
    }


def _books(day: Day, options: LobsterOptions) -> Iterator[pa.Table]:
    if day.books is None:
        raise DataError(
            f"{day.messages.name} has no order book file: add {day.name.written('orderbook')} beside it, "
            "or rebuild the book from its deltas"
        )
    for block in blocks(day, options.timezone):
        assert block.book is not None
        traded = block.is_a(4, 5)
        readable = reduce(pc.and_, [_readable(*block.book[i : i + 2]) for i in range(0, len(block.book), 2)])
        trade = {
            "trade_px": pc.if_else(traded, block.dollars, None),
            "trade_qty": pc.if_else(traded, block.size, None),
            "trade_side": pc.if_else(readable, block.initiator, None),
        }
        yield _raw("books", day, block, _level_columns(block.book) | trade)


def _readable(price: Column, quantity: Column) -> Column:
    """Whether a level is there with both cells, or known to be empty."""
    return pc.and_(quantity.is_valid(), pc.or_(price.is_valid(), pc.fill_null(pc.equal(quantity, 0.0), False)))


def _level_columns(book: list[Column]) -> dict[str, Column]:
    names = [f"{of}_{level}" for level in range(1, LEVELS + 1) for of in ("ask_px", "ask_qty", "bid_px", "bid_qty")]
    return dict(zip(names, book, strict=False))  # a file may have more levels than a row of ours, or fewer


def _ticks(day: Day, options: LobsterOptions) -> Iterator[pa.Table]:
    before = [pa.nulls(1, pa.float64())] * 4
    for block in blocks(day, options.timezone):
        quote = block.book[:4] if block.book is not None else [pa.nulls(len(block.seq), pa.float64())] * 4
        stood = [pa.concat_arrays([last, now.slice(0, len(now) - 1)]) for last, now in zip(before, quote, strict=True)]
        before = [now.slice(len(now) - 1) for now in quote]
        columns = dict(zip(("ask", "ask_qty", "bid", "bid_qty"), stood, strict=True))
        columns |= {"price": block.dollars, "volume": block.size, "side": block.initiator}
        columns["source"] = pa.repeat("lobster", len(block.seq))
        nothing = block.is_a(1, 2, 3, 7) if options.hidden else block.is_a(1, 2, 3, 5, 7)
        yield _raw("ticks", day, block, columns).filter(pc.invert(nothing))


MAKERS: dict[str, Callable[[Day, LobsterOptions], Iterator[pa.Table]]] = {
    "deltas": _deltas,
    "books": _books,
    "ticks": _ticks,
}


def _raw(record: str, day: Day, block: Block, columns: dict[str, Column]) -> pa.Table:
    named = {"ts_event": block.ts, "seq": block.seq, "row": block.row} | columns
    n = len(named["seq"])
    return raw_table(record, named | {"symbol": pa.repeat(day.name.symbol, n), "file": pa.repeat(day.messages.name, n)})


def _identity(options: LobsterOptions) -> str:
    told = [f"{options.levels} levels"] if options.levels else []
    return " ".join(told if options.hidden else ["visible", *told])


LOBSTER = Source(
    kind="lobster", options=LobsterOptions, read=read, identity=_identity, records=("deltas", "books", "ticks")
)
