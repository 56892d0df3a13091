"""Tables of raw rows, from the columns or the rows a source has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from data.arrow import Column
from data.records import record_kind

BLOCK = 65_536
"""Rows a table is given when they come one by one."""


def raw_table(record: str, columns: Mapping[str, Column]) -> pa.Table:
    """Return columns as raw rows of a record kind, null in those that are not given.

    >>> raw_table("ticks", {"price": pa.array([1.5]), "file": pa.array(["a"])}).select(["price", "side"]).to_pylist()
    [{'price': 1.5, 'side': None}]
    """
    schema = record_kind(record).raw
    n = len(next(iter(columns.values())))
    given = (columns.get(field.name) for field in schema)
    arrays = [pa.nulls(n, f.type) if c is None else c.cast(f.type) for f, c in zip(schema, given, strict=True)]
    return pa.table(arrays, schema=schema)


class Rows:
    """Raw rows of a record kind from one file, collected one by one.

    Parameters
    ----------
    record : str
        Name of the record kind.
    file : str
        What rows say they are from.

    Examples
    --------
    >>> rows = Rows("factors", "a.csv")
    >>> rows.add(("AAA", 0, "buy_rate", 0.5, 1))
    >>> rows.bad(2)
    >>> rows.taken().select(["factor", "file", "row"]).to_pylist()
    [{'factor': 'buy_rate', 'file': 'a.csv', 'row': 1}, {'factor': None, 'file': 'a.csv', 'row': 2}]
    """

    def __init__(self, record: str, file: str) -> None:
        self._record, self._file = record, file
        self._names = [name for name in record_kind(record).raw.names if name != "file"]
        self._rows: list[tuple[Any, ...]] = []

    @property
    def full(self) -> bool:
        """Whether it is time to take them."""
        return len(self._rows) >= BLOCK

    def add(self, row: tuple[Any, ...]) -> None:
        """Add a row: its values in the order of the kind's raw schema without ``file``; times in nanoseconds."""
        self._rows.append(row)

    def bad(self, number: int) -> None:
        """Add a row of which nothing is known but where it is; quarantine will show it."""
        self._rows.append((*(None,) * (len(self._names) - 1), number))

    def taken(self) -> pa.Table:
        """Return the rows since the last time."""
        schema = record_kind(self._record).raw
        values = zip(*self._rows, strict=True) if self._rows else iter([()] * len(self._names))
        columns = {name: pa.array(c, schema.field(name).type) for name, c in zip(self._names, values, strict=True)}
        columns["file"] = pa.repeat(self._file, len(self._rows))
        self._rows = []
        return raw_table(self._record, columns)
