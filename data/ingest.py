"""From a recipe's sources into the lake, judged as a whole before anything of it is written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from bellwether.config.recipe import Recipe, Universe
from bellwether.errors import ConfigError, DataError, EmptySource
from data.lake import Entry, Lake, digest_of
from data.merge import Ints, gaps, merge, times
from data.options import checked
from data.quality import Stamps, refuse_starts, refuse_wrong_zone, screen_rows, stamps
from data.sources import source
from data.sources.base import SourceContext
from data.spool import Spool
from data.weights import weight_source
from data.weights.base import fractions
from data.weights.table import PARTITION, WeightTable, weights_kind

Progress = Callable[[str, int], None]

SOURCE = "source"
"""Key in the note of a bars entry: the identity of the source its bars are from."""


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """What came of every row: ``rows_in`` is ``kept`` plus everything quarantined.

    Parameters
    ----------
    rows_in, kept : int
        Rows of the source, and those that are bars.
    added, revised, unchanged : int
        Of the kept: times the lake had no bar for, had another bar for, and had this bar for.
    quarantined : dict of str to int
        Rejected rows by reason; they are in the lake under ``quarantine/<kind>``.
    unsorted : int
        Rows that came after a later bar of their symbol, and were sorted.
    gaps : int
        (symbol, time) pairs of the universe and its index that have no bar although another of them has one,
        between the symbol's first and last bar in the lake.
    symbols : tuple of str
        Everything the source has bars of, in the universe or not.
    absent : tuple of str
        Symbols of the universe, or its index, without a bar in this batch; the lake has earlier ones.
    version : str
        The lake's version of the kind afterwards.
    """

    rows_in: int
    kept: int
    added: int
    revised: int
    unchanged: int
    quarantined: dict[str, int]
    unsorted: int
    gaps: int
    symbols: tuple[str, ...]
    absent: tuple[str, ...]
    version: str


@dataclass(kw_only=True)
class _Batch:
    """What is known of a batch while it is judged; nothing of it is in the lake yet."""

    merged: Spool
    before: Mapping[str, Entry]
    stamps: Stamps = field(default_factory=Stamps)
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    rejected: list[pa.Table] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    grids: dict[str, Ints] = field(default_factory=dict)


def ingest(
    recipe: Recipe,
    lake: Lake,
    root: Path,
    progress: Progress | None = None,
    now: Callable[[], int] = time.time_ns,
) -> IngestReport:
    """Read the recipe's source and weights, screen them, and merge them into the lake.

    Every symbol of the source is kept, not only the universe's. A bar the lake has already is left alone, one that
    differs is revised; bars the source no longer has stay, and so do symbols. Doing it again changes nothing, but
    for bars that have closed meanwhile. Weights are replaced as a whole by what their source says.

    Everything is judged before the first file is written. Then quarantine, weights and bars are committed one after
    the other, each at once: a process killed between them leaves the kinds before the kill new and those after it
    old, and running it again completes them. Ingest a kind from one process at a time: two at once would each merge
    into the bars they both found.

    Each bars entry is noted with its source (`source_identity`), and bars of two sources are never merged.

    Parameters
    ----------
    recipe : Recipe
        Names the source, the weights, the universe and the session.
    lake : Lake
        Where it goes.
    root : Path
        Relative paths of the recipe are below it.
    progress : callable, optional
        Told ``(stage, rows)`` as rows are "read", "screened" and "written": the number so far in that stage.
    now : callable
        The clock, UTC nanoseconds, asked once before the source is read: a bar that closes later is not closed yet.

    Raises
    ------
    ConfigError
        An option is wrong, or a symbol of the universe has no weight on any date.
    DataError
        A source cannot be read, is of another zone or stamped at the other end of its bars; weights do not sum; a
        symbol of the universe or its index is neither in the source nor in the lake; or the lake has a symbol from
        another source. The lake is as it was.
    """
    tell = progress or (lambda stage, rows: None)
    until = now()
    weights = _weights(recipe, root)
    with TemporaryDirectory(prefix="bellwether-ingest-") as folder:
        raw = Spool(Path(folder) / "raw")
        batch = _Batch(merged=Spool(Path(folder) / "merged"), before=lake.entries(recipe.kind))
        rows_in = _gather(recipe, root, raw, tell)
        _judge(recipe, lake, raw, batch, until, tell)
        refuse_starts(batch.stamps)
        refuse_wrong_zone(batch.reasons["outside_session"], rows_in)
        absent = _absent(recipe.universe, batch)
        _check_source(recipe, batch, absent)
        batch.grids.update((symbol, times(lake.read_entry(batch.before[symbol]))) for symbol in absent)
        version = _write(recipe, lake, batch, weights, tell)
    return IngestReport(
        rows_in=rows_in,
        kept=sum(batch.kept.values()),
        added=batch.counts["added"],
        revised=batch.counts["revised"],
        unchanged=batch.counts["unchanged"],
        quarantined=dict(sorted(batch.reasons.items())),
        unsorted=batch.counts["unsorted"],
        gaps=gaps(batch.grids.values()),
        symbols=tuple(sorted(batch.kept)),
        absent=absent,
        version=version,
    )


def source_identity(recipe: Recipe) -> str:
    """Return what tells the series of a recipe's source from others of the same symbols; the lake notes it.

    Raises
    ------
    ConfigError
        There is no such source, or an option is wrong.
    """
    part = recipe.source
    found = source(part.kind)
    return found.named(checked(f"source {part.kind!r}", found.options, part.options))


def _weights(recipe: Recipe, root: Path) -> pa.Table:
    part = recipe.universe.weights
    if part is None:
        raise ConfigError(f"universe {recipe.universe.name} names no weights; say where they come from")
    found = weight_source(part.kind)
    table = fractions(found.read(checked(f"weights source {part.kind!r}", found.options, part.options), root))
    WeightTable.from_arrow(table).check(recipe.universe)
    return table


def _gather(recipe: Recipe, root: Path, raw: Spool, tell: Progress) -> int:
    found = source(recipe.source.kind)
    options = checked(f"source {recipe.source.kind!r}", found.options, recipe.source.options)
    context = SourceContext(root=root, session=recipe.session, interval_ns=recipe.interval_ns)
    rows = 0
    for table in found.read(options, context):
        raw.add(table)
        rows += table.num_rows
        tell("read", rows)
    if not rows:
        raise EmptySource(f"source {recipe.source.kind!r} has no rows; correct its options")
    return rows


def _judge(recipe: Recipe, lake: Lake, raw: Spool, batch: _Batch, until: int, tell: Progress) -> None:
    """Screen and merge each symbol, noting what there will be to write."""
    watched = {*recipe.universe.symbols, recipe.universe.index}
    rows = 0
    for symbol, table in raw:
        screened = screen_rows(table, recipe.session, until)
        batch.stamps |= stamps(table, recipe.session)
        batch.counts["unsorted"] += screened.unsorted
        batch.reasons.update(map(str, screened.rejected["reason"].to_pylist()))
        if screened.rejected.num_rows:
            batch.rejected.append(screened.rejected)
        if screened.kept.num_rows:
            bars = _merge(lake, batch.before.get(symbol), screened.kept, batch)
            batch.kept[symbol] = screened.kept.num_rows
            if symbol in watched:
                batch.grids[symbol] = times(bars)
        rows += table.num_rows
        tell("screened", rows)


def _merge(lake: Lake, entry: Entry | None, new: pa.Table, batch: _Batch) -> pa.Table:
    merged = merge(None if entry is None else lake.read_entry(entry), new)
    batch.counts.update(added=merged.added, revised=merged.revised, unchanged=merged.unchanged)
    if merged.added or merged.revised:
        batch.merged.add(merged.bars)
    return merged.bars


def _absent(universe: Universe, batch: _Batch) -> tuple[str, ...]:
    """Return what of the universe is not in the batch, such as a halted symbol; the lake must have it then."""
    absent = tuple(symbol for symbol in (*universe.symbols, universe.index) if symbol not in batch.kept)
    if lacking := [symbol for symbol in absent if symbol not in batch.before]:
        raise DataError(
            f"the source has no usable bars of {', '.join(lacking)} of universe {universe.name}; it has: "
            f"{_listed(batch.kept) or 'none'}. {_told(batch.reasons)}"
            "The lake has none either: correct the universe or the source"
        )
    return absent


def _check_source(recipe: Recipe, batch: _Batch, absent: Iterable[str]) -> None:
    """Refuse to make one series, or one universe, of bars of two sources."""
    ours = source_identity(recipe)
    noted = {s: batch.before[s].note.get(SOURCE, "unknown") for s in (*batch.kept, *absent) if s in batch.before}
    if others := {symbol: theirs for symbol, theirs in sorted(noted.items()) if theirs != ours}:
        raise DataError(
            f"the lake has {recipe.kind} of {_listed(others)} from another source, "
            f"{' and '.join(sorted(set(others.values())))}; this recipe's is {ours}, and bars of two sources make no "
            "series. Ingest into another lake: say another --lake, or set another BELLWETHER_HOME"
        )


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:20]) + (f" and {len(found) - 20} more" if len(found) > 20 else "")


def _told(reasons: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
    return f"Rows rejected: {counts}. " if counts else ""


def _write(recipe: Recipe, lake: Lake, batch: _Batch, weights: pa.Table, tell: Progress) -> str:
    """Stage everything, then commit; readers of bars poll last what is committed last."""
    quarantine, weighed = f"quarantine/{recipe.kind}", weights_kind(recipe.universe)
    bad = []
    if batch.rejected:
        rejected = pa.concat_tables(batch.rejected)
        reasons = {reason: str(count) for reason, count in sorted(batch.reasons.items())}
        bad.append(lake.stage(quarantine, digest_of(rejected), rejected, reasons))
    known = lake.stage(weighed, PARTITION, weights)
    bars, rows, identity = [], 0, source_identity(recipe)
    for symbol, table in batch.merged:
        bars.append(lake.stage(recipe.kind, symbol, table, {SOURCE: identity}))
        rows += table.num_rows
        tell("written", rows)
    lake.commit(quarantine, bad)
    lake.commit(weighed, [known])
    return lake.commit(recipe.kind, bars)
