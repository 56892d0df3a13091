"""The panel: features and outcomes of all components of a universe, pooled, ready for a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError, NotInLake
from data.features import features_of
from data.features.base import FeatureSet, Floats, Ints
from data.features.market import features_kind, times
from data.features.tables import feature_notes
from data.lake import Entry, Lake
from data.targets import target_kind
from data.targets.base import TargetKind

STALE = {
    "definition": "by another definition of the feature set",
    "source": "from other bars",
    "context": "with another basket (the other components' bars, the weights or the session)",
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
        What the target made of the bars after ``ts``; finite, not yet cut into classes.
    ts, t1 : int64 arrays of shape (n,)
        Close of the row's bar, and when its outcome is known; UTC nanoseconds.
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

    Rows in the warm-up, rows whose basket is unknown, and rows whose outcome is unknown or left out by the target
    are not in it. A row at t depends on bars up to t for its features and on the closes at t and ``t1`` for its
    outcome.

    Raises
    ------
    NotInLake
        Components have no bars or no features; they are named, with the command that makes them.
    DataError
        Features were made from other bars or by another definition than the present ones, or no row is left.
    """
    fs, target = features_of(recipe.features), target_kind(recipe.target.kind)
    bars = _entries(recipe, lake.entries(recipe.kind), f"{recipe.kind} has no bars", "ingest")
    kind = features_kind(recipe)
    features = _entries(recipe, lake.entries(kind), f"{kind} has no features", "features")
    _check_current(recipe, lake, bars, features)
    parts = [_rows(recipe, lake, fs, target, bars[s], features[s]) for s in recipe.universe.symbols]
    who = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    ts, t1, outcome, x = (np.concatenate([part[k] for part in parts]) for k in range(4))
    if not len(ts):
        raise DataError(
            f"no row of {recipe.universe.name} has both features and an outcome: "
            f"{recipe.features.kind} needs more than "
            f"{fs.warmup + recipe.target.horizon} bars a symbol, and the longest has "
            f"{max(entry.rows for entry in bars.values())}; ingest a longer history"
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


def _entries(recipe: Recipe, there: Mapping[str, Entry], what: str, command: str) -> dict[str, Entry]:
    if missing := [s for s in recipe.universe.symbols if s not in there]:
        raise NotInLake(f"{what} of {', '.join(missing)}: run `bellwether {command} {recipe.name}`")
    return {s: there[s] for s in recipe.universe.symbols}


def _check_current(recipe: Recipe, lake: Lake, bars: Mapping[str, Entry], features: Mapping[str, Entry]) -> None:
    """Refuse features that are not a function of the present definition, bars, weights and session."""
    now = feature_notes(recipe, lake, bars)
    stale: dict[str, list[str]] = {}
    for symbol in bars:
        differing = (why for note, why in STALE.items() if features[symbol].note.get(note) != now[symbol][note])
        if first := next(differing, None):
            stale.setdefault(first, []).append(symbol)
    if found := [f"those of {', '.join(symbols)} were made {why}" for why, symbols in stale.items()]:
        raise DataError(
            f"{features_kind(recipe)} is out of date, {' and '.join(found)}: run `bellwether features {recipe.name}`"
        )


def _rows(
    recipe: Recipe, lake: Lake, fs: FeatureSet, target: TargetKind, bars: Entry, features: Entry
) -> tuple[Ints, Ints, Floats, Floats]:
    """ts, t1, outcome and x of one symbol's complete rows."""
    closes = lake.read_entry(bars, ["ts_event", "close"])
    bar_ts = times(closes)
    outcome, t1 = target.outcome(bar_ts, closes.column("close").to_numpy(), recipe.session, recipe.target)
    table = lake.read_entry(features, ["ts_event", *fs.outputs])
    ts, x = times(table), _matrix(table, fs.outputs)
    _, here, there = np.intersect1d(ts, bar_ts, assume_unique=True, return_indices=True)
    kept = np.isfinite(outcome[there]) & np.isfinite(x[here]).all(axis=1)
    here, there = here[kept], there[kept]
    return ts[here], t1[there], outcome[there], x[here]


def _matrix(table: pa.Table, names: Iterable[str]) -> Floats:
    return np.column_stack([table.column(name).to_numpy() for name in names])
