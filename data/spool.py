"""Rows put aside on local disk by symbol, so that a source larger than memory can be judged whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from data.arrow import pc


class Spool:
    """Tables of one schema by symbol, in the order they were added. Memory holds one symbol at a time.

    >>> from tempfile import mkdtemp
    >>> spool = Spool(Path(mkdtemp()))
    >>> spool.add(pa.table({"symbol": ["B", "A", "B"], "row": [1, 2, 3]}))
    >>> {symbol: table["row"].to_pylist() for symbol, table in spool}
    {'A': [2], 'B': [1, 3]}
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts: dict[str, list[Path]] = {}

    def add(self, table: pa.Table) -> None:
        """Put rows aside under their ``symbol``; those without one go under the empty name."""
        if not table.num_rows:
            return
        names = pc.fill_null(table["symbol"], "").combine_chunks().dictionary_encode()
        codes = names.indices.to_numpy()
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], np.diff(codes[order]) != 0]))
        for first, last in zip(starts, [*starts[1:], len(order)], strict=True):
            name = names.dictionary[int(codes[order[first]])].as_py()
            self._write(name, table.take(order[first:last]))

    def read(self, symbol: str) -> pa.Table:
        """Return everything added under a symbol."""
        return pa.concat_tables(_read(path) for path in self._parts[symbol])

    def __iter__(self) -> Iterator[tuple[str, pa.Table]]:
        for symbol in sorted(self._parts):
            yield symbol, self.read(symbol)

    def _write(self, symbol: str, table: pa.Table) -> None:
        parts = self._parts.setdefault(symbol, [])
        folder = self.folder / str(list(self._parts).index(symbol))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{len(parts)}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        parts.append(path)


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        return reader.read_all()
