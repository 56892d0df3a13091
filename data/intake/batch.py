"""Records on their way into the lake: what is known of a batch before any of it is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.arrow import pc
from data.intake.cells import Ints
from data.intake.gaps import GapIs, breaks, gaps, silences
from data.intake.merge import merge
from data.intake.quality import Stamps, crowded, stamps
from data.intake.quarantine import counted, put_aside, refuse_changed
from data.intake.report import IngestReport
from data.intake.screen import screen
from data.intake.spool import Place, Spool
from data.lake import Entry, Lake
from data.lake.lake import Parts
from data.lake.manifest import append_to, partition_name
from data.lake.slices import read_slice, slices
from data.records import RecordKind
from data.records.base import RuleContext
from data.records.rules import EARLY
from data.wall import times

Progress = Callable[[str, int], None]

SOURCE = "source"
"""Key in the note of an entry: the identity of the source its records are from."""


def no_progress(stage: str, rows: int) -> None:
    """Tell nobody."""


def no_notes(symbol: str) -> Mapping[str, str]:
    """Note nothing more."""
    return {}


@dataclass(kw_only=True)
class Batch:
    """Records of one kind from one source, while they are judged.

    Parameters
    ----------
    record : RecordKind
        What they are.
    kind : str
        Where they go in the lake.
    timed : bool
        Whether they have an interval: then there is one a time, whatever its number, and a gap is a time that others
        have.
    interval_ns : int
        Length of the interval of bars, nanoseconds; 0 where their spacing is not looked at.
    identity : str
        Of their source.
    before : mapping
        What the lake has of the kind. Writing is refused where it changed since.
    session, now
        See `data.records.base.RuleContext`.
    folder : Path
        Where rows are put aside.
    notes : callable
        What to note of the records of a symbol, besides their source.
    instead : frozenset of str
        Symbols whose records in the lake all go when these come.
    early : set of str
        Symbols of which records were rejected that become visible after the clock's time.
    """

    record: RecordKind
    kind: str
    timed: bool
    interval_ns: int = 0
    identity: str
    before: Parts
    session: Session
    now: int
    folder: Path
    notes: Callable[[str], Mapping[str, str]] = no_notes
    instead: frozenset[str] = frozenset()
    early: set[str] = field(default_factory=set)
    rows_in: int = 0
    stamps: Stamps = field(default_factory=Stamps)
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    grids: dict[Place, Ints] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.timed:
            self.record = self.record.sampled()
        self._there = {p: entries for p, entries in self.before.items() if entries[0].symbol not in self.instead}
        self._judged: list[Place] = []
        self._merged = Spool(self.folder / "merged", dated=self.record.dated)
        self._rejected = Spool(self.folder / "rejected", dated=self.record.dated)
        self._last: tuple[str, int | None] = ("", None)

    def gather(self, raw: Spool, table: pa.Table, tell: Progress, stage: str = "read") -> None:
        """Put rows aside until all are there."""
        raw.add(table)
        self.rows_in += table.num_rows
        tell(stage, self.rows_in)

    def judge_all(self, lake: Lake, raw: Spool, tell: Progress) -> None:
        """Screen everything that was put aside, and merge it with what the lake has."""
        rows = 0
        for place, table in raw:
            self.judge(lake, place, table)
            rows += table.num_rows
            tell("screened", rows)

    def report(self, lake: Lake, version: str, absent: Iterable[str] = (), watched: Iterable[str] = ()) -> IngestReport:
        """Say what came of it, when it has been written as a version of its kind.

        Parameters
        ----------
        watched : iterable of str
            The symbols whose missing times are gaps; without any, those there are records of.
        """
        return IngestReport(
            kind=self.kind,
            rows_in=self.rows_in,
            kept=sum(self.kept.values()),
            added=self.counts["added"],
            revised=self.counts["revised"],
            unchanged=self.counts["unchanged"],
            quarantined=dict(sorted(self.reasons.items())),
            unsorted=self.counts["unsorted"],
            gaps=self._gaps(lake, {*watched} or {*self.kept}),
            gap_is=self.gap_is,
            symbols=tuple(sorted(self.kept)),
            absent=tuple(absent),
            version=version,
        )

    def judge(self, lake: Lake, place: Place, raw: pa.Table) -> None:
        """Screen all rows of a place and merge them with what the lake has; places come sorted."""
        context = RuleContext(session=self.session, now=self.now)
        screened = screen(self.record, self._numbered(raw), context)
        self._judged.append(place)
        if self.record.name == "bars":
            self.stamps |= stamps(raw, self.session)
            self.counts["crowded"] += crowded(times(screened.kept), self.session, self.interval_ns)
        self.counts["unsorted"] += screened.unsorted
        reasons = counted(screened.rejected)
        self.reasons.update(reasons)
        self._rejected.add(screened.rejected)
        if reasons.keys() & {*EARLY}:
            self.early.add(place.symbol)
        if screened.kept.num_rows:
            self.kept[place.symbol] += screened.kept.num_rows
            self._look_for_gaps(place, self._merge(lake, place, screened.kept))

    def _numbered(self, raw: pa.Table) -> pa.Table:
        """Return rows that have an interval with a number: 0 where their source has none, for it tells none apart."""
        if not self.timed or "seq" not in raw.column_names or not raw["seq"].null_count:
            return raw
        at = raw.schema.get_field_index("seq")
        return raw.set_column(at, raw.schema.field(at), pc.fill_null(raw["seq"], 0))

    def _merge(self, lake: Lake, place: Place, new: pa.Table) -> pa.Table:
        merged = merge(self.record, self._old(lake, place), new)
        self.counts.update(added=merged.added, revised=merged.revised, unchanged=merged.unchanged)
        if merged.added or merged.revised:
            self._merged.add(merged.rows)
        return merged.rows

    def _old(self, lake: Lake, place: Place) -> pa.Table | None:
        found = slices(self._there.get(partition_name(*place), ()))
        return read_slice(lake, found[place.symbol][0], self.record.order) if found else None

    def _look_for_gaps(self, place: Place, rows: pa.Table) -> None:
        if self.timed:
            self.grids[place] = times(rows)
            return
        self.counts["silences"] += silences(times(rows))
        if "prev_seq" in rows.column_names:
            symbol, last = self._last
            broken, last = breaks(rows, last if symbol == place.symbol else None)
            self._last = (place.symbol, last)
            self.counts.update(breaks=broken, chained=rows.num_rows - rows["prev_seq"].null_count)

    @property
    def gap_is(self) -> GapIs:
        """What counts as a gap: missing times where there is an interval, else what the feed's own numbers say."""
        if self.timed:
            return "missing interval"
        return "break in the numbering" if self.counts["chained"] else "silence"

    def _gaps(self, lake: Lake, watched: Collection[str]) -> int:
        if not self.timed:
            return self.counts["breaks" if self.counts["chained"] else "silences"]
        places = {Place(es[0].symbol, es[0].date): es for es in self._there.values() if es[0].symbol in watched}
        grids: dict[str, list[Ints]] = {}
        for place in {*places, *self.grids}:
            if place.symbol in watched:
                grids.setdefault(place.symbol, []).extend(self._grid(lake, place, places.get(place, ())))
        return gaps(np.concatenate(parts) for parts in grids.values())

    def _grid(self, lake: Lake, place: Place, entries: Iterable[Entry]) -> Iterator[Ints]:
        if place in self.grids:
            yield self.grids[place]
        else:
            yield from (times(lake.read_entry(entry, ["ts_event"])) for entry in entries)

    def refuse_others(self, symbols: Iterable[str], there: Parts | None = None) -> None:
        """Raise `DataError` if the lake has records of these symbols from another source: two make no series."""
        ours, others = set(symbols), {}
        for entries in (self.before if there is None else there).values():
            for entry in entries:
                if entry.symbol in ours and (theirs := entry.note.get(SOURCE, "unknown")) != self.identity:
                    others[entry.symbol] = theirs
        if others:
            raise DataError(
                f"the lake has {self.kind} of {listed(others)} from another source, "
                f"{' and '.join(sorted(set(others.values())))}; this one is {self.identity}, and {self.record.name} of "
                "two sources make no series. Ingest into another lake: say another --lake, or set another "
                "BELLWETHER_HOME"
            )

    def write(self, lake: Lake, tell: Progress, besides: Mapping[str, Iterable[Entry]] | None = None) -> str:
        """Stage everything, then commit: quarantine, ``besides``, and the records last. Returns their version.

        Raises
        ------
        DataError
            Partitions that these records were merged with have changed meanwhile, or have records of another source
            now. Nothing of their kind is committed.
        """
        staged, rows = [], 0
        for place, table in self._merged:
            note = {SOURCE: self.identity, **self.notes(place.symbol)}
            staged.append(lake.stage(self.kind, place.symbol, table, note, date=place.date))
            rows += table.num_rows
            tell("written", rows)
        put_aside(lake, self.kind, self._rejected, self._judged, self.instead)
        for kind, entries in (besides or {}).items():
            lake.commit(kind, entries)
        return lake.update(self.kind, lambda parts: self._put(parts, staged))

    def _put(self, parts: Parts, staged: Collection[Entry]) -> None:
        gone = [p for p, entries in {**self.before, **parts}.items() if entries[0].symbol in self.instead]
        refuse_changed(self.kind, self.before, parts, {*gone, *(entry.partition for entry in staged)})
        for partition in gone:
            parts.pop(partition, None)
        self.refuse_others({entry.symbol for entry in staged}, parts)
        append_to(parts, staged)


def listed(names: Iterable[str]) -> str:
    """Return names sorted, with commas, and no more than twenty of them.

    >>> listed(["b", "a"])
    'a, b'
    """
    found = sorted(names)
    return ", ".join(found[:20]) + (f" and {len(found) - 20} more" if len(found) > 20 else "")
