"""What a lake holds, by its manifests and the sizes of its files; no table is opened."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from data.lake.lake import Entry, Lake
from data.lake.storage import StoredFile
from data.lake.vacuum import GRACE_S, out_of_use, unnamed


@dataclass(frozen=True, kw_only=True)
class KindStats:
    """What the lake holds of a kind.

    Parameters
    ----------
    kind : str
        The kind, such as ``ticks``.
    symbols, partitions, parts, rows : int
        How many; parts are the files a manifest names.
    size : int
        Bytes of those files.
    first, last : int
        Smallest and largest ``ts_event``, UTC nanoseconds; 0 where there are no times.
    holes : int
        (symbol, date) pairs without a partition although another symbol has that date and it is between the
        symbol's first and last; 0 for a kind kept by symbol alone.
    unused, unused_size : int
        Files no manifest names, and their bytes: replaced, staged and not committed yet, or left by a killed writer.
    freed_size : int
        Those of ``unused_size`` that `data.lake.vacuum.vacuum` would free now.
    quarantined : dict of str to int
        Rows rejected on their way into this kind, by reason.
    """

    kind: str
    symbols: int
    partitions: int
    parts: int
    rows: int
    size: int
    first: int
    last: int
    holes: int
    unused: int
    unused_size: int
    freed_size: int
    quarantined: dict[str, int]


def lake_stats(lake: Lake, *, grace_s: float = GRACE_S, now: float | None = None) -> tuple[KindStats, ...]:
    """Return what a lake holds, a kind at a time in order of their names.

    Parameters
    ----------
    lake : Lake
        The lake.
    grace_s : float
        Age from which a vacuum frees what is out of use, seconds.
    now : float, optional
        The clock, seconds since 1970.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import pyarrow as pa
    >>> lake = Lake(mkdtemp())
    >>> for values in ([1], [1, 2]):
    ...     _ = lake.commit("weights/qqq", [lake.stage("weights/qqq", "weights", pa.table({"x": values}))])
    >>> [(kind.kind, kind.parts, kind.rows, kind.unused) for kind in lake_stats(lake)]
    [('weights/qqq', 1, 2, 1)]
    """
    files = list(lake.storage.files())
    unused = unnamed(lake, files)
    freed = out_of_use(lake, files, (time.time() if now is None else now) - grace_s)
    sizes = {file.name: file.size for file in files}
    kinds = {kind: tuple(lake.entries(kind).values()) for kind in sorted({*lake.kinds(), *unused})}
    return tuple(
        _stats(kind, entries, sizes, unused.get(kind, ()), freed.get(kind, ()), _reasons(kinds, kind))
        for kind, entries in kinds.items()
    )


def _stats(
    kind: str,
    entries: Iterable[Entry],
    sizes: Mapping[str, int],
    unused: Iterable[StoredFile],
    freed: Iterable[StoredFile],
    quarantined: dict[str, int],
) -> KindStats:
    entries, unused = tuple(entries), tuple(unused)
    timed = [entry for entry in entries if entry.rows and (entry.first or entry.last)]
    return KindStats(
        kind=kind,
        symbols=len({entry.symbol for entry in entries}),
        partitions=len({entry.partition for entry in entries}),
        parts=len(entries),
        rows=sum(entry.rows for entry in entries),
        size=sum(sizes.get(entry.path, 0) for entry in entries),
        first=min((entry.first for entry in timed), default=0),
        last=max((entry.last for entry in timed), default=0),
        holes=0 if kind.startswith("quarantine/") else _holes(entries),
        unused=len(unused),
        unused_size=sum(file.size for file in unused),
        freed_size=sum(file.size for file in freed),
        quarantined=quarantined,
    )


def _holes(entries: Iterable[Entry]) -> int:
    """Count the dates a symbol lacks between its first and last, of those that any symbol has."""
    dates: dict[str, set[str]] = {}
    for entry in entries:
        if entry.date:
            dates.setdefault(entry.symbol, set()).add(entry.date)
    union = sorted(set().union(*dates.values()))
    return sum(bisect_right(union, max(own)) - bisect_left(union, min(own)) - len(own) for own in dates.values())


def _reasons(kinds: Mapping[str, Iterable[Entry]], kind: str) -> dict[str, int]:
    """Sum what the notes of the quarantine of a kind say."""
    reasons = Counter[str]()
    for entry in kinds.get(f"quarantine/{kind}", ()):
        reasons.update({reason: int(count) for reason, count in entry.note.items() if count.isdecimal()})
    return dict(sorted(reasons.items()))
