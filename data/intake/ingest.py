"""From a recipe's sources into the lake: its records, what is derived of them, and the weights of its universe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Universe
from bellwether.errors import DataError
from data.derive.run import derive, steps, taken
from data.intake.batch import SOURCE, Batch, Progress, listed, no_progress
from data.intake.report import RecipeReport
from data.intake.take import Intake, judged, source_name
from data.lake import Lake
from data.options import checked
from data.weights import weight_source
from data.weights.base import fractions
from data.weights.table import PARTITION, WeightTable, weights_kind

__all__ = ["SOURCE", "ingest", "source_identity"]


def ingest(
    recipe: Recipe,
    lake: Lake,
    root: Path,
    progress: Progress | None = None,
    now: Callable[[], int] = time.time_ns,
) -> RecipeReport:
    """Read the recipe's source and weights, screen them, and merge them into the lake; derive what it derives.

    Every symbol of the source is kept, not only the universe's. A record the lake has already is left alone, one that
    differs is revised; records the source no longer has stay, and so do symbols. Doing it again changes nothing, but
    for records that have become visible meanwhile. Weights are replaced as a whole by what their source says.

    Everything is judged before the first file is written. Then quarantine, weights and records are committed one after
    the other, each at once, and after them what is derived: a process killed between them leaves the kinds before the
    kill new and those after it old, and running it again completes them. Where another process changed what these
    records were merged with, nothing is written over it: run it again.

    Each entry is noted with its source, and records of two sources are never merged.

    Parameters
    ----------
    recipe : Recipe
        Names the source, the derivations, the universe and its weights, and the session.
    lake : Lake
        Where it goes.
    root : Path
        Relative paths of the recipe are below it.
    progress : callable, optional
        Told ``(stage, rows)`` as rows are "read", "screened", "written" and "derived": the number so far in that
        stage.
    now : callable
        The clock, UTC nanoseconds, asked once before the source is read: a bar that closes later is not closed yet.

    Raises
    ------
    ConfigError
        An option is wrong, derivations do not fit together, or a symbol of the universe has no weight on any date.
    DataError
        A source cannot be read, is of another zone or stamped at the other end of its bars; weights do not sum; a
        symbol of the universe or its index is neither in the source nor in the lake; or the lake has a symbol from
        another source. The lake is as it was, or has the source's records where only a derivation failed. Or another
        process changed a kind meanwhile, which is left as that process wrote it.
    """
    tell, until, universe = progress or no_progress, now(), recipe.universe
    steps(recipe)  # refuses a chain that does not fit before anything is read
    weights = _weights(recipe, root)
    with judged(_intake(recipe, root), lake, tell, until) as batch:
        absent = _absent(universe, batch)
        batch.refuse_others((*batch.kept, *absent))
        besides = {} if weights is None else {weights_kind(universe): weights}
        staged = {kind: [lake.stage(kind, PARTITION, table)] for kind, table in besides.items()}
        version = batch.write(lake, tell, staged)
        report = batch.report(lake, version, absent, _watched(universe))
    return RecipeReport(**vars(report), derived=derive(recipe, source_name(recipe.source), lake, tell, until))


def source_identity(recipe: Recipe) -> str:
    """Return what tells the series of a recipe's records from others of the same symbols; the lake notes it.

    It is the identity of the source, and of the derivations that follow it.

    Raises
    ------
    ConfigError
        There is no such source or derivation, or an option is wrong.
    """
    name = source_name(recipe.source)
    for step in steps(recipe):
        name = step.identity(name)
    return name


def _intake(recipe: Recipe, root: Path) -> Intake:
    record, interval = taken(recipe)
    return Intake(source=recipe.source, record=record, interval=interval, session=recipe.session, root=root)


def _weights(recipe: Recipe, root: Path) -> pa.Table | None:
    part = recipe.universe.weights
    if part is None:
        return None
    found = weight_source(part.kind)
    table = fractions(found.read(checked(f"weights source {part.kind!r}", found.options, part.options), root))
    WeightTable.from_arrow(table).check(recipe.universe)
    return table


def _watched(universe: Universe) -> tuple[str, ...]:
    return (*universe.symbols, universe.index) if universe.index else universe.symbols


def _absent(universe: Universe, batch: Batch) -> tuple[str, ...]:
    """Return what of the universe is not in the batch, such as a halted symbol; the lake must have it then."""
    there = {entries[0].symbol for entries in batch.before.values()}
    absent = tuple(symbol for symbol in _watched(universe) if symbol not in batch.kept)
    if lacking := [symbol for symbol in absent if symbol not in there]:
        raise DataError(
            f"the source has no usable {batch.record.name} of {', '.join(lacking)} of universe {universe.name}; it "
            f"has: {listed(batch.kept) or 'none'}. {_told(batch.reasons)}"
            "The lake has none either: correct the universe or the source"
        )
    return absent


def _told(reasons: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
    return f"Rows rejected: {counts}. " if counts else ""
