"""A small complete installation to serve from: bars of a random walk, equal weights, and a promoted model.

The model is a logistic regression of labels drawn at random on the installation's own features: it answers like any
other and means nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from bellwether.actions import ACTIONS
from bellwether.config.recipe import Recipe, load_recipe
from bellwether.models import family
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.training import plain
from bellwether.registry import Ledger, Registry
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
    """Where everything is, as `IndexSignalArgs` take it."""

    recipe: str
    lake: str
    tracking_uri: str
    ledger: str

    def args(self, **more: Any) -> dict[str, Any]:
        return {**vars(self), **more}

    def load(self) -> Recipe:
        return load_recipe(self.recipe)


def install(home: Path, **options: Any) -> Installation:
    """Make an installation below ``home``, with a model in Production; `prepare` has the options."""
    made = prepare(home, **options)
    recipe = made.load()
    registry = Registry(made.tracking_uri, Ledger(made.ledger))
    version = registry.register(recipe.name, artefact(recipe, Lake(made.lake)), metrics={})
    registry.promote(recipe.name, version, "Production", who="bench", why="bench")
    return made


def prepare(
    home: Path, *, components: int = 4, sessions: int = 30, name: str = "bench", **serving: Any
) -> Installation:
    """Make a recipe and its lake, without a model; ``serving`` is the recipe's."""
    made = Installation(
        recipe=str(home / f"{name}.yaml"),
        lake=str(home / name / "lake"),
        tracking_uri=f"sqlite:///{home / 'mlflow.db'}",
        ledger=str(home / "promotions.jsonl"),
    )
    Path(made.recipe).write_text(yaml.safe_dump(description(name, components, serving)), encoding="utf-8")
    recipe, lake = made.load(), Lake(made.lake)
    put_bars(lake, recipe, session_closes(sessions))
    put_weights(lake, recipe, dict.fromkeys(recipe.universe.symbols, 1.0 / components))
    return made


def description(name: str, components: int, serving: dict[str, Any]) -> dict[str, Any]:
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
    graph = family("logistic").train(plain(x, y, classes=len(ACTIONS)), {"C": 1.0, "balanced": True}).graph()
    now = datetime(2025, 1, 1, tzinfo=UTC)
    contract = {
        "recipe": recipe.name,
        "universe": recipe.universe.name,
        "symbols": recipe.universe.symbols,
        "interval": recipe.interval,
        "family": "logistic",
        "params": {"C": 1.0},
        "seed": 0,
        "feature_set": fs.name,
        "features": fs.outputs,
        "definition": fs.definition,
        "warmup": fs.warmup,
        "target": recipe.target.kind,
        "horizon": recipe.target.horizon,
        "overnight": recipe.target.overnight,
        "classes": ACTIONS,
        "edges": (-0.01, -0.003, 0.003, 0.01),
        "buy": 0.25,
        "sell": -0.25,
        "train_start": now,
        "train_end": now,
        "train_rows": len(x),
        "metrics": {},
        "baselines": {},
        "verdict": {"passed": True, "reason": "made for a benchmark"},
        "versions": {},
        "sha256": hashlib.sha256(graph).hexdigest(),
        "created_at": now,
    }
    return Artefact(content=graph, contract=Contract.model_validate(contract | changes))
