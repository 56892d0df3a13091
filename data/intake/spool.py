"""Rows put aside on local disk by symbol and date, so that a source larger than memory can be judged whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from data.intake.cells import Ints, codes, sort
from data.wall import DAY

BUDGET = 128 * 1024 * 1024
"""Bytes of rows held in memory before they are put aside."""


class Place(NamedTuple):
    """Whose rows: a symbol, empty for those without one, and their UTC date if they are kept by date and have one."""

    symbol: str
    date: str = ""


class Spool:
    """Tables of one schema by symbol, and date where asked, in the order they were added.

    Rows are collected up to a budget, then written to one file, sorted by place: there are as many files as budgets,
    however many places. Reading holds one place at a time.

    Parameters
    ----------
    folder : Path
        Where the files go.
    dated : bool
        Whether rows are put aside by the UTC date of their ``ts_event`` too.
    budget : int
        Bytes held in memory.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> spool = Spool(Path(mkdtemp()))
    >>> spool.add(pa.table({"symbol": ["B", "A", "B"], "row": [1, 2, 3]}))
    >>> {place.symbol: table["row"].to_pylist() for place, table in spool}
    {'A': [2], 'B': [1, 3]}
    """

    def __init__(self, folder: Path, *, dated: bool = False, budget: int = BUDGET) -> None:
        self.folder, self.dated, self.budget = folder, dated, budget
        self._held: list[pa.Table] = []
        self._bytes = 0
        self._places: dict[Place, list[tuple[Path, int, int]]] = {}
        self._files = 0

    def add(self, table: pa.Table) -> None:
        """Put rows aside under their place."""
        if table.num_rows:
            self._held.append(table)
            self._bytes += table.nbytes
        if self._bytes >= self.budget:
            self._write()

    def read(self, place: Place) -> pa.Table:
        """Return everything added under a place."""
        self._write()
        return pa.concat_tables(_open(path).slice(first, rows) for path, first, rows in self._places[place])

    @property
    def places(self) -> tuple[Place, ...]:
        """Everything added is under one of these; sorted."""
        self._write()
        return tuple(sorted(self._places))

    def __iter__(self) -> Iterator[tuple[Place, pa.Table]]:
        for place in self.places:
            yield place, self.read(place)

    def _write(self) -> None:
        if not self._held:
            return
        held = pa.concat_tables(self._held).combine_chunks()
        self._held, self._bytes = [], 0
        names = codes(held["symbol"])
        days = codes(held["ts_event"]) // DAY if self.dated else np.zeros(len(names), np.int64)
        order = sort([names, days])
        held = held.take(order)
        path = self.folder / f"{self._files}.arrow"
        self._files += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, held.schema) as writer:
            writer.write_table(held)
        for first, last in _runs(names[order], days[order]):
            place = self._place(held, first, int(days[order[first]]))
            self._places.setdefault(place, []).append((path, first, last - first))

    def _place(self, held: pa.Table, row: int, day: int) -> Place:
        known = self.dated and held["ts_event"][row].is_valid
        return Place(held["symbol"][row].as_py() or "", str(np.datetime64(day, "D")) if known else "")


def _runs(names: Ints, days: Ints) -> Iterator[tuple[int, int]]:
    new = np.flatnonzero((np.diff(names) != 0) | (np.diff(days) != 0)) + 1
    bounds = [0, *new.tolist(), len(names)]
    return pairwise(bounds)


def _open(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()
