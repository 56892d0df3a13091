"""What a lake holds of one kind: a list of entries, one a partition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One partition of a kind: which file it is, and what is in it.

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
    """

    partition: str
    path: str
    rows: int
    first: int
    last: int
    digest: str
    note: Mapping[str, str] = field(default_factory=dict)
    date: str = ""

    @property
    def symbol(self) -> str:
        """The symbol whose rows they are."""
        return self.partition.removesuffix(f"/{self.date}") if self.date else self.partition


def partition_name(symbol: str, date: str = "") -> str:
    """Return the name of a partition.

    >>> partition_name("BRK/B"), partition_name("AMZN", "2012-06-21")
    ('BRK/B', 'AMZN/2012-06-21')
    """
    return f"{symbol}/{date}" if date else symbol


def encode(entries: Mapping[str, Entry]) -> bytes:
    """Write entries as JSON, the same bytes for the same entries."""
    rows = {name: asdict(entry) for name, entry in sorted(entries.items())}
    return (json.dumps({"schema": 1, "entries": rows}, indent=1, sort_keys=True) + "\n").encode()


def decode(content: bytes | None) -> dict[str, Entry]:
    """Read back what `encode` wrote; nothing comes from nothing.

    >>> entry = Entry(partition="AAPL", path="bars/1h/x.parquet", rows=1, first=1, last=1, digest="ab")
    >>> decode(encode({"AAPL": entry})) == {"AAPL": entry}
    True
    >>> decode(None)
    {}
    """
    if content is None:
        return {}
    return {name: Entry(**row) for name, row in json.loads(content)["entries"].items()}


def version(content: bytes | None) -> str:
    """Return the name of a manifest's content, empty where there is none."""
    return "" if content is None else hashlib.sha256(content).hexdigest()[:16]
