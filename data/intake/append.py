"""Events as they happen, added to the lake: judged by the rules of ingest, and durable when `append` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import pyarrow as pa

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.arrow import Column, pc
from data.intake.batch import SOURCE
from data.intake.cells import codes, sort
from data.intake.merge import merge
from data.intake.quarantine import put_aside, refuse_changed
from data.intake.screen import CONFLICTING, rejected_schema, screen
from data.intake.spool import Spool
from data.lake import Entry, Lake
from data.lake.lake import Parts
from data.lake.manifest import append_to
from data.lake.slices import read_slice, slices
from data.records import RecordKind
from data.records.base import RuleContext
from data.wall import DAY, times

T = TypeVar("T")

OUT_OF_ORDER = "out_of_order"
"""Of a record that is new and stands before one of its symbol that the lake has: only ingest puts it in its place."""

TRIES = 8
"""How often records are judged anew because another process was quicker."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Where events go.

    Parameters
    ----------
    record : RecordKind
        What they are; of a kind that is kept by date and tells records of an instant by number.
    kind : str
        Its name in the lake.
    session : Session
        The market's hours.
    identity : str
        Of the source of a symbol that the lake has nothing of; one that it has goes on under the source it is from.
    """

    record: RecordKind
    kind: str
    session: Session
    identity: str


@dataclass(frozen=True, kw_only=True)
class Appended:
    """What became of rows: ``added + unchanged + rejected.num_rows`` is their number.

    Parameters
    ----------
    added, unchanged : int
        Records that are new, and those the lake had already.
    rejected : pyarrow.Table
        Schema `data.intake.screen.rejected_schema`, by their place among the rows.
    """

    added: int
    unchanged: int
    rejected: pa.Table


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is to become of the good rows of one symbol: records to add, raw rows that may not follow those there."""

    add: pa.Table
    unchanged: int
    refused: pa.Table


def append(stream: Stream, lake: Lake, raw: pa.Table, now: int) -> Appended:
    """Screen raw rows and add those that are good to the lake, as one further part of their symbol and date.

    Rows are judged as ingest does, and a record must follow those of its symbol that the lake has: one that stands
    before them is ``out_of_order``, and one with their key that says something else a ``conflicting_duplicate``. One
    that the lake has already is left alone, so rows may be sent again when it is not known whether they arrived. A
    record without a ``seq`` gets the next one of its instant. What is rejected goes to quarantine with its reason.

    Parameters
    ----------
    raw : pyarrow.Table
        Schema ``record.raw``, in the order the rows came, ``row`` rising.
    now : int
        The clock, UTC nanoseconds: a later record is not to be believed yet.

    Raises
    ------
    DataError
        Other processes kept writing the same symbols, `TRIES` times in a row. Nothing of the last try was written.
    """
    screened = screen(stream.record, raw, RuleContext(session=stream.session, now=now))
    good = _sorted(stream.record, _without(raw, screened.rejected["row"]))
    judged = _insisting(lambda: _added(stream, lake, screened.kept, good))
    refused = pa.concat_tables([screened.rejected, *(one.refused for one in judged)]).sort_by("row")
    if refused.num_rows:
        _insisting(lambda: _put_aside(stream, lake, refused))
    return Appended(
        added=sum(one.add.num_rows for one in judged),
        unchanged=sum(one.unchanged for one in judged),
        rejected=refused,
    )


def _insisting(write: Callable[[], T]) -> T:
    """Write, and again where another process changed meanwhile what was looked at."""
    for _ in range(TRIES - 1):
        try:
            return write()
        except DataError:
            continue
    return write()


def _added(stream: Stream, lake: Lake, kept: pa.Table, good: pa.Table) -> list[Judged]:
    before = lake.parts(stream.kind)
    judged = [_judge(stream, lake, before, *rows) for rows in _by_symbol(kept, good)]
    _commit(stream, lake, before, judged)
    return judged


def _judge(stream: Stream, lake: Lake, before: Parts, symbol: str, rows: pa.Table, good: pa.Table) -> Judged:
    entries = [entry for entries in before.values() for entry in entries if entry.symbol == symbol]
    newest = max((entry.last for entry in entries), default=-1)
    fresh = int(np.searchsorted(times(rows), newest, side="right"))
    late = _late(stream, lake, entries, rows.slice(0, fresh), good.slice(0, fresh), newest)
    add = merge(stream.record, None, rows.slice(fresh)).rows
    return Judged(add=pa.concat_tables([late.add, add]), unchanged=late.unchanged, refused=late.refused)


def _late(stream: Stream, lake: Lake, entries: list[Entry], rows: pa.Table, good: pa.Table, newest: int) -> Judged:
    """Judge records that are not after the newest the lake has: they may be there already, or follow at its instant."""
    kind, schema = stream.record, rejected_schema(stream.record)
    add, told = kind.schema.empty_table(), np.full(rows.num_rows, "", object)
    if rows.num_rows:
        known = _known(lake, kind, entries, rows)
        if merge(kind, known, rows).unchanged < rows.num_rows:
            at_last = known.filter(pc.equal(known["ts_event"].cast(pa.int64()), newest))
            last = max(_keys(at_last), default=(newest, 0))
            for n in range(rows.num_rows):
                merged = merge(kind, pa.concat_tables([known, add]), rows.slice(n, 1))
                if merged.revised:
                    told[n] = CONFLICTING
                elif merged.added:
                    new = _new(merged.rows, known, add)
                    told[n] = OUT_OF_ORDER if (key := _keys(new)[0]) < last else ""
                    add, last = (add, last) if told[n] else (pa.concat_tables([add, new]), key)
    bad = np.flatnonzero(told != "")
    refused = good.take(bad).append_column(schema.field("reason"), pa.array(told[bad], pa.string())).cast(schema)
    return Judged(add=add, unchanged=rows.num_rows - add.num_rows - len(bad), refused=refused)


def _known(lake: Lake, kind: RecordKind, entries: list[Entry], rows: pa.Table) -> pa.Table:
    """What the lake has at the instants of these rows."""
    dates = {date for date, _ in _by_date(rows)}
    parts = [part for cut in slices(entries).values() for part in cut if part.date in dates]
    found = [read_slice(lake, part, kind.order).cast(kind.schema) for part in parts] or [kind.schema.empty_table()]
    table = pa.concat_tables(found)
    return table.filter(pc.is_in(table["ts_event"], value_set=rows["ts_event"]))


def _new(merged: pa.Table, *before: pa.Table) -> pa.Table:
    """The one record that was not there before."""
    there = {key for table in before for key in _keys(table)}
    (at,) = [n for n, key in enumerate(_keys(merged)) if key not in there]
    return merged.slice(at, 1)


def _keys(table: pa.Table) -> list[tuple[int, int]]:
    return list(zip(times(table).tolist(), codes(table["seq"]).tolist(), strict=True))


def _commit(stream: Stream, lake: Lake, before: Parts, judged: list[Judged]) -> None:
    """Stage and show the records to add, unless a partition of their symbols changed since it was looked at."""
    staged = []
    for one in judged:
        for date, rows in _by_date(one.add):
            symbol = rows["symbol"][0].as_py()
            note = _note(before, symbol) or {SOURCE: stream.identity}
            staged.append(lake.append(stream.kind, symbol, rows, note, date=date))
    symbols = {entry.symbol for entry in staged}

    def change(parts: Parts) -> None:
        watched = {p for p, entries in {**before, **parts}.items() if entries[0].symbol in symbols}
        refuse_changed(stream.kind, before, parts, watched)
        append_to(parts, staged)

    if staged:
        lake.update(stream.kind, change)


def _note(before: Parts, symbol: str) -> Mapping[str, str]:
    """The source that the symbol's newest records are from."""
    found = [entries for entries in before.values() if entries[0].symbol == symbol]
    newest = max(found, key=lambda entries: entries[0].date, default=())
    return {key: value for entry in newest[:1] for key, value in entry.note.items() if key == SOURCE}


def _put_aside(stream: Stream, lake: Lake, rejected: pa.Table) -> None:
    with TemporaryDirectory(prefix="bellwether-append-") as folder:
        spool = Spool(Path(folder), dated=stream.record.dated)
        spool.add(rejected)
        put_aside(lake, stream.kind, spool, spool.places)


def _without(raw: pa.Table, rows: Column) -> pa.Table:
    return raw.filter(pc.invert(pc.is_in(raw["row"], value_set=rows)))


def _sorted(kind: RecordKind, good: pa.Table) -> pa.Table:
    """Good raw rows in the order `screen` keeps them in."""
    return good.take(sort(codes(good[name]) for name in ("symbol", *kind.key)))


def _by_symbol(kept: pa.Table, good: pa.Table) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    names: list[str] = [str(name) for name in kept["symbol"].to_pylist()]
    for symbol in sorted(set(names)):
        first, count = names.index(symbol), names.count(symbol)
        yield symbol, kept.slice(first, count), good.slice(first, count)


def _by_date(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    days = times(rows) // DAY
    for day in np.unique(days):
        first, last = np.searchsorted(days, day), np.searchsorted(days, day, side="right")
        yield str(np.datetime64(int(day), "D")), rows.slice(int(first), int(last - first))
