"""Times as files have them, to UTC nanoseconds."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError
from data.arrow import Column, pc
from data.records import TIME
from data.wall import DAY, Ints, of_day, wall_times

WALL = pa.timestamp("ns")
OFFSET = r"(?P<offset>:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?))$"  # after minutes or seconds: a date ends in -02 too


def to_utc(column: Column, zone: str | None, where: str, *, strict: bool = True) -> Column:
    """Return times as UTC nanoseconds, null where a cell is no time.

    Parameters
    ----------
    column : pyarrow.Array
        Timestamps, dates, or ISO 8601 text with or without an offset from UTC.
    zone : str or None
        IANA zone of times that name none. A wall time that a change of the clocks repeats is read as the later
        one, a skipped one as the first instant after the gap: never earlier than it can have been known.
    where : str
        How errors call the column.
    strict : bool
        Refuse a column of which no cell can be read. A file's first rows tell that its times are of another form;
        later ones, such as a footer, are bad rows and no more.

    Raises
    ------
    ConfigError
        Times name no zone and ``zone`` is None; or they name one and show other wall times than ``zone`` does.
    DataError
        The column holds something else, such as numbers, or ``strict`` and no cell of it can be read.

    >>> to_utc(pa.array(["2025-01-02 09:30", "tomorrow"]), "America/New_York", "time").cast("string").to_pylist()
    ['2025-01-02 14:30:00.000000000Z', None]
    """
    if pa.types.is_string(column.type):
        return _from_text(column, zone, where, strict)
    if not pa.types.is_timestamp(column.type) and not pa.types.is_date(column.type):
        raise DataError(f"{where} holds {column.type}; times are timestamps, dates or ISO 8601 text: convert it first")
    if pa.types.is_timestamp(column.type) and column.type.tz:
        utc = column.cast(TIME)
        return _agreeing(utc, pc.local_timestamp(column).cast(WALL), zone, f"{where} (zone {column.type.tz})")
    return _localised(column.cast(WALL), zone, where)


def _from_text(column: Column, zone: str | None, where: str, strict: bool) -> Column:
    trimmed = pc.utf8_trim_whitespace(column)
    aware = pc.fill_null(pc.match_substring_regex(trimmed, OFFSET), False)
    nothing = pa.scalar(None, pa.string())
    named, unnamed = pc.if_else(aware, trimmed, nothing), pc.if_else(aware, nothing, trimmed)
    utc, local = _parsed(named, TIME), _parsed(unnamed, WALL)
    if strict and len(column) > column.null_count and utc.null_count == local.null_count == len(column):
        example = trimmed.drop_null()[0].as_py()
        raise DataError(f"{where} reads {example!r}; write times as ISO 8601, such as 2025-01-02 09:30:00")
    walls = _parsed(pc.replace_substring_regex(named, r"(Z|[+-]\d\d(:?\d\d)?)$", ""), WALL)
    return pc.coalesce(_agreeing(utc, walls, zone, where), _localised(local, zone, where))


def _parsed(column: Column, kind: pa.DataType) -> Column:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:  # some cell is no time: find out which, one by one
        return pa.array([_one(cell, kind) for cell in column], kind)


def _one(cell: Column, kind: pa.DataType) -> Column:
    try:
        return cell.cast(kind)
    except pa.ArrowInvalid:
        return None


def _localised(walls: Column, zone: str | None, where: str) -> Column:
    if walls.null_count == len(walls):
        return pa.nulls(len(walls), TIME)
    if zone is None:
        raise ConfigError(f"{where} names no time zone; say `timezone` in the source's options, e.g. America/New_York")
    return pc.assume_timezone(walls, zone, ambiguous="latest", nonexistent="latest").cast(TIME)


def _agreeing(utc: Column, walls: Column, zone: str | None, where: str) -> Column:
    if zone is not None and not pc.local_timestamp(utc.cast(pa.timestamp("ns", tz=zone))).equals(walls):
        raise ConfigError(
            f"{where} names its own time zone, which is not the recipe's {zone}; "
            "leave `timezone` out of the source's options, or correct it"
        )
    return utc


def bar_closes(starts: Ints, session: Session, interval_ns: int) -> Ints:
    """Return when bars close that are stamped with their start: an interval later, or with the session.

    A bar that starts before the session's close and would outlast it closes with it, as the last half hour of an
    hourly grid does. A day on which the market closes early is not known here: its last bar is stamped later than
    it ended, never earlier than it was known.
    """
    day = wall_times(starts, session.timezone) // DAY
    walls = pa.array(day * DAY + of_day(session.closes), pa.int64()).cast(WALL)
    closing = pc.assume_timezone(walls, session.timezone, ambiguous="latest", nonexistent="latest")
    ends = closing.cast(pa.int64()).to_numpy()
    return np.where(starts < ends, np.minimum(starts + interval_ns, ends), starts + interval_ns)
