"""New records into the records there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.arrow import Column, pc
from data.intake.cells import Ints, codes, repeats, row_hashes, rows_alike, sort
from data.records import RecordKind


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Records of one partition after new ones came, and what became of the new ones.

    Parameters
    ----------
    rows : pyarrow.Table
        Of the kind's schema and in its order, no key twice.
    added, revised, unchanged : int
        New records with a key that none had, with one that another had (across batches the last stands, within one the
        first: `data.intake.screen`), and those there already.
    """

    rows: pa.Table
    added: int
    revised: int
    unchanged: int


def merge(kind: RecordKind, old: pa.Table | None, new: pa.Table) -> Merged:
    """Merge records of one symbol, or of its date.

    A new record takes the place of one with its key, but for facts it says nothing of (`RecordKind.facts`): a tick
    without a quote leaves the quote that is known as it is, and is unchanged if it says nothing else that is new.

    Parameters
    ----------
    old : pyarrow.Table, optional
        What the lake has: the kind's schema and order.
    new : pyarrow.Table
        What `screen` kept. Records without a ``seq`` that are there already are unchanged, whatever their
        number; others get the next ones of their instant, in the order they came.
    """
    old = kind.schema.empty_table() if old is None else old.cast(kind.schema)
    if not kind.numbers or not new["seq"].null_count:
        return _by_key(kind, old, new.cast(kind.schema))
    loose = new["seq"].is_null()
    numbered = _by_key(kind, old, new.filter(pc.invert(loose)).cast(kind.schema))
    return _by_content(kind, numbered, new.filter(loose))


def _by_key(kind: RecordKind, old: pa.Table, new: pa.Table) -> Merged:
    if not old.num_rows:
        return Merged(rows=new, added=new.num_rows, revised=0, unchanged=0)
    both = pa.concat_tables([old, new]).combine_chunks()
    keys = [codes(both[name]) for name in kind.key]
    again, first = repeats(keys, np.arange(both.num_rows))
    both = _completed(kind, both, again, first)
    same = rows_alike(_content(kind, both), again, first)
    rows = old
    if new.num_rows > same.sum():
        keep = np.ones(both.num_rows, bool)
        keep[first] = False
        order = np.flatnonzero(keep)
        rows = both.take(order[sort(key[order] for key in keys)])
    return Merged(
        rows=rows,
        added=new.num_rows - len(again),
        revised=int((~same).sum()),
        unchanged=int(same.sum()),
    )


def _completed(kind: RecordKind, rows: pa.Table, new: Ints, old: Ints) -> pa.Table:
    """Return rows in which the ``new`` ones have of the ``old`` ones, by row numbers, what they say nothing of."""
    for group in kind.facts:
        silent = np.logical_and.reduce([_says_nothing(rows[name])[new] for name in group])
        if silent.any():
            source = np.arange(rows.num_rows)
            source[new[silent]] = old[silent]
            filled = rows.take(source)
            for name in group:
                at = rows.schema.get_field_index(name)
                rows = rows.set_column(at, rows.schema.field(at), filled[name])
    return rows


def _says_nothing(column: Column) -> NDArray[np.bool_]:
    nothing = pc.fill_null(pc.equal(column, 0), True) if pa.types.is_int8(column.type) else pc.is_null(column)
    flags: NDArray[np.bool_] = nothing.to_numpy()
    return flags


def _by_content(kind: RecordKind, merged: Merged, loose: pa.Table) -> Merged:
    """Add records without a number, which are told apart by what they say."""
    old, known = merged.rows, merged.rows.num_rows
    both = pa.concat_tables([old.cast(loose.schema), loose]).combine_chunks()
    ts, content = codes(both["ts_event"]), _content(kind, both)
    again, first = repeats([ts, row_hashes(content, both.num_rows)], np.arange(both.num_rows))
    there = again[rows_alike(content, again, first) & (again >= known) & (first < known)]
    fresh = np.setdiff1d(np.arange(known, both.num_rows), there)
    rows = old
    if len(fresh):
        seq = codes(both["seq"]).copy()
        seq[fresh] = _next_numbers(ts[:known], seq[:known], ts[fresh])
        order = np.concatenate([np.arange(known), fresh])
        order = order[sort([ts[order], seq[order]])]
        at = both.schema.get_field_index("seq")
        rows = both.take(order).set_column(at, both.schema.field(at), _ints(seq[order])).cast(kind.schema)
    return Merged(
        rows=rows,
        added=merged.added + len(fresh),
        revised=merged.revised,
        unchanged=merged.unchanged + len(there),
    )


def _next_numbers(known: Ints, seq: Ints, ts: Ints) -> Ints:
    """Number records at times ``ts``, which rise: from 0 at each, or on from the last number that is known there."""
    first = np.searchsorted(ts, ts, side="left")
    numbers: Ints = np.arange(len(ts)) - first
    last = np.searchsorted(known, ts, side="right") - 1
    there = np.flatnonzero(last >= 0)
    there = there[known[last[there]] == ts[there]]
    numbers[there] += seq[last[there]] + 1
    return numbers


def _content(kind: RecordKind, table: pa.Table) -> list[Ints]:
    return [codes(table[name]) for name in kind.schema.names if name not in ("symbol", *kind.key)]


def _ints(values: Ints) -> Column:
    return pa.array(values, pa.int64())
