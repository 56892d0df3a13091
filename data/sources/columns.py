"""Which column of a file is which of ours, and what its cells mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import field_validator

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.arrow import Column, pc
from data.records import TIME
from data.records.base import NO_NUMBER
from data.sources.files import NO_VALUE, Files, names_of, origin, stem, text
from data.sources.times import bar_closes, to_utc

Known = Mapping[str, Sequence[str]]
"""For each name of ours, what files call it; the first that a file has is read."""

INTEGER = r"^(?:\+|(-))?0*(\d{1,19})(?:\.0+)?$"
EXACT = 2.0**53
"""Up to here floats hold every whole number; beyond it they stand for several."""
SIDES = {"1": 1, "+1": 1, "1.0": 1, "buy": 1, "b": 1, "-1": -1, "-1.0": -1, "sell": -1, "s": -1, "0": 0, "0.0": 0}


class Tables(Files):
    """What sources of tables ask for besides where they are.

    Parameters
    ----------
    timezone : str, optional
        IANA zone of times that name none; then it must be said. Times that name one need none.
    ignore : tuple of str
        Columns to leave unread. Any other column that is not known is an error.
    """

    timezone: str | None = None
    ignore: tuple[str, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        return name if name is None else Session(timezone=name).timezone


def called(known: Known, given: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """Return what files call each of our names, where a recipe gives some of them another.

    >>> called({"price": ("price", "px"), "side": ("side",)}, {"price": "last"})
    {'price': ('last',), 'side': ('side',)}
    """
    return {name: (given[name],) if name in given else names for name, names in known.items()}


def matched(path: Path, known: Known, may_lack: Collection[str], ignore: Collection[str]) -> dict[str, str]:
    """Return the file's name of each of our columns that it has.

    Raises
    ------
    DataError
        It lacks one that it may not lack, or has one that is neither known nor to be ignored.
    """
    present = names_of(path)
    wanted = [c for c in present if c not in ignore]
    found = {
        name: next((c for c in names if c in (wanted if name in may_lack else present)), "")
        for name, names in known.items()
    }
    lacking = [known[name][0] for name, column in found.items() if not column and name not in may_lack]
    unknown = [c for c in present if c not in found.values() and c not in ignore]
    problems = {"lacks": lacking, "has unknown columns": unknown}
    if wrong := " and ".join(f"{what} {listed(which)}" for what, which in problems.items() if which):
        raise DataError(
            f"{path.name} {wrong}; all its columns: {listed(present)}. "
            "Say the file's names in `columns`, and list what is not needed in `ignore`"
        )
    return {name: column for name, column in found.items() if column}


def of_event(
    batch: pa.RecordBatch, columns: Mapping[str, str], path: Path, row: int, zone: str | None, root: Path
) -> dict[str, Column]:
    """Return what every event has: ``symbol``, ``ts_event``, ``ts_recv``, ``seq`` if any, ``file`` and ``row``.

    Of a file with a column of ``seq``, a cell without a number has `NO_NUMBER`: the row is not to get one here.

    Parameters
    ----------
    columns : mapping
        As `matched` returns it.
    row : int
        Number of the batch's first record in the file.
    root : Path
        What the file is named from, see `data.sources.files.origin`.
    """
    n = batch.num_rows
    found = {name: batch.column(column) for name, column in columns.items()}
    events: dict[str, Column] = {"symbol": text(found["symbol"]) if "symbol" in found else pa.repeat(stem(path), n)}
    for name in ("ts_event", "ts_recv"):
        if name in found and not pa.types.is_null(found[name].type):
            where = f"column {columns[name]!r} of {path.name}"
            events[name] = to_utc(found[name], zone, where, strict=row == 1)
    if "seq" in found:
        events["seq"] = pc.fill_null(integers(found["seq"]), NO_NUMBER)
    return events | {"file": pa.repeat(origin(path, root), n), "row": pa.array(np.arange(row, row + n))}


def integers(column: Column) -> Column:
    """Return whole numbers of 64 bits, null for anything else: floats from 2⁵³ on too, which stand for several.

    >>> integers(pa.array(["+7", " 8.0", "1723161256298000001", "9.5", "x", None])).to_pylist()
    [7, 8, 1723161256298000001, None, None, None]
    """
    if pa.types.is_null(column.type):
        return column.cast(pa.int64())
    if pa.types.is_integer(column.type):
        return _in_range(column)
    if pa.types.is_floating(column.type):
        whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), EXACT))
        return pc.if_else(whole, column, pa.scalar(None, column.type)).cast(pa.int64())
    words = text(column)
    written = pc.if_else(pc.match_substring_regex(words, INTEGER), words, pa.scalar(None, pa.string()))
    plain = pc.replace_substring_regex(written, INTEGER, r"\1\2")
    try:
        return plain.cast(pa.int64())
    except pa.ArrowInvalid:  # some number is too large
        return _in_range(plain.cast(pa.decimal128(19, 0)))


def _in_range(found: Column) -> Column:
    """Return integers or decimals as numbers of 64 bits, null where they are too large."""
    if pa.types.is_integer(found.type) and not pa.types.is_uint64(found.type):
        return found.cast(pa.int64())
    fits = pc.less_equal(pc.abs(found), pa.scalar(2**63 - 1).cast(found.type))
    return pc.if_else(fits, found, pa.scalar(None, found.type)).cast(pa.int64())


def sides(column: Column) -> Column:
    """Return who started a trade: 1 the buyer, -1 the seller, 0 where the cell is blank, null for anything else.

    >>> sides(pa.array(["buy", "S", "-1", None, "NA", "both"])).to_pylist()
    [1, -1, -1, 0, 0, None]
    """
    words = text(column)
    blank = pc.or_(pc.is_null(words), pc.is_in(words, value_set=NO_VALUE))
    where = pc.index_in(pc.utf8_lower(words), value_set=pa.array(list(SIDES)))
    meaning = pa.array(list(SIDES.values()), pa.int8()).take(where)
    return pc.if_else(blank, pa.scalar(0, pa.int8()), meaning)


def closes(starts: Column, session: Session, interval_ns: int) -> Column:
    """Return when intervals close that start at some times (`data.sources.times.bar_closes`), null for null.

    One that starts in a session of the calendar, where there is one, closes with that session at the latest.
    """
    known = starts.is_valid().to_numpy(zero_copy_only=False)
    began = starts.cast(pa.int64()).fill_null(0).to_numpy()
    ends = bar_closes(began, session, interval_ns)
    if session.calendar:
        from data.records.sessions import last_opened

        _, closing = last_opened(began, session, at=True)
        ends = np.where(began < closing, np.minimum(began + interval_ns, closing), ends)
    return pa.array(ends, pa.int64(), mask=~known).cast(TIME)


def listed(names: Sequence[str]) -> str:
    """Return names as an error lists them."""
    shown = ", ".join(map(repr, names[:40]))
    return shown + (f" and {len(names) - 40} more" if len(names) > 40 else "")
