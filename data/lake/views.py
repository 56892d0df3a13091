"""DuckDB views of a lake: one a kind, of exactly the files its manifest names."""

from __future__ import annotations

import datetime as dt
import functools
import json
import operator
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bellwether.errors import ConfigError, NotInLake
from data.lake.lake import Entry, Lake
from data.lake.storage import replace_file
from data.records import RECORDS, record_kind

ENTRIES = "entries"
"""Name of the table of what the manifests say, a row a file."""

_TOLD: dict[str, Any] = {
    "kind": pa.string(),
    "symbol": pa.string(),
    "date": pa.date32(),
    "part": pa.int64(),
    "rows": pa.int64(),
    "first": pa.timestamp("ns"),
    "last": pa.timestamp("ns"),
    "path": pa.string(),
    "note": pa.string(),
}

_COLUMNS: dict[str, tuple[Any, str]] = {"symbol": (pa.string(), "VARCHAR"), "date": (pa.date32(), "DATE")}


def write_views(lake: Lake, path: Path) -> tuple[str, ...]:
    """Write a DuckDB file with the views of a lake as it is now, at one instant, and return their names.

    Whatever opens DuckDB files then reads the lake's tables where they are: the file has no rows of records. It shows
    the lake as it was when it was written; write it again to see what was committed since, and after a vacuum.

    Raises
    ------
    ConfigError
        The lake is not a local directory.
    NotInLake
        The lake is empty.
    """
    import duckdb

    if not lake.storage.local:
        raise ConfigError(
            f"{lake.shown} is no local directory, and the file's views could not read it; use bellwether sql"
        )
    if path.exists() and not _is_duckdb(path):
        raise ConfigError(f"{path} is there and is no DuckDB file: name another file, or remove it first")
    with TemporaryDirectory(prefix="bellwether-views-") as folder:
        made = Path(folder) / "views.duckdb"
        with closing(duckdb.connect(str(made))) as connection:
            names = define_views(connection, lake)
        replace_file(path, made.read_bytes())
    return names


def _is_duckdb(path: Path) -> bool:
    """Tell by the mark that DuckDB puts into its files."""
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


def define_views(connection: Any, lake: Lake) -> tuple[str, ...]:
    """Make the views of `connected` in a DuckDB database, and return their names, sorted."""
    kinds = {kind: entries for kind in lake.kinds() if (entries := tuple(lake.entries(kind).values()))}
    if not kinds:
        raise NotInLake(f"{lake.shown} is empty; ingest something first: bellwether ingest RECIPE")
    connection.from_arrow(_told(kinds)).create(ENTRIES)
    names = {ENTRIES}
    for kind, own in _names(kinds).items():
        view = _view(connection, lake, kind, kinds[kind])
        for name in own:
            view.create_view(name)
        names |= own
    for record in RECORDS.keys() - names:
        intervals = [kind for kind in kinds if kind.startswith(f"{record}/")]
        if intervals and not record_kind(record).dated:
            connection.execute(
                f"create view {_quoted(record)} as {' union all by name '.join(map(_interval, intervals))}"
            )
            names.add(record)
    return tuple(sorted(names))


def _names(kinds: Iterable[str]) -> dict[str, set[str]]:
    """Return the names of each kind's view: its own, and one without quotes; DuckDB does not tell case apart."""
    plain = {kind: re.sub(r"\W", "_", kind) for kind in kinds}
    taken = Counter([ENTRIES, *(name.casefold() for kind in plain for name in {kind, plain[kind]})])
    return {kind: {name for name in (kind, plain[kind]) if taken[name.casefold()] == 1} for kind in plain}


def _interval(kind: str) -> str:
    interval = kind.partition("/")[2].replace("'", "''")
    return f"select *, '{interval}' as interval from {_quoted(kind)}"


def _view(connection: Any, lake: Lake, kind: str, entries: Sequence[Entry]) -> Any:
    """Return the relation of the files of a kind, with ``symbol`` and ``date``."""
    with lake.storage.open(entries[0].path) as stream:
        schema = pq.read_schema(stream)
    read = _read if lake.storage.local else _scan
    found = read(connection, lake, entries, schema, _partitioned(kind, entries, schema))
    # DuckDB has few functions for times that are both in a zone and to the nanosecond; this form is as quick to filter
    times = [f"make_timestamp_ns(epoch_ns({_quoted(f.name)})) as {_quoted(f.name)}" for f in schema if _is_time(f.type)]
    found = found.project(f"* replace ({', '.join(times)})") if times else found
    if "date" in found.columns or "ts_event" not in schema.names:
        return found
    return found.project("*, cast(ts_event as date) as date")


def _is_time(type_: pa.DataType) -> bool:
    return pa.types.is_timestamp(type_) and type_.tz is not None


def _partitioned(kind: str, entries: Sequence[Entry], schema: pa.Schema) -> tuple[str, ...]:
    """Return which columns the partition says, so that files that cannot match are left unopened."""
    if "symbol" in schema.names and kind.split("/")[0] not in RECORDS:
        return ()  # a symbol in weights or quarantine is another than the partition's
    return ("symbol", "date") if all(entry.date for entry in entries) else ("symbol",)


def _read(connection: Any, lake: Lake, entries: Sequence[Entry], _: pa.Schema, columns: Sequence[str]) -> Any:
    """Let DuckDB read local files."""
    types = ", ".join(f"{name}: {_COLUMNS[name][1]}" for name in columns)
    how = f"hive_partitioning=true, hive_types={{{types}}}" if columns else "hive_partitioning=false"
    files = {"files": [lake.storage.path(entry.path) for entry in entries]}
    return connection.sql(f"select * from read_parquet($files, {how})", params=files)


def _scan(connection: Any, lake: Lake, entries: Sequence[Entry], schema: pa.Schema, columns: Sequence[str]) -> Any:
    """Let Arrow read files of a storage that DuckDB does not know."""
    for name in columns:
        if name not in schema.names:
            schema = schema.append(pa.field(name, _COLUMNS[name][0]))
    files = ds.FileSystemDataset.from_paths(
        [lake.storage.path(entry.path) for entry in entries],
        schema=schema,
        format=ds.ParquetFileFormat(),
        filesystem=lake.storage.fs,
        partitions=[_partition(entry, columns) for entry in entries],
    )
    name = f"files {entries[0].path}"
    connection.register(name, files)
    return connection.sql(f"select * from {_quoted(name)}")


def _partition(entry: Entry, columns: Sequence[str]) -> Any:
    values: dict[str, Any] = {"symbol": entry.symbol, "date": _date(entry)}
    known = [ds.field(name) == pa.scalar(values[name]) for name in columns]
    return functools.reduce(operator.and_, known, ds.scalar(True))


def _date(entry: Entry) -> dt.date | None:
    return dt.date.fromisoformat(entry.date) if entry.date else None


def _told(kinds: Mapping[str, Sequence[Entry]]) -> pa.Table:
    rows = [
        {
            "kind": kind,
            "symbol": entry.symbol,
            "date": _date(entry),
            "part": entry.part,
            "rows": entry.rows,
            "first": entry.first or None,
            "last": entry.last or None,
            "path": entry.path,
            "note": json.dumps(dict(entry.note), sort_keys=True),
        }
        for kind, entries in kinds.items()
        for entry in entries
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(_TOLD))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
