"""A lake of trades and a registry with small models, for benchmarks and tests of the app of trades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.calibration.conformal import calibrated
from bellwether.config.recipe import Recipe
from bellwether.models import family
from bellwether.models.artefact import Artefact
from bellwether.models.training import plain
from benchmarks.contracts import artefact_of
from benchmarks.installation import FIRST_OPEN, Installation
from data.features import features_of
from data.features.tables import feature_table
from data.lake import Lake
from data.records import TICKS, TIME
from data.targets import target_kind
from data.wall import DAY

Ints = NDArray[np.int64]

SECOND = 1_000_000_000

VARIANTS: dict[str, Any] = {
    "direction_1": {"target": {"kind": "direction", "horizon": 1, "overnight": "drop"}},
    "direction_10": {"target": {"kind": "direction", "horizon": 10, "overnight": "drop"}, "embargo": 10},
    "future_return_1": {"target": {"kind": "future_return", "horizon": 1, "overnight": "drop"}, "families": ["ridge"]},
    "future_return_5": {"target": {"kind": "future_return", "horizon": 5, "overnight": "drop"}, "families": ["ridge"]},
    "future_return_10": {
        "target": {"kind": "future_return", "horizon": 10, "overnight": "drop"},
        "families": ["ridge"],
        "embargo": 10,
    },
    "return_bucket_1": {
        "target": {"kind": "return_bucket", "horizon": 1, "overnight": "drop", "options": {"edges": "quantiles"}}
    },
}


def install_ticks(
    home: Path,
    *,
    symbols: int = 2,
    sessions: int = 2,
    trades: int = 120,
    models: tuple[str, ...] = ("", *VARIANTS),
    by: str = "",
    **options: Any,
) -> Installation:
    """Make a lake of random trades below ``home`` and put models in Production, "" being the main one; `tick_artefact`
    has ``by``."""
    made = Installation.below(home, description(symbols, options))
    recipe, lake = made.load(), Lake(made.lake)
    put_trades(lake, recipe, sessions, trades)
    for model in models:
        register(made, recipe.variant(model) if model else recipe, by=by)
    return made


def register(made: Installation, recipe: Recipe, alias: str | None = "Production", **changes: Any) -> int:
    """Make a model of a recipe and give it an alias; returns its version."""
    return made.register(recipe.name, tick_artefact(recipe, Lake(made.lake), **changes), alias)


def description(symbols: int, options: dict[str, Any]) -> dict[str, Any]:
    """A recipe of trades of so many symbols, as YAML would say it."""
    serving = {"app": "ticks", "refresh_s": 60.0} | options.pop("serving", {})
    return {
        "name": "trades",
        "record": "ticks",
        "source": {"kind": "simulator"},
        "universe": {"name": f"t{symbols}", "symbols": [f"S{k:03d}" for k in range(symbols)]},
        "features": {"kind": "ticks", "options": {"lookbacks": [5, 10, 20, 50]}},
        "target": {"kind": "direction", "horizon": 5, "overnight": "drop"},
        "families": ["logistic"],
        "validation": {"embargo": 5},
        "serving": serving,
        "variants": VARIANTS,
        **options,
    }


def trades_of(symbol: str, session: int, n: int, seed: int = 0) -> pa.Table:
    """Random trades of one session, a second or two apart; some share an instant, some have no quote."""
    rng = np.random.default_rng([seed, session, *symbol.encode()])
    ts = FIRST_OPEN + session * DAY + np.cumsum(rng.integers(0, 3, n)) * SECOND
    cents = 10_000 + np.cumsum(rng.integers(-2, 3, n))
    quoted = rng.random(n) < 0.9
    columns = {
        "symbol": pa.array([symbol] * n),
        "ts_event": pa.array(ts).cast(TIME),
        "seq": numbered(ts),
        "price": cents / 100,
        "volume": rng.integers(1, 50, n) * 10.0,
        "bid": pa.array((cents - 1) / 100, mask=~quoted),
        "ask": pa.array((cents + 1) / 100, mask=~quoted),
        "side": rng.choice(np.array([-1, 0, 1], np.int8), n),
    }
    arrays = [pa.array(columns.get(field.name, [None] * n), field.type) for field in TICKS]
    return pa.table(arrays, schema=TICKS)


def numbered(ts: Ints) -> Ints:
    """Number trades of an instant from 0."""
    numbers: Ints = np.arange(len(ts)) - np.searchsorted(ts, ts, side="left")
    return numbers


def put_trades(lake: Lake, recipe: Recipe, sessions: int, n: int) -> None:
    """Write the first sessions of every symbol, each as one file."""
    entries = []
    for symbol in recipe.universe.symbols:
        for session in range(sessions):
            table = trades_of(symbol, session, n)
            entries.append(lake.stage(recipe.kind, symbol, table, date=date_of(session)))
    lake.commit(recipe.kind, entries)


def date_of(session: int) -> str:
    """UTC date of a session."""
    return str(np.datetime64(FIRST_OPEN // DAY + session, "D"))


def tick_artefact(recipe: Recipe, lake: Lake, by: str = "", **changes: Any) -> Artefact:
    """A model fitted to noise on the first session of the first symbol, by a small family if ``by`` names none;
    ``changes`` are made to its contract."""
    fs, target = features_of(recipe.features), target_kind(recipe.target.kind)
    symbol = recipe.universe.symbols[0]
    records = lake.read(recipe.kind, f"{symbol}/{date_of(0)}")
    table = feature_table(recipe, records, symbol=symbol, market=None)
    x = np.column_stack([table[name].to_numpy() for name in fs.outputs])
    x = x[np.isfinite(x).all(axis=1)]
    rng, k = np.random.default_rng(recipe.target.horizon), len(target.classes)
    y = rng.integers(0, k, len(x)) if k else rng.normal(0.0, 1e-4, len(x))
    name = by or ("logistic" if k else "ridge")
    params = {**family(name).defaults}
    training = plain(x, y, classes=k) if k else plain(x, y[:, None])
    said = {"params": params, "train_rows": len(x)}
    said |= {} if k else {"conformal": {"steps": [calibrated(np.abs(y)).state()]}}
    return artefact_of(recipe, name, family(name).train(training, params), **(said | changes))
