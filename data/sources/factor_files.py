"""Factors from wide and long CSV and Parquet files, such as Wind's.

A wide file holds one factor and is named after it: days down, codes across. A long file has a row a symbol and day or
interval, and either the factor's name and value, or a column a factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError
from data.arrow import Column, pc
from data.records import TIME
from data.sources.base import Source, SourceContext
from data.sources.columns import Tables, closes, listed
from data.sources.files import batches, each, names_of, numbers, origin, stem, text
from data.sources.rows import raw_table
from data.sources.times import to_utc
from data.wall import DAY, of_day

Key = Literal["symbol", "date", "time", "factor", "value"]
KNOWN: dict[Key, tuple[str, ...]] = {
    "symbol": ("symbol", "S_INFO_WINDCODE"),
    "date": ("date", "TRADE_DT"),
    "time": ("time",),
    "factor": ("factor",),
    "value": ("value",),
}
"""What long files call the columns that are no factors."""

RENAMED = {
    "s_li_initiativebuyrate": "initiative_buy_rate",
    "s_li_initiativesellrate": "initiative_sell_rate",
    "s_li_largebuyrate": "large_buy_rate",
    "s_li_largesellrate": "large_sell_rate",
}
"""Wind's names, in lower case, of the rates that have a name here (`data.records.factors.RATES`)."""

DATE = r"^([12]\d{3})[-/]?(\d\d)[-/]?(\d\d)(?:\.0|[ T]00:00(?::00(?:\.0+)?)?)?$"
BLOCK = 8 << 20
"""Bytes of a wide file read at a time: each block holds every code, so a larger one has longer runs of each."""


class FactorOptions(Tables):
    """What a recipe says about its files of factors.

    Parameters
    ----------
    path, paths : str, or tuple of str
        One of the two: a file, a glob or a folder (its CSV and Parquet files), or several, all of the same form.
    form : "wide" or "long"
        Wide: the first column holds days (2019-01-02 or 20190102), each other one is headed by a symbol, and the
        file is named after the factor. Long: columns symbol, date or time, and either factor and value, or any
        number of factors; value without factor is the factor the file is named after.
    columns : mapping
        A long file's name of symbol, date, time, factor and value where it is not in `KNOWN`.
    names : mapping
        What to call factors that are called otherwise in the files. Wind's four rates have theirs (`RENAMED`);
        any other name is taken in lower case.
    scale : float
        What values are multiplied by: 0.01 makes shares of percent.
    stamped : "start" or "close", optional
        Which end of the interval a ``time`` is; it must be said where there are times. A date needs none: its value
        is known at the session's close of that day in the session's zone, no earlier.
    timezone : str, optional
        IANA zone of times that name none.
    ignore : tuple of str
        Columns to leave unread: of a long file those that are no factors, of a wide one codes.
    """

    form: Literal["wide", "long"] = "wide"
    columns: dict[Key, str] = Field(default_factory=dict)
    names: dict[str, str] = Field(default_factory=dict)
    scale: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    stamped: Literal["start", "close"] | None = None


def read(options: FactorOptions, context: SourceContext) -> Iterator[pa.Table]:
    """Yield the factors of every file, a block of rows at a time.

    A blank cell, NA or NaN is no value and makes no row. A cell that is no number makes one, with NaN; so does a
    value whose day or symbol cannot be read, with null. ``row`` counts the cells of values line by line, left to
    right, the blank ones too.

    Raises
    ------
    ConfigError
        There are times and ``stamped`` or ``timezone`` is not said.
    DataError
        No file matches, one cannot be read, or has not the columns of its form.
    EmptySource
        No file has records.
    """
    form = _wide if options.form == "wide" else _long
    return each(context.root, options.patterns, lambda path: form(path, options, context))


def session_closes(days: Column, session: Session) -> Column:
    """Return the session's close of each day in UTC nanoseconds, null for null.

    On a day that closes early it is the regular close: no earlier than the value was known.

    >>> from datetime import date
    >>> session_closes(pa.array([date(2025, 7, 1)], pa.date32()), Session()).cast("string").to_pylist()
    ['2025-07-01 20:00:00.000000000Z']
    """
    walls = pc.add(pc.multiply(days.cast(pa.int32()).cast(pa.int64()), DAY), of_day(session.closes))
    naive = walls.cast(pa.timestamp("ns"))
    return pc.assume_timezone(naive, session.timezone, ambiguous="latest", nonexistent="latest").cast(TIME)


def dates(column: Column, where: str, *, strict: bool = True) -> Column:
    """Return days, null where a cell is none, such as one with a time of day.

    Parameters
    ----------
    column : pyarrow.Array
        Dates, timestamps at midnight, or integers or text such as 20190102 or 2019-01-02.
    where : str
        How errors call the column.
    strict : bool
        Whether a column of which no cell can be read is an error, as the first rows of a file are.

    Raises
    ------
    DataError
        The column holds something else, or ``strict`` and no cell of it can be read.

    >>> dates(pa.array(["20190102", "2019-01-03", "soon", "20190231"]), "date").cast("string").to_pylist()
    ['2019-01-02', '2019-01-03', None, None]
    """
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        walls = (pc.local_timestamp(column) if getattr(column.type, "tz", None) else column).cast(pa.timestamp("ns"))
        midnight = pc.equal(pc.floor_temporal(walls, unit="day"), walls)
        return pc.if_else(midnight, walls.cast(pa.date32()), pa.scalar(None, pa.date32()))
    if not pa.types.is_integer(column.type) and not pa.types.is_string(column.type):
        raise DataError(f"{where} holds {column.type}; days are dates, 20190102 or 2019-01-02: convert it first")
    words = text(column)
    found = pc.if_else(pc.match_substring_regex(words, DATE), words, pa.scalar(None, pa.string()))
    iso = pc.replace_substring_regex(found, DATE, r"\1-\2-\3")
    try:
        days = iso.cast(pa.date32())
    except pa.ArrowInvalid:  # some day is in no calendar: find out which
        stamps = pc.strptime(iso, format="%Y-%m-%d", unit="s", error_is_null=True)
        days = pc.if_else(pc.equal(pc.strftime(stamps, format="%Y-%m-%d"), iso), stamps.cast(pa.date32()), None)
    if strict and days.null_count == len(days) > words.null_count:
        raise DataError(f"{where} reads {words.drop_null()[0].as_py()!r}; write days as 20190102 or 2019-01-02")
    return days


def _wide(path: Path, options: FactorOptions, context: SourceContext) -> Iterator[pa.Table]:
    first, *rest = names_of(path)
    codes = [name for name in rest if name not in options.ignore]
    if not codes or {"factor", "value", *KNOWN["symbol"]} & {first, *codes}:
        raise DataError(
            f"{path.name} is not wide: its columns are {listed([first, *rest])}, and one of days and then one a code "
            "are expected. If it has a row a symbol and day, say `form: long`"
        )
    symbols, name, line = text(pa.array(codes)), _called(stem(path), options), 1
    for batch in batches(path, [first, *codes], block=BLOCK):
        days = dates(batch.column(0), f"column {first!r} of {path.name}", strict=line == 1)
        times = session_closes(days, context.session)
        cells = _Cells(batch.columns[1:], options.scale, line)
        factor = pa.repeat(name, len(cells.value))
        yield cells.table(origin(path, context.root), symbols.take(cells.across), times.take(cells.down), factor)
        line += batch.num_rows


def _long(path: Path, options: FactorOptions, context: SourceContext) -> Iterator[pa.Table]:
    keys, values = _columns(path, options)
    names: Column = pa.array([_called(stem(path) if v == keys.get("value") else v, options) for v in values])
    line = 1
    for batch in batches(path, [*keys.values(), *(v for v in values if v not in keys.values())]):
        times = _times(batch, keys, path, options, context, strict=line == 1)
        cells = _Cells([batch.column(v) for v in values], options.scale, line)
        symbol = text(batch.column(keys["symbol"])).take(cells.down)
        factor = names.take(cells.across)
        if "factor" in keys:
            factor = _renamed(text(batch.column(keys["factor"])), options).take(cells.down)
        yield cells.table(origin(path, context.root), symbol, times.take(cells.down), factor)
        line += batch.num_rows


class _Cells:
    """Cells of some columns that have a value, each with where it stands across and down."""

    def __init__(self, columns: Sequence[Column], scale: float, line: int) -> None:
        n = len(columns[0])
        alike = columns if len({c.type for c in columns}) == 1 else [c.cast(pa.string()) for c in columns]
        found: Column = _values(pa.concat_arrays(alike))
        where = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        across, down = np.divmod(where, n)
        self.value: Column = pc.multiply(found.take(pa.array(where)), scale)
        self.across, self.down = pa.array(across), pa.array(down)
        self.row: NDArray[np.int64] = (line - 1 + down) * len(columns) + across + 1

    def table(self, file: str, symbol: Column, times: Column, factor: Column) -> pa.Table:
        """Return them as raw rows."""
        rows: dict[str, Column] = {"symbol": symbol, "ts_event": times, "factor": factor, "value": self.value}
        return raw_table("factors", rows | {"file": pa.repeat(file, len(self.row)), "row": pa.array(self.row)})


def _values(cells: Column) -> Column:
    """Return numbers: null for no value, which is also what NaN stands for in these files; NaN for no number."""
    if not pa.types.is_string(cells.type):
        found = numbers(cells)
        return pc.if_else(pc.is_nan(found), pa.scalar(None, pa.float64()), found)
    words = text(cells)
    blank = pc.fill_null(pc.equal(pc.utf8_lower(words), "nan"), False)
    return numbers(pc.if_else(blank, pa.scalar(None, pa.string()), words))


def _columns(path: Path, options: FactorOptions) -> tuple[dict[Key, str], list[str]]:
    """Return a long file's columns of keys, by our names, and its columns of values."""
    present = [name for name in names_of(path) if name not in options.ignore]
    given = {key: (options.columns[key],) if key in options.columns else names for key, names in KNOWN.items()}
    keys: dict[Key, str] = {k: c for k, names in given.items() for c in names if c in present}
    values = [keys["value"]] if "value" in keys else [name for name in present if name not in keys.values()]
    unknown = [name for name in present if name not in (*keys.values(), *values)]
    timed = ("date" in keys) + ("time" in keys)
    if "symbol" not in keys or timed != 1 or ("factor" in keys and "value" not in keys) or not values or unknown:
        raise DataError(
            f"{path.name} is not long: its columns are {listed(present)}, and symbol, one of date and time, and either "
            "factor and value or a column a factor are expected. Say the file's names in `columns`, and list what is "
            "not needed in `ignore`"
        )
    return keys, values


def _times(
    batch: pa.RecordBatch,
    keys: dict[Key, str],
    path: Path,
    options: FactorOptions,
    context: SourceContext,
    *,
    strict: bool,
) -> Column:
    if "date" in keys:
        found = dates(batch.column(keys["date"]), f"column {keys['date']!r} of {path.name}", strict=strict)
        return session_closes(found, context.session)
    if options.stamped is None:
        raise ConfigError(f"{path.name} has times: say `stamped`, start or close, in the source's options")
    times = to_utc(
        batch.column(keys["time"]), options.timezone, f"column {keys['time']!r} of {path.name}", strict=strict
    )
    return times if options.stamped == "close" else closes(times, context.session, context.interval_ns)


def _called(name: str, options: FactorOptions) -> str:
    return options.names.get(name, RENAMED.get(name.lower(), name.lower()))


def _renamed(column: Column, options: FactorOptions) -> Column:
    coded = column.dictionary_encode()
    ours = pa.array([_called(name, options) for name in coded.dictionary.to_pylist()], pa.string())
    renamed: Column = ours.take(coded.indices)
    return renamed


FACTOR_FILES = Source(kind="factor-files", options=FactorOptions, read=read, records=("factors",))
