"""The panel: features and outcomes of all components of a universe, pooled, ready for a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError, NotInLake
from data.features import features_of
from data.features.base import FeatureSet, Floats, Ints
from data.features.market import features_kind
from data.features.tables import Slices, component_slices, feature_notes
from data.lake import Lake
from data.lake.slices import Slice, read_slice, slices
from data.records import record_kind
from data.rows import outcomes, told
from data.targets import target_kind
from data.targets.base import TargetKind
from data.targets.series import columns, series
from data.wall import times

SHOWN = 10
"""Names an error lists before it counts the rest."""

STALE = {
    "definition": "by another definition of the feature set",
    "source": "from other records",
    "context": "with another session, or another market (the other components' records, or the weights)",
}
"""What a feature table notes that it is a function of, and what is said when that has changed."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Rows of all components, sorted by (ts, who).

    Parameters
    ----------
    x : float64 array of shape (n, len(features))
        Finite features, known at ``ts``.
    outcome : float64 array of shape (n,), or (n, steps) for a target of several steps
        What the target made of the records after ``ts``; finite, not yet cut into classes.
    value : float64 array of shape (n,)
        The series the target is made of, such as a price, as it is known at ``ts``; finite where the target is a level.
    ts, t1 : int64 arrays of shape (n,)
        When the row's record happened (a bar: its close), and when its outcome is known; UTC nanoseconds.
    who : int64 array of shape (n,)
        Index into ``symbols``.
    symbols, features : tuple of str
        In the order of the universe and of the feature set.
    definition, warmup : str, int
        Of the feature set: what a model carries and serving checks.
    """

    x: Floats
    outcome: Floats
    value: Floats
    ts: Ints
    t1: Ints
    who: Ints
    symbols: tuple[str, ...]
    features: tuple[str, ...]
    definition: str
    warmup: int

    def of(self, symbol: str) -> Panel:
        """The rows of one of its symbols."""
        rows = np.flatnonzero(self.who == self.symbols.index(symbol))
        return replace(
            self,
            x=self.x[rows],
            outcome=self.outcome[rows],
            value=self.value[rows],
            ts=self.ts[rows],
            t1=self.t1[rows],
            who=np.zeros(len(rows), np.int64),
            symbols=(symbol,),
        )


def load_panel(recipe: Recipe, lake: Lake) -> Panel:
    """Join features and outcomes of a recipe's components by ``ts_event``.

    Rows in the warm-up, rows with a feature that is not known, and rows whose outcome is unknown or left out by the
    target are not in it. A row at t depends on records up to t for its features, and for its outcome on those that
    its target states, up to ``t1``.

    Raises
    ------
    NotInLake
        Components have no records or no features; they are named, with the command that makes them.
    ConfigError
        The target reads a series that the recipe's records do not have.
    DataError
        Features were made from other records or by another definition than the present ones, or a component has no
        row left; the message says what its rows lack.
    """
    fs, target = features_of(recipe.features), target_kind(recipe.target.kind)
    columns(recipe.record, target)
    records = component_slices(recipe, lake)
    features = _features(recipe, lake, records)
    parts, empty = [], []
    for symbol in recipe.universe.symbols:
        rows = _rows(recipe, lake, fs, target, records[symbol], features[symbol])
        parts.append(_complete(*rows))
        if not len(parts[-1][0]):
            empty.append(f"{symbol} has {_lacking(fs, *rows)}")
    if empty:
        raise DataError(
            f"nothing to fit to: {'; '.join(empty[:SHOWN])}. {recipe.features.kind} needs more than "
            f"{fs.warmup + recipe.target.horizon} rows on end: ingest a longer history, or what the features lack"
        )
    who = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    ts, t1, value, outcome, x = (np.concatenate([part[k] for part in parts]) for k in range(5))
    order = np.lexsort((who, ts))
    return Panel(
        x=x[order],
        outcome=outcome[order],
        value=value[order],
        ts=ts[order],
        t1=t1[order],
        who=who[order],
        symbols=recipe.universe.symbols,
        features=fs.outputs,
        definition=fs.definition,
        warmup=fs.warmup,
    )


def _features(recipe: Recipe, lake: Lake, records: Slices) -> dict[str, tuple[Slice, ...]]:
    """The features of each component, refused where they are not what `build_features` would make now."""
    now, kind = feature_notes(recipe, lake, records), features_kind(recipe)
    there = lake.entries(kind)
    if missing := sorted({s for s, cut in records.items() for part in cut if part.partition not in there}):
        raise NotInLake(f"{kind} has no features of {_listed(missing)}: run `bellwether features {_named(recipe)}`")
    stale: dict[str, list[str]] = {}
    for partition, note in now.items():
        differing = (why for name, why in STALE.items() if there[partition].note.get(name) != note[name])
        if first := next(differing, None):
            stale.setdefault(first, []).append(partition)
    if found := [f"those of {_listed(partitions)} were made {why}" for why, partitions in stale.items()]:
        raise DataError(f"{kind} is out of date, {' and '.join(found)}: run `bellwether features {_named(recipe)}`")
    return slices(there[partition] for partition in now)


def _named(recipe: Recipe) -> str:
    """A recipe as the command line takes it: what a model calls ``ticks.direction_1`` is ``ticks/direction_1``."""
    return recipe.name.replace(".", "/", 1)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _rows(
    recipe: Recipe,
    lake: Lake,
    fs: FeatureSet,
    target: TargetKind,
    records: Iterable[Slice],
    features: Iterable[Slice],
) -> tuple[Ints, Ints, Floats, Floats, Floats]:
    """ts, t1, value, outcome and x of one symbol's rows, complete or not."""
    order, names = record_kind(recipe.record).order, columns(recipe.record, target)
    wanted = pa.concat_tables([read_slice(lake, part, order, names) for part in records])
    known, value = series(recipe.record, target, wanted)
    outcome, t1 = outcomes(recipe, known, value)
    parts = [_matrix(read_slice(lake, part, ("ts_event",), ["ts_event", *fs.outputs]), fs) for part in features]
    ts, x = (np.concatenate(found) for found in zip(*parts, strict=True))
    here, there = _joined(ts, known)
    return ts[here], t1[there], value[there], outcome[there], x[here]


def _complete(
    ts: Ints, t1: Ints, value: Floats, outcome: Floats, x: Floats
) -> tuple[Ints, Ints, Floats, Floats, Floats]:
    kept = told(outcome) & np.isfinite(x).all(axis=1)
    return ts[kept], t1[kept], value[kept], outcome[kept], x[kept]


def _lacking(fs: FeatureSet, ts: Ints, t1: Ints, value: Floats, outcome: Floats, x: Floats) -> str:
    """What keeps rows out, and which features most of all, besides the warm-up that all of them share."""
    unknown = ~np.isfinite(x)
    lacks, warm = unknown.sum(axis=0), int(unknown.all(axis=1).sum())
    worst = [f"{fs.outputs[k]} in {lacks[k]:,}" for k in np.argsort(-lacks, kind="stable")[:3] if lacks[k] > warm]
    most = f" (most often {', '.join(worst)})" if worst else ""
    return (
        f"{len(ts):,} rows, {warm:,} of them in the warm-up, {unknown.any(axis=1).sum():,} without a feature{most}, "
        f"{(~told(outcome)).sum():,} without an outcome"
    )


def _joined(ts: Ints, known: Ints) -> tuple[Ints, Ints]:
    """Positions in both of the rows that belong together: row by row, or by times that do not repeat."""
    if np.array_equal(ts, known):
        every = np.arange(len(ts))
        return every, every
    if any((np.diff(side) <= 0).any() for side in (ts, known)):
        raise DataError("features and outcomes are not of the same records, and their times repeat")
    _, here, there = np.intersect1d(ts, known, assume_unique=True, return_indices=True)
    return here, there


def _matrix(table: pa.Table, fs: FeatureSet) -> tuple[Ints, Floats]:
    return times(table), np.column_stack([table.column(name).to_numpy() for name in fs.outputs])
