"""What a lake holds of one kind: a list of entries, one a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

NEW = -1
"""Part number of an entry that was staged to be appended: `append_to` finds its place."""

HELD = 8
"""Decoded manifests a process keeps."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of a kind: where it is, and what is in it.

    Parameters
    ----------
    partition : str
        Name within the kind: the symbol, with the date where the kind is kept by date. See `partition_name`.
    path : str
        Parquet file, relative to the root of the lake.
    rows : int
        Number of rows.
    first, last : int
        Smallest and largest ``ts_event``, UTC nanoseconds; 0 for a table without rows or without such a column.
    digest : str
        SHA-256 of the file.
    note : mapping of str to str
        What the writer wants to find again, such as the definition its rows were computed with.
    date : str
        UTC date of the rows, ISO; empty for a kind that is kept by symbol alone.
    part : int
        Place among the files of its partition, in the order they were appended: 0 is the first, and the only one of
        a partition that was written whole. `NEW` until it is committed.
    """

    partition: str
    path: str
    rows: int
    first: int
    last: int
    digest: str
    note: Mapping[str, str] = field(default_factory=dict)
    date: str = ""
    part: int = 0

    @property
    def symbol(self) -> str:
        """The symbol whose rows they are."""
        return self.partition.removesuffix(f"/{self.date}") if self.date else self.partition

    @property
    def name(self) -> str:
        """Key among the entries of the kind: the partition, with the part where it is not the first."""
        return f"{self.partition}/part={self.part}" if self.part else self.partition


Parts = dict[str, tuple[Entry, ...]]
"""The files of each partition, in the order of their parts."""


def partition_name(symbol: str, date: str = "") -> str:
    """Return the name of a partition.

    >>> partition_name("BRK/B"), partition_name("AMZN", "2012-06-21")
    ('BRK/B', 'AMZN/2012-06-21')
    """
    return f"{symbol}/{date}" if date else symbol


def append_to(parts: Parts, entries: Iterable[Entry]) -> None:
    """Add entries to the partitions they are of, each in its turn.

    An entry whose part is 0 is a whole partition and takes the place of all its files. Any other comes after the
    files there are, unless one of them is the same file.

    >>> whole = Entry(partition="A", path="x/symbol=A/1.parquet", rows=1, first=1, last=1, digest="1")
    >>> more = replace(whole, path="x/symbol=A/2.parquet", digest="2", part=NEW)
    >>> parts: Parts = {}
    >>> append_to(parts, [whole, more, more])
    >>> [(entry.digest, entry.part) for entry in parts["A"]]
    [('1', 0), ('2', 1)]
    """
    for entry in entries:
        before = parts.get(entry.partition, ())
        if entry.part == 0:
            parts[entry.partition] = (entry,)
        elif all(entry.path != other.path for other in before):
            parts[entry.partition] = (*before, replace(entry, part=len(before)))


def flat(parts: Parts) -> dict[str, Entry]:
    """Return the entries of all partitions by name, numbered as they stand; partitions sorted."""
    every = (e if e.part == n else replace(e, part=n) for _, es in sorted(parts.items()) for n, e in enumerate(es))
    return {entry.name: entry for entry in every}


def encode(entries: Mapping[str, Entry]) -> bytes:
    """Write entries as JSON, one a line, the same bytes for the same entries."""
    ordered = sorted(entries.values(), key=lambda entry: (entry.partition, entry.part))
    lines = (f"{json.dumps(entry.name)}: {json.dumps(_row(entry), sort_keys=True)}" for entry in ordered)
    return ('{"schema": 1, "entries": {\n' + ",\n".join(lines) + "\n}}\n").encode()


def decode(content: bytes | None) -> dict[str, Entry]:
    """Read back what `encode` wrote; nothing comes from nothing.

    >>> entry = Entry(partition="AAPL", path="bars/1h/x.parquet", rows=1, first=1, last=1, digest="ab")
    >>> decode(encode({"AAPL": entry})) == {"AAPL": entry}
    True
    >>> decode(None)
    {}
    """
    return {} if content is None else dict(_decoded(content))


def decode_parts(content: bytes | None) -> Parts:
    """Read back what `encode` wrote, by partition."""
    return {} if content is None else dict(_parts(content))


def decode_symbols(content: bytes | None) -> Parts:
    """Read back what `encode` wrote, by symbol: its entries by date and part."""
    return {} if content is None else dict(_symbols(content))


def version(content: bytes | None) -> str:
    """Return the name of a manifest's content, empty where there is none."""
    return "" if content is None else hashlib.sha256(content).hexdigest()[:16]


@lru_cache(maxsize=HELD)
def _decoded(content: bytes) -> Mapping[str, Entry]:
    return {name: Entry(**row) for name, row in json.loads(content)["entries"].items()}


@lru_cache(maxsize=HELD)
def _parts(content: bytes) -> Parts:
    found: dict[str, list[Entry]] = {}
    for entry in _decoded(content).values():
        found.setdefault(entry.partition, []).append(entry)
    return {name: tuple(sorted(entries, key=lambda e: e.part)) for name, entries in found.items()}


@lru_cache(maxsize=HELD)
def _symbols(content: bytes) -> Parts:
    found: dict[str, list[Entry]] = {}
    for entry in _decoded(content).values():
        found.setdefault(entry.symbol, []).append(entry)
    return {name: tuple(sorted(entries, key=lambda e: (e.date, e.part))) for name, entries in found.items()}


def _row(entry: Entry) -> dict[str, Any]:
    """Return what the manifest says of an entry; a date or a part that is not there is not said."""
    said = {**vars(entry), "note": dict(entry.note)}
    return {name: value for name, value in said.items() if value or name not in ("date", "part")}
