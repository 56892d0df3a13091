"""Books at the end of each interval, of the books after each change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.frozen import Frozen
from bellwether.errors import ConfigError
from data.arrow import Column
from data.derive.base import Derivation, DeriveContext
from data.records import BOOKS, TIME


class SnapshotOptions(Frozen):
    """A derivation that leaves nothing to say: the interval is the recipe's."""


def make(parts: Iterator[pa.Table], options: SnapshotOptions, context: DeriveContext) -> Iterator[pa.Table]:
    """Yield the last book of each interval, stamped with the interval's end.

    Intervals end at the multiples of their length since 1970 UTC; a book at the very end belongs to the interval.
    One without any book gives no row: that nothing changed and that nothing was recorded look the same. The last
    interval is given although records may end before it does. ``seq`` is the book's; there is no trade in it, and
    no ``ts_recv``: the row is made at the end of the interval.

    Raises
    ------
    ConfigError
        The recipe has no interval.
    """
    step = context.interval_ns
    if step <= 0:
        raise ConfigError("derivation 'snapshots' samples books by the interval: give the recipe one, e.g. 5min")
    held = BOOKS.empty_table()
    for part in parts:
        books = pa.concat_tables([held, part])
        last = _last_of_each(_ends(books, step))
        yield _stamped(books.take(last[:-1]), step)
        held = books.take(last[-1:])
    yield _stamped(held, step)


def _ends(books: pa.Table, step: int) -> NDArray[np.int64]:
    ts: NDArray[np.int64] = books["ts_event"].cast(pa.int64()).to_numpy()
    return -(-ts // step) * step


def _last_of_each(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of the last row of each run."""
    return np.flatnonzero(np.append(ends[1:] != ends[:-1], np.ones(min(1, len(ends)), bool)))


def _stamped(books: pa.Table, step: int) -> pa.Table:
    n = books.num_rows
    given: dict[str, Column] = {
        "ts_event": pa.array(_ends(books, step)).cast(TIME),
        "ts_recv": pa.nulls(n, TIME),
        "trade_px": pa.nulls(n, pa.float64()),
        "trade_qty": pa.nulls(n, pa.float64()),
        "trade_side": pa.repeat(0, n).cast(pa.int8()),
    }
    return pa.table([given.get(name, books[name]) for name in BOOKS.names], schema=BOOKS)


KIND = Derivation(kind="snapshots", takes="books", gives="books", options=SnapshotOptions, make=make)
