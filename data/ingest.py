"""From a recipe's sources into the lake: all of it, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from bellwether.config.recipe import Recipe, Universe
from bellwether.errors import DataError, EmptySource
from data.lake import Entry, Lake, digest_of
from data.merge import Ints, gaps, merge, times
from data.quality import refuse_wrong_zone, screen_rows
from data.sources import source
from data.sources.base import SourceContext, checked
from data.spool import Spool
from data.weights import weight_source
from data.weights.base import fractions
from data.weights.table import PARTITION, WeightTable, weights_kind

Progress = Callable[[str, int], None]


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
    version: str


@dataclass(kw_only=True)
class _Batch:
    """What is known of a batch while it is judged; nothing of it is in the lake yet."""

    merged: Spool
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    rejected: list[pa.Table] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    grids: dict[str, Ints] = field(default_factory=dict)


def ingest(recipe: Recipe, lake: Lake, root: Path, progress: Progress | None = None) -> IngestReport:
    """Read the recipe's source and weights, screen them, and merge them into the lake.

    Every symbol of the source is kept, not only the universe's. A bar the lake has already is left alone, one that
    differs is revised; bars the source no longer has stay. Doing it again changes nothing. Weights are replaced as
    a whole by what their source says. Everything is judged before the first file is written, and the three kinds
    are committed one after the other, bars last. Ingest a kind from one process at a time: two at once would each
    merge into the bars they both found.

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

    Raises
    ------
    ConfigError
        An option is wrong, or a symbol of the universe has no weight on any date.
    DataError
        A source cannot be read or is of another zone, weights do not sum, or the universe or its index is not in
        the source. The lake is as it was.
    """
    tell = progress or (lambda stage, rows: None)
    weights = _weights(recipe, root)
    with TemporaryDirectory(prefix="bellwether-ingest-") as folder:
        raw, batch = Spool(Path(folder) / "raw"), _Batch(merged=Spool(Path(folder) / "merged"))
        rows_in = _gather(recipe, root, raw, tell)
        _judge(recipe, lake, raw, batch, tell)
        refuse_wrong_zone(batch.reasons["outside_session"], rows_in)
        _check_universe(recipe.universe, batch)
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
        version=version,
    )


def _weights(recipe: Recipe, root: Path) -> pa.Table:
    part = recipe.universe.weights
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


def _judge(recipe: Recipe, lake: Lake, raw: Spool, batch: _Batch, tell: Progress) -> None:
    """Screen and merge each symbol, noting what there will be to write."""
    before = lake.entries(recipe.kind)
    watched = {*recipe.universe.symbols, recipe.universe.index}
    rows = 0
    for symbol, table in raw:
        screened = screen_rows(table, recipe.session)
        batch.counts["unsorted"] += screened.unsorted
        batch.reasons.update(map(str, screened.rejected["reason"].to_pylist()))
        if screened.rejected.num_rows:
            batch.rejected.append(screened.rejected)
        if screened.kept.num_rows:
            bars = _merge(lake, before.get(symbol), screened.kept, batch)
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


def _check_universe(universe: Universe, batch: _Batch) -> None:
    lacking = [symbol for symbol in (*universe.symbols, universe.index) if symbol not in batch.kept]
    if lacking:
        found = sorted(batch.kept)
        listed = ", ".join(found[:20]) + (f" and {len(found) - 20} more" if len(found) > 20 else "")
        raise DataError(
            f"the source has no usable bars of {', '.join(lacking)} of universe {universe.name}; it has: "
            f"{listed or 'none'}. {_told(batch.reasons)}Correct the universe or the source"
        )


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
    bars, rows = [], 0
    for symbol, table in batch.merged:
        bars.append(lake.stage(recipe.kind, symbol, table))
        rows += table.num_rows
        tell("written", rows)
    lake.commit(quarantine, bad)
    lake.commit(weighed, [known])
    return lake.commit(recipe.kind, bars)
