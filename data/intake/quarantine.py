"""Rows that may not enter the lake: kept where the records of their symbol would be, each with its reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pyarrow as pa

from bellwether.errors import DataError
from data.arrow import pc
from data.intake.cells import Ints, codes, repeats, row_hashes, rows_alike, sort
from data.intake.spool import Place, Spool
from data.lake import Entry, Lake
from data.lake.lake import Parts, can_be_partition
from data.lake.manifest import append_to, partition_name
from data.lake.slices import digest_of_parts
from data.records.rules import EARLY

NOBODY = "-"
"""Where rows are kept that have no symbol, or one that the lake cannot keep."""


def put_aside(
    lake: Lake, kind: str, rejected: Spool, judged: Collection[Place], instead: frozenset[str] = frozenset()
) -> None:
    """Commit rejected rows to the quarantine of a kind, merged with those that are there.

    A row that is there already is not added again; see `united`. Rows of a place that is judged again and that were
    only early when it was judged last, are replaced by what became of them.

    Parameters
    ----------
    kind : str
        The kind they were not fit for.
    rejected : Spool
        The rows, schema `data.intake.screen.rejected_schema`, by the places of the kind.
    judged : collection of Place
        Every place of the batch.
    instead : frozenset of str
        Symbols of which everything that is there goes when these come.

    Raises
    ------
    DataError
        Another process changed the same partitions meanwhile. Nothing is committed.
    """
    quarantine = f"quarantine/{kind}"
    before = lake.parts(quarantine)
    gone = [partition for partition, entries in before.items() if entries[0].symbol in instead]
    homes: dict[Place, list[Place]] = {_home(place): [] for place in judged if _waits(before, _home(place))}
    for place in rejected.places:
        homes.setdefault(_home(place), []).append(place)
    staged, touched = [], {*gone}
    for home, places in homes.items():
        partition = partition_name(*home)
        touched.add(partition)
        old = [] if partition in gone else [lake.read_entry(entry) for entry in before.get(partition, ())]
        new = [rejected.read(place) for place in places]
        if (old or new) and (rows := united(old, new)).num_rows:
            staged.append(lake.stage(quarantine, home.symbol, rows, _noted(counted(rows)), date=home.date))

    def change(parts: Parts) -> None:
        refuse_changed(quarantine, before, parts, touched)
        for partition in touched:
            parts.pop(partition, None)
        append_to(parts, staged)

    if touched:
        lake.update(quarantine, change)


def united(old: Iterable[pa.Table], new: Iterable[pa.Table]) -> pa.Table:
    """Return rejected rows of a place, those that were there and the new ones, by file and row.

    Rows are the same that a file says as often as it did, whatever the number of the row and the reason; then the
    new ones stand. Of the old ones, those that were only early go.

    >>> said = [pa.table({"price": [-1.0, -1.0], "file": ["a", "a"], "row": [1, 2], "reason": ["x", "x"]})]
    >>> united(said, said).equals(said[0]), united(said, [t.slice(1) for t in said])["row"].to_pylist()
    (True, [2, 2])
    """
    there = [table.filter(pc.invert(pc.is_in(table["reason"], value_set=pa.array(EARLY)))) for table in old]
    came = [*new]
    rows = pa.concat_tables([*came, *there], promote_options="default").combine_chunks()
    said = [codes(rows[name]) for name in rows.column_names if name not in ("row", "reason")]
    content, n = row_hashes(said, rows.num_rows), sum(table.num_rows for table in came)
    times = np.concatenate([_times_said(content[:n]), _times_said(content[n:])])
    again, first = repeats([content, times], np.arange(rows.num_rows))
    order = np.setdiff1d(np.arange(rows.num_rows), again[rows_alike(said, again, first)])
    where = [codes(rows[name])[order] for name in ("file", "row")]
    return rows.take(order[sort(where)])


def counted(rejected: pa.Table) -> dict[str, int]:
    """Return the number of rows by reason."""
    return {found["values"]: found["counts"] for found in pc.value_counts(rejected["reason"]).to_pylist()}


def refuse_changed(kind: str, before: Mapping[str, tuple[Entry, ...]], now: Parts, partitions: Iterable[str]) -> None:
    """Raise `DataError` if partitions are not what they were: what was merged with them would undo the change."""
    changed = [p for p in sorted(partitions) if digest_of_parts(before.get(p, ())) != digest_of_parts(now.get(p, ()))]
    if changed:
        raise DataError(
            f"{kind} of {len(changed):,} partition{'' if len(changed) == 1 else 's'}, such as {changed[0]}, changed "
            "meanwhile: another process writes to it. Nothing of it was written; run it again"
        )


def _home(place: Place) -> Place:
    return place if can_be_partition(place.symbol) else Place(NOBODY, place.date)


def _waits(before: Parts, home: Place) -> bool:
    return any(reason in entry.note for entry in before.get(partition_name(*home), ()) for reason in EARLY)


def _times_said(content: Ints) -> Ints:
    """Return for each row how many rows before it say the same."""
    order = np.argsort(content, kind="stable")
    ranked = content[order]
    times = np.empty(len(content), np.int64)
    times[order] = np.arange(len(content)) - np.searchsorted(ranked, ranked, side="left")
    return times


def _noted(counts: Mapping[str, int]) -> dict[str, str]:
    return {reason: str(count) for reason, count in sorted(counts.items())}
