"""SQL over a lake, by DuckDB, that changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

from bellwether.errors import ConfigError, DataError
from data.lake.lake import Lake
from data.lake.views import ENTRIES, define_views

READS = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
"""What a query may consist of, as DuckDB names the nodes of its syntax; a COPY or INSERT in a WITH is another."""


@contextmanager
def connected(lake: Lake) -> Iterator[Any]:
    """Open a DuckDB connection with the views of a lake, as its manifests are now.

    Each kind is a view under its own name, to be quoted (``"bars/1h"``), and under one that needs no quotes
    (``bars_1h``: every other character is ``_``), unless two kinds would have the same. ``bars`` and ``factors``
    have all intervals, told apart by a column ``interval``. A view has the columns of its files, ``symbol`` where
    they lack it, and ``date`` where they have a time. Times are TIMESTAMP_NS in UTC. ``entries`` is what the manifests
    say, a row a file.

    Yields
    ------
    duckdb.DuckDBPyConnection
        In memory. Views stay true to the manifests read at the beginning, whatever is committed meanwhile.

    Raises
    ------
    NotInLake
        The lake is empty.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import pyarrow as pa
    >>> lake = Lake(mkdtemp())
    >>> rows = pa.table({"ts_event": pa.array([1, 2], pa.timestamp("ns", "UTC")), "price": [10.0, 11.0]})
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

    SHOW, DESCRIBE and SUMMARIZE count as SELECT. Nothing else runs, so a query changes no file.

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


def _check_reads(connection: Any, query: str) -> None:
    """Refuse what is not one query that only reads."""
    syntax = connection.execute("select json_serialize_sql($1)", [query]).fetchall()[0][0]
    said = json.loads(syntax)
    if said["error"] and said["error_type"] == "parser":
        return  # running it says what is wrong with it, and where
    if said["error"] or len(said["statements"]) != 1 or set(re.findall(r'"type":"(\w+_NODE)"', syntax)) - READS:
        raise ConfigError(
            f"{query.strip()!r} is not one query that only reads; ask one SELECT, SHOW, DESCRIBE or SUMMARIZE"
        )


def _views(connection: Any) -> list[str]:
    """Return what a query may name without quotes."""
    query = "select view_name from duckdb_views() where not internal and regexp_full_match(view_name, '\\w+')"
    return sorted([ENTRIES, *(name for (name,) in connection.execute(query).fetchall())])


def _line(error: Exception) -> str:
    """Return DuckDB's message without the picture of the query below it, as one line."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())
