"""The lake: Parquet by kind and partition, changed all at once or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bellwether.errors import ConfigError, DataError, NotInLake
from data.manifest import Entry, decode, encode, partition_name, version
from data.storage import Storage

__all__ = ["Entry", "Lake"]

MANIFEST, LOCK = "manifest.json", ".lock"


class Lake:
    """Tables by kind (``bars/1h``) and partition (a symbol, or its date), below a directory or a ``pyarrow.fs`` URI.

    Writing takes two steps. `stage` writes a Parquet file under the hash of its content, where nobody looks yet;
    `commit` then lists it in the kind's manifest by replacing that one small file. A reader sees the manifest
    before or after, never between, and a process killed at any instant leaves the old state or the new one.
    Committers of one kind wait for each other on a local file system; on an object store, which has no lock, let
    one process at a time commit a kind. Files no manifest names any more stay, for readers of an older manifest.

    Because of those, read with DuckDB or any other tool the files the manifest names, not every file there is::

        files = [f"{lake.uri}/{entry.path}" for entry in lake.entries("bars/1h").values()]
        duckdb.read_parquet(files).aggregate("symbol, count(*)")

    A lake holds nothing but its address: it may be sent to another process.

    Parameters
    ----------
    uri : str
        A directory (made absolute: other processes start elsewhere) or a URI such as ``s3://bucket/lake``.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> lake = Lake(mkdtemp())
    >>> entry = lake.stage("bars/1h", "BRK/B", pa.table({"close": [1.0, 2.0]}))
    >>> entry.path.rsplit("/", 1)[0], lake.partitions("bars/1h")
    ('bars/1h/symbol=BRK%2FB', ())
    >>> _ = lake.commit("bars/1h", [entry])
    >>> lake.read("bars/1h", "BRK/B")["close"].to_pylist()
    [1.0, 2.0]
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri if "://" in uri else str(Path(uri).expanduser().absolute())

    def __reduce__(self) -> tuple[Callable[[str], Lake], tuple[str]]:
        return Lake, (self.uri,)

    def __repr__(self) -> str:
        return f"Lake({self.uri!r})"

    @cached_property
    def _storage(self) -> Storage:
        return Storage(self.uri)

    def stage(
        self, kind: str, symbol: str, table: pa.Table, note: Mapping[str, str] | None = None, *, date: str = ""
    ) -> Entry:
        """Write a table where no reader looks yet, and return what `commit` needs to show it.

        The file is named by its content, so staging the same table again writes nothing. ``date``, an ISO date, is
        for kinds that keep a partition a symbol and UTC date.
        """
        content = _parquet(table)
        digest = hashlib.sha256(content).hexdigest()
        dated = f"/date={date}" if date else ""
        path = f"{_folder(kind)}/symbol={quote(symbol, safe='')}{dated}/{digest}.parquet"
        if not self._storage.exists(path):
            self._storage.write(path, content)
        first, last = _span(table)
        return Entry(
            partition=partition_name(symbol, date),
            date=date,
            path=path,
            rows=table.num_rows,
            first=first,
            last=last,
            digest=digest,
            note=dict(note or {}),
        )

    def commit(self, kind: str, entries: Iterable[Entry], *, replace: bool = False) -> str:
        """Show staged entries to readers, all at once.

        Parameters
        ----------
        kind : str
            The kind they were staged under.
        entries : iterable of Entry
            Each takes the place of the entry of its partition; other partitions stay as they are.
        replace : bool
            The kind holds only these entries afterwards.

        Returns
        -------
        str
            The kind's version now: the one before if nothing changed.

        Raises
        ------
        DataError
            An entry was staged under another kind, or its file is not there. Nothing is committed.
        """
        new = {entry.partition: entry for entry in entries}
        self._check_staged(kind, new)
        manifest = self._manifest(kind)
        with self._storage.lock(f"{_folder(kind)}/{LOCK}"):
            content = self._storage.read(manifest)
            before = decode(content)
            after = new if replace else before | new
            if after != before:
                content = encode(after)
                self._storage.write(manifest, content)
            return version(content)

    def entries(self, kind: str) -> dict[str, Entry]:
        """Return what the lake holds of a kind, by partition; empty for a kind it does not know."""
        return decode(self._storage.read(self._manifest(kind)))

    def of(self, kind: str, symbol: str) -> tuple[Entry, ...]:
        """Return the entries of a symbol, by date; empty if it has none."""
        return tuple(sorted((e for e in self.entries(kind).values() if e.symbol == symbol), key=lambda e: e.date))

    def symbols(self, kind: str) -> tuple[str, ...]:
        """Return the symbols of a kind, sorted."""
        return tuple(sorted({entry.symbol for entry in self.entries(kind).values()}))

    def partitions(self, kind: str) -> tuple[str, ...]:
        """Return the names of a kind's partitions, sorted."""
        return tuple(sorted(self.entries(kind)))

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds that have been committed, sorted."""
        found = self._storage.names(MANIFEST)
        return tuple(sorted(unquote(name.removesuffix(f"/{MANIFEST}")) for name in found))

    def read(self, kind: str, partition: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a partition, or some columns of it.

        Raises
        ------
        NotInLake
            There is no such kind or partition; the message lists those there are.
        """
        entries = self.entries(kind)
        if partition not in entries:
            raise NotInLake(self._absent(kind, partition, entries))
        return self.read_entry(entries[partition], columns)

    def read_entry(self, entry: Entry, columns: Sequence[str] | None = None) -> pa.Table:
        """Read exactly the file an entry names, whatever has been committed since.

        Raises
        ------
        NotInLake
            The file is gone.
        DataError
            The file has no such column.
        """
        try:
            with self._storage.open(entry.path) as stream, pq.ParquetFile(stream) as file:
                if missing := sorted(set(columns or ()) - set(file.schema_arrow.names)):
                    raise DataError(
                        f"{entry.path} has no column {', '.join(missing)}; it has: {file.schema_arrow.names}"
                    )
                return file.read(columns=None if columns is None else list(columns))
        except FileNotFoundError as error:
            raise NotInLake(f"{self.uri} names {entry.path}, which is gone; ingest or compute it again") from error

    def version(self, kind: str) -> str:
        """Return a hash that changes if and only if the kind's entries do; empty where there are none. Cheap."""
        return version(self._storage.read(self._manifest(kind)))

    def _manifest(self, kind: str) -> str:
        return f"{_folder(kind)}/{MANIFEST}"

    def _check_staged(self, kind: str, entries: Mapping[str, Entry]) -> None:
        for entry in entries.values():
            if not entry.path.startswith(f"{_folder(kind)}/symbol="):
                raise DataError(f"{entry.path} was not staged under {kind!r}; stage it there before committing it")
            if not self._storage.exists(entry.path):
                raise DataError(f"{entry.path} is not in {self.uri}; stage it there before committing it")

    def _absent(self, kind: str, partition: str, entries: Mapping[str, Entry]) -> str:
        if entries:
            return f"{self.uri} has no {partition!r} in {kind}; it has: {', '.join(sorted(entries))}"
        kinds = ", ".join(self.kinds()) or "nothing yet"
        return f"{self.uri} has no {kind}; it has: {kinds}. Ingest the recipe's source, or compute its features, first"


def digest_of(table: pa.Table) -> str:
    """Return the digest a table's entry has when it is staged: SHA-256 of its Parquet file."""
    return hashlib.sha256(_parquet(table)).hexdigest()


def _folder(kind: str) -> str:
    """Return the folder of a kind: its name, with what a path cannot hold percent-quoted."""
    parts = kind.split("/")
    if any(part in ("", ".", "..") or part.startswith("symbol=") for part in parts):
        raise ConfigError(f"{kind!r} cannot be a kind: its parts are names separated by '/', such as bars/1h")
    return quote(kind, safe="/")


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    pq.write_table(
        # one chunk, no foreign metadata: the same rows make the same bytes however they were put together
        table.combine_chunks().replace_schema_metadata(None),
        sink,
        compression="zstd",
        # floats hardly repeat: split into byte streams they pack a quarter smaller than with a dictionary, and faster
        use_dictionary=[name for name in table.column_names if name not in floats],  # type: ignore[arg-type]
        use_byte_stream_split=floats,  # type: ignore[arg-type]  # the stubs know only True and False
    )
    return sink.getvalue().to_pybytes()


def _span(table: pa.Table) -> tuple[int, int]:
    if "ts_event" not in table.column_names or not table.num_rows:
        return 0, 0
    ts = table.column("ts_event").cast(pa.int64())
    return int(pc.min(ts).as_py() or 0), int(pc.max(ts).as_py() or 0)
