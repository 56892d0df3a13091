"""Which rows of a record kind may enter the lake, and why the others may not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.arrow import Column, pc
from data.intake.cells import Ints, RawColumns, codes, repeats, row_hashes, rows_alike, sort
from data.lake.lake import can_be_partition
from data.records import RecordKind
from data.records.base import NO_NUMBER, RuleContext

Flags = NDArray[np.bool_]

FOREVER = 2**63 - 1
"""A clock by which everything has happened."""
MISSING, UNUSABLE = "missing_value", "unusable_symbol"
DUPLICATE, CONFLICTING = "duplicate", "conflicting_duplicate"


@dataclass(frozen=True, kw_only=True)
class Screened:
    """What became of raw rows: ``kept.num_rows + rejected.num_rows`` is their number.

    Parameters
    ----------
    kept : pyarrow.Table
        Schema `screened_schema`, sorted by symbol and the kind's order, no key twice; values as they came, but that
        NaN in a column that may be null is null. Records without a ``seq`` are in the order they came.
    rejected : pyarrow.Table
        Schema `rejected_schema`, in the order the rows came.
    unsorted : int
        Rows that came after a later record of their symbol. They are sorted, not rejected.
    """

    kept: pa.Table
    rejected: pa.Table
    unsorted: int


def reasons(kind: RecordKind) -> tuple[str, ...]:
    """Return every reason, in the order rules are tried: a row is rejected for the first it meets.

    >>> from data.records import record_kind
    >>> reasons(record_kind("factors"))
    ('missing_value', 'unusable_symbol', 'empty_name', 'not_finite', 'not_yet', 'duplicate', 'conflicting_duplicate')
    """
    return (MISSING, UNUSABLE, *(rule.reason for rule in kind.rules), DUPLICATE, CONFLICTING)


def rejected_schema(kind: RecordKind) -> pa.Schema:
    """Return the schema of quarantine: a raw row and why it was rejected."""
    return kind.raw.append(pa.field("reason", pa.string(), nullable=False))


def screened_schema(kind: RecordKind) -> pa.Schema:
    """Return the schema of kept rows: the kind's, but that ``seq`` may be null where the lake is to number them."""
    if not kind.numbers:
        return kind.schema
    at = kind.schema.get_field_index("seq")
    return kind.schema.set(at, kind.schema.field(at).with_nullable(True))


def screen(kind: RecordKind, raw: pa.Table, context: RuleContext) -> Screened:
    """Split raw rows into records and rejected rows, each with its reason.

    ``missing_value``: a null in a column that must not be null, an empty symbol, or a ``seq`` that the feed has and
    that cannot be read. ``unusable_symbol``: one that no folder of the lake can be named after. Then the kind's rules.
    Then, among rows that pass: ``duplicate``, the same record again; ``conflicting_duplicate``, a row with the key of
    one that came before and is kept, which says something else: within a batch the first row stands.

    Parameters
    ----------
    raw : pyarrow.Table
        Schema ``kind.raw``, in the order the rows came.
    """
    raw = raw.combine_chunks()
    names = reasons(kind)
    reason = _row_reasons(kind, raw, context)
    keys = [codes(raw[name]) for name in ("symbol", *kind.key)]
    _mark_repeats(kind, raw, keys, reason, names)
    good, bad = np.flatnonzero(reason < 0), np.flatnonzero(reason >= 0)
    kept = raw.take(good[sort(key[good] for key in keys)]).select(kind.schema.names)
    told = pa.array(np.asarray(names, dtype=object)[reason[bad]], pa.string())
    schema = rejected_schema(kind)
    return Screened(
        kept=pa.table(
            [_plain(kept[field.name], field) for field in screened_schema(kind)], schema=screened_schema(kind)
        ),
        rejected=_as_it_came(raw.take(bad)).append_column(schema.field("reason"), told).cast(schema),
        unsorted=_unsorted(keys[0], raw["ts_event"]),
    )


def _row_reasons(kind: RecordKind, raw: pa.Table, context: RuleContext) -> Ints:
    """Return for each row the position in `reasons` of the first rule it breaks by itself, -1 for none."""
    columns = RawColumns(raw)
    reason = np.where(_missing(kind, raw), 0, -1)
    reason[(reason < 0) & _unusable(raw["symbol"])] = 1
    with np.errstate(invalid="ignore", over="ignore"):  # a wild number is judged by what it overflows to
        for number, rule in enumerate(kind.rules, 2):
            reason[(reason < 0) & rule.broken(columns, context)] = number
    return reason


def _missing(kind: RecordKind, raw: pa.Table) -> Flags:
    flags: Flags = pc.fill_null(pc.equal(raw["symbol"], ""), True).to_numpy()
    for field in screened_schema(kind):
        if not field.nullable and raw[field.name].null_count:
            flags = flags | raw[field.name].is_null().to_numpy()
    if "seq" in kind.schema.names:
        flags = flags | _unread(raw["seq"]).to_numpy()
    return flags


def _unread(seq: Column) -> Column:
    return pc.fill_null(pc.equal(seq, NO_NUMBER), False)


def _unusable(symbols: Column) -> Flags:
    bad = [name for name in pc.unique(symbols).to_pylist() if name and not can_be_partition(name)]
    flags: Flags = pc.is_in(symbols, value_set=pa.array(bad, pa.string())).to_numpy()
    return flags


def _as_it_came(rejected: pa.Table) -> pa.Table:
    """Return rows with null where a number could not be read."""
    if "seq" not in rejected.column_names:
        return rejected
    at, seq = rejected.schema.get_field_index("seq"), rejected["seq"]
    return rejected.set_column(at, rejected.schema.field(at), pc.if_else(_unread(seq), None, seq))


def _mark_repeats(kind: RecordKind, raw: pa.Table, keys: list[Ints], reason: Ints, names: tuple[str, ...]) -> None:
    """Mark rows that an earlier good row makes superfluous, numbered ones by their key and the others by content."""
    good = reason < 0
    content = [codes(raw[name]) for name in kind.schema.names if name not in ("symbol", *kind.key)]
    loose = good & raw["seq"].is_null().to_numpy() if kind.numbers else np.zeros(len(good), bool)
    again, first = repeats(keys, np.flatnonzero(good & ~loose))
    same = rows_alike(content, again, first)
    reason[again] = np.where(same, names.index(DUPLICATE), names.index(CONFLICTING))
    if loose.any():
        again, first = repeats([*keys[:2], row_hashes(content, len(good))], np.flatnonzero(loose))
        reason[again[rows_alike(content, again, first)]] = names.index(DUPLICATE)


def _plain(column: Column, field: pa.Field[pa.DataType]) -> Column:
    if field.nullable and pa.types.is_floating(field.type):
        nothing = pc.is_nan(column)
        if pc.any(nothing).as_py():
            return pc.if_else(nothing, pa.scalar(None, field.type), column)
    return column


def _unsorted(symbols: Ints, times: Column) -> int:
    ts, known = codes(times), times.is_valid().to_numpy()
    late = 0
    for symbol in np.unique(symbols):
        of = ts[(symbols == symbol) & known]
        late += int((of < np.maximum.accumulate(of)).sum())
    return late
