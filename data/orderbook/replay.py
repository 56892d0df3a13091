"""Deltas in, books out: the order book after each message, as Arrow tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.errors import DataError
from data.arrow import Column, pc
from data.orderbook.scan import UNNUMBERED, scan, write
from data.orderbook.state import Book, resized
from data.records import BOOKS, TIME
from data.records.books import LEVELS
from data.records.deltas import ACTIONS

BLOCK = 32_768
"""Deltas applied at once: what is written for them, and the room made for new levels, stay small."""

NOT_NOTED = np.iinfo(np.int64).min
"""``ts_recv`` where it is null."""


class Replay:
    """The order book of a symbol, carried through tables of deltas.

    A message is the deltas that share ``ts_event`` and ``seq``. It is applied as a whole and makes one row, once the
    next one begins or `finish` is called; however the deltas are cut into tables, the rows are the same to the bit.
    Messages that change nothing (hidden trades, halts, those that are not applied) make a row too.

    Levels of which messages determine neither price nor quantity are null, as `data.records.books` says; one whose
    price alone is determined has a null quantity. The trade of a message has the quantity of all its ``execute``,
    ``hidden`` and ``cross`` deltas, and price and side of the last of them.

    Parameters
    ----------
    book : Book
        What is known before; `data.orderbook.state.new_book` to begin with. It is copied; the ``book`` attribute is
        where it stands now, and another `Replay` of it goes on from there.
    symbol : str
        Whose book it is.
    levels : int
        Levels a side to write, 1 to 10; those behind are null.

    Examples
    --------
    >>> from data.orderbook.state import new_book
    >>> from data.records import DELTAS
    >>> row = {"symbol": "A", "ts_event": 1, "seq": 1, "side": 0}
    >>> clear = row | {"part": 0, "action": "clear"}
    >>> bid = row | {"part": 1, "action": "set", "side": 1, "price": 9.5, "qty": 100.0}
    >>> replay = Replay(new_book(whole=True), "A")
    >>> replay.feed(pa.Table.from_pylist([clear, bid], DELTAS)).num_rows  # the message may go on
    0
    >>> book = replay.finish().select(["bid_px_1", "bid_qty_1", "ask_px_1", "ask_qty_1"])
    >>> book.to_pylist()  # bids of 100 at 9.5, and certainly no ask
    [{'bid_px_1': 9.5, 'bid_qty_1': 100.0, 'ask_px_1': None, 'ask_qty_1': 0.0}]
    """

    def __init__(self, book: Book, symbol: str, levels: int = LEVELS) -> None:
        self.book, self.symbol, self.levels = resized(book), symbol, levels

    def feed(self, deltas: pa.Table) -> pa.Table:
        """Apply deltas, in the order of the lake, and return a row a message that they complete.

        Returns
        -------
        pyarrow.Table
            Schema `data.records.BOOKS`.

        Raises
        ------
        DataError
            An action is none of `data.records.deltas.ACTIONS`.
        """
        made = [self._block(deltas.slice(start, BLOCK)) for start in range(0, deltas.num_rows, BLOCK)]
        return pa.concat_tables([BOOKS.empty_table(), *made]).combine_chunks()

    def finish(self) -> pa.Table:
        """Return the row of the message in progress, if there is one: it is complete."""
        rows = int(self.book.memo["open"][0])
        stamp, out = self._room(1)
        if rows:
            write(self.book, self.levels, stamp[0], out[0])
        return self._table(stamp[:rows], out[:rows])

    def _block(self, deltas: pa.Table) -> pa.Table:
        n = deltas.num_rows
        if self.book.sides["held"].max() + n > self.book.levels.shape[1]:
            self.book = resized(self.book, 2 * n)
        stamp, out = self._room(n)
        value = np.stack([deltas[name].to_numpy() for name in ("price", "qty")])
        side = deltas["side"].to_numpy().astype(np.int8, copy=False)
        rows = scan(actions(deltas), side, value, times(deltas), self.book, self.levels, stamp, out)
        return self._table(stamp[:rows], out[:rows])

    def _room(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return np.empty((rows, 3), np.int64), np.empty((rows, 4 * self.levels + 3))

    def _table(self, stamp: NDArray[np.int64], out: NDArray[np.float64]) -> pa.Table:
        n, columns = len(out), np.ascontiguousarray(out.T)
        ts, recv, seq = np.ascontiguousarray(stamp.T)
        arrays: list[Column] = [
            pa.repeat(self.symbol, n),
            pa.array(ts).cast(TIME),
            pa.array(recv, mask=recv == NOT_NOTED).cast(TIME),
            pa.array(seq),
            *(pa.array(column, from_pandas=True) for column in columns[:-3]),
            *[pa.nulls(n, pa.float64())] * (4 * (LEVELS - self.levels)),
            *(pa.array(column, from_pandas=True) for column in columns[-3:-1]),
            pa.array(columns[-1].astype(np.int8)),
        ]
        return pa.table(arrays, schema=BOOKS)


def actions(deltas: pa.Table) -> NDArray[np.int8]:
    """Return what each delta does, as a position in `data.records.deltas.ACTIONS`.

    Raises
    ------
    DataError
        An action is none of them.
    """
    positions = pc.index_in(deltas["action"], value_set=pa.array(ACTIONS))
    if positions.null_count:
        strange = sorted({str(name) for name in deltas["action"].filter(positions.is_null()).to_pylist()})
        raise DataError(f"no action is called {', '.join(strange)}; known: {', '.join(ACTIONS)}")
    numbers: NDArray[np.int8] = positions.to_numpy().astype(np.int8)
    return numbers


def times(deltas: pa.Table) -> NDArray[np.int64]:
    """Return ``ts_event``, ``ts_recv``, ``seq`` and ``prev_seq``, a row each, as `data.orderbook.scan` takes them."""
    recv = pc.fill_null(deltas["ts_recv"].cast(pa.int64()), NOT_NOTED)
    prev = pc.fill_null(deltas["prev_seq"], UNNUMBERED)
    columns = (deltas["ts_event"].cast(pa.int64()), recv, deltas["seq"], prev)
    stacked: NDArray[np.int64] = np.stack([column.to_numpy() for column in columns])
    return stacked
