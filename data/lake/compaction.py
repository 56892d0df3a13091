"""Many small files of a partition made one, sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from bellwether.errors import DataError
from data.arrow import pc
from data.lake.lake import Entry, Lake, Parts
from data.lake.slices import PARTS, digest_of_parts
from data.records import RECORDS, record_kind


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """What compaction of a kind did.

    Parameters
    ----------
    kind : str
        The kind.
    partitions : tuple of str
        Partitions that are one file more of now.
    parts, rows : int
        Files that were merged, and the rows in them.
    overtaken : tuple of str
        Partitions left as they are, because another process replaced them meanwhile.
    """

    kind: str
    partitions: tuple[str, ...]
    parts: int
    rows: int
    overtaken: tuple[str, ...]


def compact(lake: Lake, kind: str) -> Compacted:
    """Merge the parts of each partition of a kind into one file, sorted as records of the kind are; all at once.

    Every row stays, bit for bit, repeats too; rows that sort alike stay in the order they were appended. A note says
    of each key what the last part with it says. Readers see all partitions before or after. What is appended
    meanwhile stays, as a part after the merged file; a partition that is written anew meanwhile is left as it then
    is. Doing it again changes nothing. On an object store let no other process commit the kind meanwhile.

    Raises
    ------
    DataError
        Two parts of a partition have different columns. Nothing is changed.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> lake = Lake(mkdtemp())
    >>> for ts in (2, 1):
    ...     rows = pa.table({"ts_event": pa.array([ts], pa.timestamp("ns", "UTC"))})
    ...     _ = lake.commit("ticks", [lake.append("ticks", "A", rows, date="1970-01-01")])
    >>> compact(lake, "ticks").parts, len(lake.of("ticks", "A"))
    (2, 1)
    >>> lake.read("ticks", "A/1970-01-01")["ts_event"].cast("int64").to_pylist()
    [1, 2]
    """
    found = {name: parts for name, parts in lake.parts(kind).items() if len(parts) > 1}
    merged = {name: _merged(lake, kind, parts) for name, parts in found.items()}
    done: list[str] = []

    def change(parts: Parts) -> None:
        for name, one in merged.items():
            now, read = parts.get(name, ()), found[name]
            if now[: len(read)] == read:
                parts[name] = (one, *now[len(read) :])
                done.append(name)

    if merged:
        lake.update(kind, change)
    return Compacted(
        kind=kind,
        partitions=tuple(sorted(done)),
        parts=sum(len(found[name]) for name in done),
        rows=sum(merged[name].rows for name in done),
        overtaken=tuple(sorted(merged.keys() - set(done))),
    )


def _merged(lake: Lake, kind: str, parts: Sequence[Entry]) -> Entry:
    """Stage the one file that holds the rows of all parts."""
    tables = [lake.read_entry(entry) for entry in parts]
    first = parts[0]
    if other := next((table.schema for table in tables if table.schema != tables[0].schema), None):
        raise DataError(
            f"parts of {first.partition} in {kind} differ: {_listed(tables[0].schema)} and {_listed(other)}; "
            "write the partition again as one"
        )
    note = {key: value for entry in parts for key, value in entry.note.items()} | {PARTS: digest_of_parts(parts)}
    rows = _sorted(pa.concat_tables(tables), _order(kind))
    return lake.stage(kind, first.symbol, rows, note, date=first.date)


def _order(kind: str) -> tuple[str, ...]:
    record = kind.split("/")[0]
    return record_kind(record).order if record in RECORDS else ("ts_event",)


def _sorted(table: pa.Table, order: Sequence[str]) -> pa.Table:
    keys = [(name, "ascending") for name in order if name in table.column_names]
    return table.take(pc.sort_indices(table, sort_keys=keys)) if keys else table  # stable, says Arrow


def _listed(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
