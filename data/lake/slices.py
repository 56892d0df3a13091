"""Slices: the records of a symbol, cut as the lake keeps them, by date where the kind has dates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from data.lake import Lake
from data.lake.manifest import Entry, partition_name

PARTS = "parts"
"""Key in the note of an entry that was merged of several: the digest that these had together."""


def digest_of_parts(entries: Sequence[Entry]) -> str:
    """Return a hash of what files hold together; of one that was merged of several, that of those."""
    if len(entries) == 1:
        return entries[0].note.get(PARTS, entries[0].digest)
    return hashlib.sha256(repr([entry.digest for entry in entries]).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Slice:
    """What the lake holds of a symbol and date: mostly one file, several where a stream appends.

    Parameters
    ----------
    symbol, date : str
        Whose records they are, and their UTC date; empty for a kind that is kept by symbol alone.
    entries : tuple of Entry
        The files, in order.
    """

    symbol: str
    date: str
    entries: tuple[Entry, ...]

    @property
    def partition(self) -> str:
        """Name of the slice, and of what is made of it."""
        return partition_name(self.symbol, self.date)

    @property
    def rows(self) -> int:
        """Number of records."""
        return sum(entry.rows for entry in self.entries)

    @property
    def first(self) -> int:
        """Earliest ``ts_event``, UTC nanoseconds."""
        return min(entry.first for entry in self.entries)

    @property
    def last(self) -> int:
        """Latest ``ts_event``, UTC nanoseconds."""
        return max(entry.last for entry in self.entries)

    @property
    def digest(self) -> str:
        """Hash of the content: that of the file if there is one. Merging the files of a slice leaves it as it is."""
        return digest_of_parts(self.entries)


def slices(entries: Iterable[Entry]) -> dict[str, tuple[Slice, ...]]:
    """Return the slices of each symbol, by date.

    >>> day = lambda date: Entry(partition=f"A/{date}", path="p", rows=1, first=0, last=0, digest="d", date=date)
    >>> [s.partition for s in slices([day("2025-01-03"), day("2025-01-02")])["A"]]
    ['A/2025-01-02', 'A/2025-01-03']
    """
    found: dict[str, list[Slice]] = {}
    ordered = sorted(entries, key=lambda entry: (entry.symbol, entry.date, entry.part))
    for (symbol, date), parts in groupby(ordered, key=lambda entry: (entry.symbol, entry.date)):
        found.setdefault(symbol, []).append(Slice(symbol=symbol, date=date, entries=tuple(parts)))
    return {symbol: tuple(cut) for symbol, cut in found.items()}


def read_slice(lake: Lake, part: Slice, order: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Read a slice, or some columns of it, sorted by ``order`` where it has several files."""
    if len(part.entries) == 1:
        return lake.read_entry(part.entries[0], columns)
    wanted = None if columns is None else [*columns, *(name for name in order if name not in columns)]
    table = pa.concat_tables(lake.read_entry(entry, wanted) for entry in part.entries)
    table = table.sort_by([(name, "ascending") for name in order])
    return table if columns is None else table.select(list(columns))
