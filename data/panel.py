"""The panel: features and outcomes of all components of a universe, pooled, ready for a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError, NotInLake
from data.features import features_of
from data.features.base import FeatureSet, Floats, Ints
from data.features.market import features_kind, times
from data.features.tables import Slices, component_slices, feature_notes
from data.lake import Lake
from data.records import record_kind
from data.slices import Slice, read_slice, slices
from data.targets import target_kind
from data.targets.base import TargetKind
from data.targets.series import columns, series

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
    outcome : float64 array of shape (n,)
        What the target made of the records after ``ts``; finite, not yet cut into classes.
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
    ts: Ints
    t1: Ints
    who: Ints
    symbols: tuple[str, ...]
    features: tuple[str, ...]
    definition: str
    warmup: int


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
        Features were made from other records or by another definition than the present ones, or no row is left.
    """
    fs, target = features_of(recipe.features), target_kind(recipe.target.kind)
    columns(recipe.record, target)
    records = component_slices(recipe, lake)
    features = _features(recipe, lake, records)
    parts = [_rows(recipe, lake, fs, target, records[s], features[s]) for s in recipe.universe.symbols]
    who = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    ts, t1, outcome, x = (np.concatenate([part[k] for part in parts]) for k in range(4))
    if not len(ts):
        raise DataError(
            f"no row of {recipe.universe.name} has both features and an outcome: {recipe.features.kind} needs more "
            f"than {fs.warmup + recipe.target.horizon} {recipe.record} a symbol, and the longest history has "
            f"{max(sum(part.rows for part in cut) for cut in records.values())}; ingest a longer one"
        )
    order = np.lexsort((who, ts))
    return Panel(
        x=x[order],
        outcome=outcome[order],
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
        raise NotInLake(f"{kind} has no features of {_listed(missing)}: run `bellwether features {recipe.name}`")
    stale: dict[str, list[str]] = {}
    for partition, note in now.items():
        differing = (why for name, why in STALE.items() if there[partition].note.get(name) != note[name])
        if first := next(differing, None):
            stale.setdefault(first, []).append(partition)
    if found := [f"those of {_listed(partitions)} were made {why}" for why, partitions in stale.items()]:
        raise DataError(f"{kind} is out of date, {' and '.join(found)}: run `bellwether features {recipe.name}`")
    return slices(there[partition] for partition in now)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _rows(
    recipe: Recipe,
    lake: Lake,
    fs: FeatureSet,
    target: TargetKind,
    records: Iterable[Slice],
    features: Iterable[Slice],
) -> tuple[Ints, Ints, Floats, Floats]:
    """ts, t1, outcome and x of one symbol's complete rows."""
    order, names = record_kind(recipe.record).order, columns(recipe.record, target)
    wanted = pa.concat_tables([read_slice(lake, part, order, names) for part in records])
    known, value = series(recipe.record, target, wanted)
    outcome, t1 = target.outcome(known, value, recipe.session, recipe.target)
    parts = [_matrix(read_slice(lake, part, ("ts_event",), ["ts_event", *fs.outputs]), fs) for part in features]
    ts, x = (np.concatenate(found) for found in zip(*parts, strict=True))
    here, there = _joined(ts, known)
    kept = np.isfinite(outcome[there]) & np.isfinite(x[here]).all(axis=1)
    here, there = here[kept], there[kept]
    return ts[here], t1[there], outcome[there], x[here]


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
