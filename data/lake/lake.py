"""The lake: Parquet by kind and partition, changed all at once or not at all."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace as changed
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bellwether.errors import ConfigError, DataError, NotInLake
from data.lake.manifest import (
    NEW,
    Entry,
    Parts,
    append_to,
    decode,
    decode_parts,
    decode_symbols,
    encode,
    flat,
    partition_name,
    version,
)
from data.lake.storage import Storage

__all__ = ["Entry", "Lake", "Parts"]

MANIFEST, LOCK = "manifest.json", ".lock"
LONGEST = 255
"""Bytes of the longest name that a folder has on common file systems."""

USER = re.compile(r"://[^/?#]*@")
"""Who logs in to an object store, and the password."""


class Lake:
    """Tables by kind (``bars/1h``) and partition (a symbol, or its date), below a directory or a ``pyarrow.fs`` URI.

    Writing takes two steps. `stage` writes a Parquet file under the hash of its content, where nobody looks yet;
    `commit` then lists it in the kind's manifest by replacing that one small file. A reader sees the manifest
    before or after, never between, and a process killed at any instant leaves the old state or the new one.
    Committers of one kind wait for each other on a local file system; on an object store, which has no lock, let
    one process at a time commit, compact or vacuum a kind. Files no manifest names any more stay, for readers of an
    older manifest, until `data.lake.vacuum` takes those that have been out of use for long.

    A partition is one file, or several: `append` stages a further part of it, so that a stream adds a batch without
    writing the day again, and `compact` makes one file of the parts. Read a partition by `read`, `parts` or
    `of`, which have all of it; ``entries(kind)[partition]`` is its first part.

    Because of files out of use, other tools read the files the manifest names, not every file there is:
    `data.lake.views` makes the views for DuckDB.

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

    def __reduce__(self) -> tuple[Any, ...]:
        return Lake, (self.uri,)

    def __repr__(self) -> str:
        return f"Lake({self.shown!r})"

    @property
    def shown(self) -> str:
        """Its address as it may be told: without the user and the password that a URI may hold.

        >>> Lake("s3://key:secret@bucket/lake?region=eu-west-1")
        Lake('s3://bucket/lake?region=eu-west-1')
        """
        return USER.sub("://", self.uri, count=1)

    @cached_property
    def storage(self) -> Storage:
        """Where its bytes are."""
        return Storage(self.uri)

    def stage(
        self, kind: str, symbol: str, table: pa.Table, note: Mapping[str, str] | None = None, *, date: str = ""
    ) -> Entry:
        """Write a table where no reader looks yet, and return what `commit` needs to show it as the whole partition.

        The file is named by its content, so staging the same table again writes nothing. ``date``, an ISO date, is
        for kinds that keep a partition a symbol and UTC date.

        Raises
        ------
        ConfigError
            The kind, the symbol or the date cannot name a folder.
        """
        content = _parquet(table)
        digest = hashlib.sha256(content).hexdigest()
        path = f"{_folder(kind)}/{_partition_folder(symbol, date)}/{digest}.parquet"
        self.storage.put(path, content)
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

    def append(
        self, kind: str, symbol: str, table: pa.Table, note: Mapping[str, str] | None = None, *, date: str = ""
    ) -> Entry:
        """Do what `stage` does, for a table that `commit` is to add to its partition as a further part.

        A part that the partition has already is not added again, so a commit may be repeated after a crash; once
        parts are compacted they cannot be told any more, and a stream goes by the offset in the partition's note.
        """
        return changed(self.stage(kind, symbol, table, note, date=date), part=NEW)

    def commit(self, kind: str, entries: Iterable[Entry], *, replace: bool = False) -> str:
        """Show staged entries to readers, all at once.

        Parameters
        ----------
        kind : str
            The kind they were staged under.
        entries : iterable of Entry
            One from `stage` takes the place of all files of its partition, one from `append` comes after them;
            other partitions stay as they are.
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
        staged = list(entries)

        def change(parts: Parts) -> None:
            if replace:
                parts.clear()
            append_to(parts, staged)

        return self.update(kind, change)

    def update(self, kind: str, change: Callable[[Parts], None]) -> str:
        """Change what the lake holds of a kind by what it holds, with no other committer in between.

        Parameters
        ----------
        kind : str
            The kind.
        change : callable
            Given the files of each partition in order; changes that mapping in place. Entries are numbered by their
            place afterwards. It runs while other committers of the kind wait, so it should be short.

        Returns
        -------
        str
            The kind's version now: the one before if nothing changed.

        Raises
        ------
        DataError
            An entry was staged under another kind, or its file is not there. Nothing is changed.
        """
        return version(self._updated(kind, change))

    def _updated(self, kind: str, change: Callable[[Parts], None]) -> bytes | None:
        """Do what `update` does, and return the kind's manifest as it is afterwards."""
        with self.lock(kind):
            content = self.storage.read(self._manifest(kind))
            before, parts = decode(content), decode_parts(content)
            change(parts)
            after = flat(parts)
            old, new = ({entry.path for entry in entries.values()} for entries in (before, after))
            self._check_staged(kind, new - old)
            if after != before:
                for path in old - new:
                    self.storage.touch(path)  # its readers have the whole grace period of a vacuum from now on
                content = encode(after)
                self.storage.write(self._manifest(kind), content)
            return content

    @contextmanager
    def lock(self, kind: str) -> Iterator[None]:
        """Keep other committers of a kind out; on an object store there is no lock and this does nothing."""
        with self.storage.lock(f"{_folder(kind)}/{LOCK}"):
            yield

    def entries(self, kind: str) -> dict[str, Entry]:
        """Return what the lake holds of a kind, by name: the partition, and further parts of it after it.

        Empty for a kind it does not know.
        """
        return decode(self._content(kind))

    def parts(self, kind: str) -> Parts:
        """Return the files of each partition of a kind, in order; empty for a kind it does not know."""
        return decode_parts(self._content(kind))

    def of(self, kind: str, symbol: str) -> tuple[Entry, ...]:
        """Return the entries of a symbol, by date and part; empty if it has none."""
        return decode_symbols(self._content(kind)).get(symbol, ())

    def symbols(self, kind: str) -> tuple[str, ...]:
        """Return the symbols of a kind, sorted."""
        return tuple(sorted(decode_symbols(self._content(kind))))

    def partitions(self, kind: str) -> tuple[str, ...]:
        """Return the names of a kind's partitions, sorted."""
        return tuple(sorted(self.parts(kind)))

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds that have been committed, sorted."""
        found, pending = [], [""]
        while pending:
            folder = pending.pop()
            for name, is_folder in self.storage.children(folder):
                if is_folder and not name.startswith("symbol="):
                    pending.append(f"{folder}{name}/")
                elif name == MANIFEST:
                    found.append(unquote(folder.removesuffix("/")))
        return tuple(sorted(found))

    def read(self, kind: str, partition: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a partition, or some columns of it: its parts, one after the other as they were appended.

        Raises
        ------
        NotInLake
            There is no such kind or partition; the message lists those there are.
        """
        parts = self.parts(kind)
        if partition not in parts:
            raise NotInLake(self._absent(kind, partition, parts))
        return pa.concat_tables(self.read_entry(entry, columns) for entry in parts[partition])

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
            with self.storage.open(entry.path) as stream, pq.ParquetFile(stream) as file:
                if missing := sorted(set(columns or ()) - set(file.schema_arrow.names)):
                    raise DataError(
                        f"{entry.path} has no column {', '.join(missing)}; it has: {file.schema_arrow.names}"
                    )
                return file.read(columns=None if columns is None else list(columns))
        except FileNotFoundError as error:
            raise NotInLake(f"{self.shown} names {entry.path}, which is gone; ingest or compute it again") from error

    def version(self, kind: str) -> str:
        """Return a hash that changes if and only if the kind's entries do; empty where there are none. Cheap."""
        return version(self._content(kind))

    def _content(self, kind: str) -> bytes | None:
        """Return the kind's manifest as readers are to see it."""
        return self.storage.read(self._manifest(kind))

    def _manifest(self, kind: str) -> str:
        return f"{_folder(kind)}/{MANIFEST}"

    def _check_staged(self, kind: str, paths: Collection[str]) -> None:
        found = self.storage.find(paths)
        for path in sorted(paths):
            if not path.startswith(f"{_folder(kind)}/symbol="):
                raise DataError(f"{path} was not staged under {kind!r}; stage it there before committing it")
            if path not in found:
                raise DataError(f"{path} is not in {self.shown}; stage it there before committing it")

    def _absent(self, kind: str, partition: str, partitions: Iterable[str]) -> str:
        if there := sorted(partitions):
            return f"{self.shown} has no {partition!r} in {kind}; it has: {', '.join(there)}"
        kinds = ", ".join(self.kinds()) or "nothing yet"
        first = "Ingest the recipe's source, or compute its features, first"
        return f"{self.shown} has no {kind}; it has: {kinds}. {first}"


def _folder(kind: str) -> str:
    """Return the folder of a kind: its name, with what a path cannot hold percent-quoted."""
    parts = kind.split("/")
    if any(part in ("", ".", "..") or part.startswith("symbol=") for part in parts):
        raise ConfigError(f"{kind!r} cannot be a kind: its parts are names separated by '/', such as bars/1h")
    return quote(kind, safe="/")


def _partition_folder(symbol: str, date: str) -> str:
    """Return the folder of a partition below its kind's."""
    if not can_be_partition(symbol):
        raise ConfigError(
            f"{symbol!r} cannot be a symbol: it is empty, too long, or means something else in a lake's paths"
        )
    if date and not _is_date(date):
        raise ConfigError(f"{date!r} is no date; give one such as 2012-06-21")
    return _symbol_folder(symbol) + (f"/date={date}" if date else "")


def can_be_partition(symbol: str) -> bool:
    """Tell whether a symbol can name a partition: file systems have a longest name, and a lake has some of its own.

    >>> can_be_partition("BRK/B"), can_be_partition(""), can_be_partition("long " * 60)
    (True, False, False)
    """
    reserved = symbol in ("", "__HIVE_DEFAULT_PARTITION__") or re.search(r"/part=\d+$", symbol)
    return not reserved and len(_symbol_folder(symbol)) <= LONGEST


def _symbol_folder(symbol: str) -> str:
    return f"symbol={quote(symbol, safe='')}"


def _is_date(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


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
