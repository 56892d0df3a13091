"""OHLCV bars from CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import Field

from data.arrow import Column
from data.sources.base import RAW, Source, SourceContext
from data.sources.columns import Tables, closes, matched
from data.sources.files import batches, each, numbers, origin, stem, text
from data.sources.times import to_utc

Name = Literal["symbol", "time", "open", "high", "low", "close", "volume"]
NAMES: tuple[Name, ...] = ("symbol", "time", "open", "high", "low", "close", "volume")


class OhlcvOptions(Tables):
    """What a recipe says about its files of bars.

    Parameters
    ----------
    path, paths : str, or tuple of str
        One of the two: a file, a glob or a folder (its CSV and Parquet files), or several, all of the same form.
    columns : mapping
        The file's name of each of ours (symbol, time, open, high, low, close, volume) where it has another. A file
        without a symbol column holds one symbol and is named after it.
    timezone : str, optional
        IANA zone of times that name none; then it must be said. Times that name one need none.
    stamped : "start" or "close"
        Which end of the bar its time is. It must be said: a bar read as closed when it only began shows the future.
        Bars stamped with their start close an interval later, or with the session, whichever comes first. On a
        day that closes early the last bar is stamped with the regular close: no earlier than it was known.
    ignore : tuple of str
        Columns to leave unread. Any other column that is not ours is an error.
    volume : "required" or "absent"
        Whether a missing volume is a fault (its row goes to quarantine), or the market reports none and it is 0.
    """

    columns: dict[Name, str] = Field(default_factory=dict)
    stamped: Literal["start", "close"]
    volume: Literal["required", "absent"] = "required"


def read(options: OhlcvOptions, context: SourceContext) -> Iterator[pa.Table]:
    """Yield the bars of every file, a batch of rows at a time.

    Raises
    ------
    ConfigError
        Times name no zone, or another than ``timezone``.
    DataError
        No file matches, one cannot be read, or has other columns than expected.
    EmptySource
        No file has records.
    """
    return each(context.root, options.patterns, lambda path: _read(path, options, context))


def _read(path: Path, options: OhlcvOptions, context: SourceContext) -> Iterator[pa.Table]:
    columns = _columns(options, path)
    row = 1
    for batch in batches(path, list(dict.fromkeys(columns.values()))):
        yield _raw(batch, columns, row, path, options, context)
        row += batch.num_rows


def _columns(options: OhlcvOptions, path: Path) -> dict[str, str]:
    """Return the file's name of each of our columns that it has."""
    may_lack = {"symbol", "volume"} if options.volume == "absent" else {"symbol"}
    known = {str(name): (options.columns.get(name, name),) for name in NAMES}
    return matched(path, known, may_lack - options.columns.keys(), options.ignore)


def _raw(
    batch: pa.RecordBatch,
    columns: dict[str, str],
    row: int,
    path: Path,
    options: OhlcvOptions,
    context: SourceContext,
) -> pa.Table:
    n = batch.num_rows
    found = {name: batch.column(column) for name, column in columns.items()}
    symbol = text(found["symbol"]) if "symbol" in found else pa.repeat(stem(path), n)
    values: dict[str, Column] = {name: numbers(found[name]) for name in NAMES[2:] if name in found}
    if options.volume == "absent":
        values["volume"] = values.get("volume", pa.nulls(n, pa.float64())).fill_null(0.0)
    times = to_utc(found["time"], options.timezone, f"column {columns['time']!r} of {path.name}", strict=row == 1)
    if options.stamped == "start":
        times = closes(times, context.session, context.interval_ns)
    arrays: dict[str, Column] = {"symbol": symbol, "ts_event": times, **values}
    arrays |= {"file": pa.repeat(origin(path, context.root), n), "row": pa.array(range(row, row + n), pa.int64())}
    return pa.table([arrays[name] for name in RAW.names], schema=RAW)


OHLCV = Source(kind="ohlcv", options=OhlcvOptions, read=read)
