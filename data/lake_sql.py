"""DuckDB over a lake: a view a kind, of exactly the files its manifest names."""

from __future__ import annotations

import datetime as dt
import functools
import json
import operator
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bellwether.errors import ConfigError, DataError, NotInLake
from data.lake import Entry, Lake
from data.records import RECORDS, TIME, record_kind
from data.storage import replace_file

ENTRIES = "entries"
"""Name of the table of what the manifests say, a row a file."""

READS = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
"""What a query may consist of, as DuckDB names the nodes of its syntax; a COPY or INSERT in a WITH is another."""

_TOLD: dict[str, Any] = {
    "kind": pa.string(),
    "symbol": pa.string(),
    "date": pa.date32(),
    "part": pa.int64(),
    "rows": pa.int64(),
    "first": TIME,
    "last": TIME,
    "path": pa.string(),
    "note": pa.string(),
}

_COLUMNS: dict[str, tuple[Any, str]] = {"symbol": (pa.string(), "VARCHAR"), "date": (pa.date32(), "DATE")}


@contextmanager
def connected(lake: Lake) -> Iterator[Any]:
    """Open a DuckDB connection with the views of a lake, as its manifests are now.

    Each kind is a view under its own name, to be quoted (``"bars/1h"``), and under one that needs no quotes
    (``bars_1h``: every other character is ``_``), unless two kinds would have the same. ``bars`` and ``factors``
    have all intervals, told apart by a column ``interval``. A view has the columns of its files, ``symbol`` where
    they lack it, and ``date``, the UTC date, where rows have a time. ``entries`` is what the manifests say, a row
    a file.

    Yields
    ------
    duckdb.DuckDBPyConnection
        In memory, its time zone UTC; times keep their nanoseconds. Views stay true to the manifests read at the
        beginning, whatever is committed meanwhile.

    Raises
    ------
    NotInLake
        The lake is empty.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> lake = Lake(mkdtemp())
    >>> rows = pa.table({"ts_event": pa.array([1, 2], TIME), "price": [10.0, 11.0]})
    >>> _ = lake.commit("ticks", [lake.stage("ticks", "BRK/B", rows, date="1970-01-01")])
    >>> with connected(lake) as connection:
    ...     connection.execute("select symbol, max(price) from ticks group by all").fetchall()
    [('BRK/B', 11.0)]
    """
    import duckdb

    with closing(duckdb.connect()) as connection:
        define_views(connection, lake)
        yield connection


@contextmanager
def queried(lake: Lake, query: str, values: Sequence[Any] | Mapping[str, Any] | None = None) -> Iterator[Any]:
    """Run one SELECT over the views of a lake, with values bound to ``?`` or ``$name``.

    SHOW and DESCRIBE count as SELECT. Nothing else runs, so a query changes no file.

    Yields
    ------
    pyarrow.RecordBatchReader
        The result, batch by batch.

    Raises
    ------
    ConfigError
        It is no SELECT, or DuckDB cannot make sense of it; the message has what DuckDB says.
    NotInLake
        The lake is empty.
    DataError
        It fails while it runs.
    """
    import duckdb

    with connected(lake) as connection:
        try:
            _check_reads(connection, query)
            yield connection.sql(query, params=values).to_arrow_reader()
        except duckdb.CatalogException as error:
            raise ConfigError(f"{_line(error)} The lake has: {', '.join(_views(connection))}") from error
        except duckdb.ProgrammingError as error:
            raise ConfigError(_line(error)) from error
        except duckdb.Error as error:
            raise DataError(_line(error)) from error


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
            f"{lake.uri} is no local directory, and the file's views could not read it; use bellwether sql"
        )
    with TemporaryDirectory(prefix="bellwether-views-") as folder:
        made = Path(folder) / "views.duckdb"
        with closing(duckdb.connect(str(made))) as connection:
            names = define_views(connection, lake)
        replace_file(path, made.read_bytes())
    return names


def define_views(connection: Any, lake: Lake) -> tuple[str, ...]:
    """Make the views of `connected` in a DuckDB database, and return their names, sorted."""
    connection.execute("set TimeZone = 'UTC'")
    kinds = {kind: entries for kind in lake.kinds() if (entries := tuple(lake.entries(kind).values()))}
    if not kinds:
        raise NotInLake(f"{lake.uri} is empty; ingest something first: bellwether ingest RECIPE")
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
    taken = Counter(name.casefold() for kind in plain for name in {kind, plain[kind]})
    return {kind: {name for name in (kind, plain[kind]) if taken[name.casefold()] == 1} for kind in plain}


def _interval(kind: str) -> str:
    return f"select *, '{kind.partition('/')[2]}' as interval from {_quoted(kind)}"


def _view(connection: Any, lake: Lake, kind: str, entries: Sequence[Entry]) -> Any:
    """Return the relation of the files of a kind, with ``symbol`` and ``date``."""
    with lake.storage.open(entries[0].path) as stream:
        schema = pq.read_schema(stream)
    read = _read if lake.storage.local else _scan
    found = read(connection, lake, entries, schema, _partitioned(kind, entries, schema))
    if "date" in found.columns or "ts_event" not in schema.names:
        return found
    return found.project("*, cast(ts_event at time zone 'UTC' as date) as date")


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


def _check_reads(connection: Any, query: str) -> None:
    """Refuse what is not one query that only reads."""
    syntax = connection.execute("select json_serialize_sql($1)", [query]).fetchall()[0][0]
    said = json.loads(syntax)
    if said["error"] and said["error_type"] == "parser":
        return  # running it says what is wrong with it, and where
    if said["error"] or len(said["statements"]) != 1 or set(re.findall(r'"type":"(\w+_NODE)"', syntax)) - READS:
        raise ConfigError(
            f"{query.strip()!r} is not one query that only reads; ask one SELECT, SHOW or DESCRIBE"
        )


def _views(connection: Any) -> list[str]:
    """Return what a query may name without quotes."""
    query = "select view_name from duckdb_views() where not internal and regexp_full_match(view_name, '\\w+')"
    return sorted([ENTRIES, *(name for (name,) in connection.execute(query).fetchall())])


def _line(error: Exception) -> str:
    """Return DuckDB's message without the picture of the query below it, as one line."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
