"""A small complete installation to serve from: bars of a random walk, equal weights, and a promoted model.

The model is a logistic regression of labels drawn at random on the installation's own features: it answers like any
other and means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from bellwether.actions import ACTIONS
from bellwether.config.recipe import Recipe, load_recipe
from bellwether.models import family
from bellwether.models.artefact import Artefact
from bellwether.models.training import plain
from bellwether.registry import Ledger, Registry
from benchmarks.contracts import artefact_of
from data.features import features_of
from data.features.market import component_features
from data.features.tables import component_slices, universe_context
from data.intake.ingest import SOURCE, source_identity
from data.lake import Lake
from data.records import BARS, TIME
from data.weights.base import WEIGHTS
from data.weights.table import weights_kind

Ints = NDArray[np.int64]

MINUTE = 60_000_000_000
CLOSES = (60, 120, 180, 240, 300, 360, 390)  # minutes after the open: seven bars a session, the last a short one
FIRST_OPEN = 1_746_451_800_000_000_000  # Monday 2025-05-05 09:30 New York; no change of clocks within months


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Where everything is, as an app's args take it."""

    recipe: str
    lake: str
    tracking_uri: str
    ledger: str

    @classmethod
    def below(cls, home: Path, description: Mapping[str, Any]) -> Installation:
        """Write a recipe below ``home``, where its lake and its registry will be, too; recipes may share a registry."""
        path = home / f"{description['name']}.yaml"
        path.write_text(yaml.safe_dump(dict(description)), encoding="utf-8")
        return cls(recipe=str(path), lake=str(home / description["name"] / "lake"), **registry_below(home))

    def args(self, **more: Any) -> dict[str, Any]:
        """What an app's builder takes to serve it."""
        return {**vars(self), **more}

    def load(self) -> Recipe:
        """Its recipe."""
        return load_recipe(self.recipe)

    def register(self, name: str, model: Artefact, alias: str | None = "Production") -> int:
        """Register another version of a model and give it an alias; returns its number."""
        registry = Registry(self.tracking_uri, Ledger(self.ledger))
        version = registry.register(name, model, metrics={})
        if alias:
            registry.promote(name, version, alias, who="bench", why="bench")
        return version


def registry_below(home: Path) -> dict[str, str]:
    """Where a registry below ``home`` is."""
    return {"tracking_uri": f"sqlite:///{home / 'mlflow.db'}", "ledger": str(home / "promotions.jsonl")}


def install(home: Path, **options: Any) -> Installation:
    """Make an installation below ``home``, with a model in Production; `prepare` has the options."""
    made = prepare(home, **options)
    recipe = made.load()
    made.register(recipe.name, artefact(recipe, Lake(made.lake)))
    return made


def prepare(
    home: Path, *, components: int = 4, sessions: int = 30, name: str = "bench", **serving: Any
) -> Installation:
    """Make a recipe and its lake, without a model; ``serving`` is the recipe's."""
    made = Installation.below(home, description(name, components, serving))
    recipe, lake = made.load(), Lake(made.lake)
    put_bars(lake, recipe, session_closes(sessions))
    put_weights(lake, recipe, dict.fromkeys(recipe.universe.symbols, 1.0 / components))
    return made


def description(name: str, components: int, serving: dict[str, Any]) -> dict[str, Any]:
    """A recipe of so many components, as YAML would say it."""
    symbols = [f"S{k:03d}" for k in range(components)]
    return {
        "name": name,
        "source": {"kind": "simulator"},
        "universe": {"name": f"u{components}", "symbols": symbols, "index": "X", "weights": {"kind": "simulator"}},
        "families": ["logistic"],
        "serving": {"refresh_s": 60.0, **serving},
    }


def session_closes(sessions: int) -> Ints:
    """Closes of the bars of so many weekdays."""
    day = np.arange(sessions) // 5 * 7 + np.arange(sessions) % 5
    closes: Ints = FIRST_OPEN + (day[:, None] * 1440 + np.array(CLOSES)).ravel() * MINUTE
    return closes


def bars(symbol: str, ts: Ints, seed: int) -> pa.Table:
    """A random walk; the first rows do not depend on how many there are."""
    steps = np.random.default_rng(seed).normal(size=(len(ts), 4))
    close = 100 * np.exp(np.cumsum(0.005 * steps[:, 0]))
    opens = close * np.exp(0.002 * steps[:, 1])
    high = np.maximum(opens, close) * (1 + 0.001 * np.abs(steps[:, 2]))
    low = np.minimum(opens, close) * (1 - 0.001 * np.abs(steps[:, 3]))
    volume = np.round(1e5 * np.exp(0.3 * steps[:, 1]))
    numbers = [pa.array(column) for column in (opens, high, low, close, volume)]
    return pa.table([pa.array([symbol] * len(ts)), pa.array(ts).cast(TIME), *numbers], schema=BARS)


def put_bars(lake: Lake, recipe: Recipe, ts: Ints, symbols: tuple[str, ...] | None = None) -> None:
    """Replace the bars of components (all, if left out) by those of ``ts``."""
    every = recipe.universe.symbols
    note = {SOURCE: source_identity(recipe)}
    lake.commit(recipe.kind, [lake.stage(recipe.kind, s, bars(s, ts, every.index(s)), note) for s in symbols or every])


def put_weights(lake: Lake, recipe: Recipe, weights: dict[str, float]) -> None:
    """Weights of the recipe's universe, from the first day on."""
    columns: dict[str, Any] = {
        "effective": pa.array([0] * len(weights), pa.int64()).cast(TIME),
        "symbol": list(weights),
        "weight": list(weights.values()),
    }
    kind = weights_kind(recipe.universe)
    lake.commit(kind, [lake.stage(kind, "weights", pa.table(columns, schema=WEIGHTS))])


def artefact(recipe: Recipe, lake: Lake, *, labels: int = 0, **changes: Any) -> Artefact:
    """A model for a recipe, of the labels that this seed draws; ``changes`` are made to its contract."""
    fs = features_of(recipe.features)
    context = universe_context(recipe, lake, component_slices(recipe, lake))
    first = lake.read(recipe.kind, recipe.universe.symbols[0])
    x = component_features(fs, first, recipe.session, context)[fs.warmup :]
    y = np.random.default_rng(labels).integers(0, len(ACTIONS), len(x))
    model = family("logistic").train(plain(x, y, classes=len(ACTIONS)), {"C": 1.0, "balanced": True})
    said = {"params": {"C": 1.0}, "edges": (-0.01, -0.003, 0.003, 0.01), "train_rows": len(x)}
    return artefact_of(recipe, "logistic", model, **(said | changes))
