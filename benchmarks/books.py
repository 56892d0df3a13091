"""A small installation of order books: a lake of a random walk, models fitted to it, and an app in this process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from bellwether.calibration.conformal import calibrated
from bellwether.config.recipe import Recipe, load_recipe
from bellwether.models import family
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import Bundled, Ranged, Reads
from bellwether.models.training import Training
from bellwether.registry import Ledger, Registry
from data.features import features_of
from data.features.market import features_kind
from data.features.tables import component_slices, feature_notes, feature_table, given, runs
from data.inputs import inputs
from data.lake import Lake
from data.lake.slices import read_slice
from data.panel import Panel, load_panel
from data.records import BOOKS, TIME, record_kind
from data.targets import target_kind
from serve_apps.args import AppArgs
from serve_apps.book.app import BookApp
from serve_apps.models.routes import Route, to_config
from serve_apps.stores import Stores

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MINUTE, DAY = 60_000_000_000, 86_400_000_000_000
OPENS = 1_746_451_800_000_000_000  # Monday 2025-05-05 09:30 New York; no change of clocks within months

FORECAST: dict[str, Any] = {
    "name": "ahead",
    "record": "books",
    "interval": "5min",
    "source": {"kind": "simulator"},
    "universe": {"name": "two", "symbols": ["A", "B"]},
    "features": "books-5min",
    "target": {"kind": "mid_price", "horizon": 1, "overnight": "drop"},
    "families": ["ridge"],
    "serving": {"app": "forecast", "refresh_s": 0.02},
}
DIRECTION: dict[str, Any] = FORECAST | {
    "name": "moves",
    "interval": None,
    "features": {"kind": "microstructure", "options": {"levels": 2, "flow": [5, 20], "window": 30, "trades": 10}},
    "target": {"kind": "market_direction", "overnight": "drop", "options": {"seconds": 60, "cost_bp": 1.0}},
    "families": ["logistic"],
    "serving": {"app": "strategy", "refresh_s": 0.02},
}


def session_days(sessions: int) -> Ints:
    """Openings of so many weekdays."""
    k = np.arange(sessions)
    opens: Ints = OPENS + (k // 5 * 7 + k % 5) * DAY
    return opens


def grid(sessions: int) -> Ints:
    """Ends of the five minutes of so many sessions."""
    return (session_days(sessions)[:, None] + 5 * MINUTE * np.arange(1, 79)).ravel()


def events(sessions: int, each: int, seed: int = 0) -> Ints:
    """Times of changes, every few seconds."""
    gaps = np.random.default_rng(seed).integers(1_000_000_000, 9_000_000_000, (sessions, each))
    return (session_days(sessions)[:, None] + np.cumsum(gaps, axis=1)).ravel()


def books(symbol: str, ts: Ints, seed: int, trades: bool = False) -> pa.Table:
    """A random walk of the mid with three known levels a side; the first rows do not depend on how many there are."""
    rng, n = np.random.default_rng(seed), len(ts)
    steps = rng.normal(size=(n, 10))
    mid = np.round(100.0 * np.exp(np.cumsum(2e-4 * steps[:, 0])), 2)
    columns: dict[str, Any] = {name: pa.nulls(n, BOOKS.field(name).type) for name in BOOKS.names}
    columns |= {"symbol": [symbol] * n, "ts_event": pa.array(ts).cast(TIME), "seq": np.arange(1, n + 1)}
    for level in range(1, 4):
        for k, (side, sign) in enumerate((("bid", -1), ("ask", 1))):
            columns[f"{side}_px_{level}"] = np.round(mid + sign * 0.01 * level, 2)
            columns[f"{side}_qty_{level}"] = np.round(100.0 * np.exp(0.5 * steps[:, 1 + k + level]))
    traded = trades & (steps[:, 8] > 0.5)
    columns["trade_px"] = pa.array(mid, mask=~traded)
    columns["trade_qty"] = pa.array(np.round(50.0 * np.exp(0.3 * steps[:, 9])), mask=~traded)
    columns["trade_side"] = np.where(traded, np.sign(steps[:, 9]), 0).astype(np.int8)
    return pa.table([pa.array(columns[f.name], f.type) for f in BOOKS], schema=BOOKS)


def put(lake: Lake, recipe: Recipe, table: pa.Table, *, append: bool = False) -> None:
    """Put books of one symbol into the lake: as the whole of their dates, or as a further part of them."""
    days = table["ts_event"].cast(pa.int64()).to_numpy() // DAY
    symbol, stage = table["symbol"][0].as_py(), lake.append if append else lake.stage
    entries = []
    for day in np.unique(days):
        date = str(np.datetime64(int(day), "D"))
        entries.append(stage(recipe.kind, symbol, table.filter(pa.array(days == day)), date=date))
    lake.commit(recipe.kind, entries)


def put_features(recipe: Recipe, lake: Lake) -> None:
    """Make the feature tables, as the job on the cluster does."""
    records = component_slices(recipe, lake)
    notes, staged = feature_notes(recipe, lake, records), []
    for symbol, parts in records.items():
        for run in runs(recipe, parts):
            state = features_of(recipe.features).start()
            for part in run:
                rows = read_slice(lake, part, record_kind(recipe.record).order)
                table = feature_table(recipe, rows, symbol=symbol, market=None, state=state)
                if part in given(recipe, run):
                    kind = features_kind(recipe)
                    staged.append(lake.stage(kind, symbol, table, notes[part.partition], date=part.date))
    lake.commit(features_kind(recipe), staged, replace=True)


def model(recipe: Recipe, lake: Lake, name: str, params: Mapping[str, Any], **changes: Any) -> Artefact:
    """A family fitted to all there is, with intervals of its own misses where it forecasts values."""
    put_features(recipe, lake)
    panel, kind, target = load_panel(recipe, lake), family(name), target_kind(recipe.target.kind)
    rows = inputs(panel, target.level)
    edges = target.fit(panel.outcome, recipe.target)
    labels = target.encode(panel.outcome, edges)
    if not target.classes:
        labels = labels.reshape(len(labels), -1) - panel.value[:, None]
    x = rows.read(kind, params, np.arange(len(panel.ts)), labels if target.classes else None)
    fitted = kind.train(_training(panel, x, labels, len(target.classes), rows.columns(kind), params), params)
    bundled = isinstance(fitted, Bundled)
    content = fitted.bundle().serialise() if isinstance(fitted, Bundled) else fitted.graph()
    conformal = {}
    if not target.classes:
        misses = np.abs(labels - fitted.predict(x))
        conformal = {"steps": [calibrated(m, alpha=0.1, kind="tracking").state() for m in misses.T]}
    now = datetime(2025, 1, 1, tzinfo=UTC)
    contract = {
        "recipe": recipe.name,
        "universe": recipe.universe.name,
        "symbols": panel.symbols,
        "interval": recipe.interval or recipe.record,
        "family": name,
        "params": dict(params),
        "seed": 0,
        "format": "bundle" if bundled else "onnx",
        "reads": kind.reads.value,
        "lookback": params.get("lookback", 1),
        "feature_set": recipe.features.kind,
        "features": panel.features if kind.reads is Reads.FEATURES else rows.columns(kind),
        "definition": panel.definition,
        "warmup": panel.warmup,
        "target": recipe.target.kind,
        "horizon": recipe.target.horizon,
        "overnight": recipe.target.overnight,
        "classes": target.classes,
        "steps": 1 if target.classes else labels.shape[1],
        "level": target.level,
        "ranged": isinstance(fitted, Ranged),
        "conformal": conformal,
        "edges": tuple(edges.tolist()),
        "buy": 0.5,
        "sell": -0.5,
        "train_start": now,
        "train_end": now,
        "train_rows": len(panel.ts),
        "metrics": {},
        "baselines": {},
        "verdict": {"passed": True, "reason": "made for a test"},
        "versions": {},
        "sha256": hashlib.sha256(content).hexdigest(),
        "created_at": now,
    }
    return Artefact(content=content, contract=Contract.model_validate(contract | changes))


def _training(
    panel: Panel, x: Floats, y: NDArray[Any], classes: int, names: tuple[str, ...], params: Mapping[str, Any]
) -> Training:
    """All rows of a panel, of equal weight."""
    return Training(
        x=x,
        y=y,
        classes=classes,
        seed=0,
        ts=panel.ts,
        t1=panel.t1,
        who=panel.who,
        weight=np.ones(len(panel.ts)),
        names=names,
        lookback=params.get("lookback", 1),
    )


@dataclass(frozen=True, kw_only=True)
class Held(Stores):
    """Stores whose registry holds these versions."""

    models: Mapping[int, Artefact]

    def open_registry(self) -> Any:
        return SimpleNamespace(load=lambda name, version: (version, self.models[version]))


class Books:
    """A recipe, its lake and its versions, whose app answers in this process."""

    def __init__(self, home: Path, description: Mapping[str, Any]) -> None:
        self.path = home / f"{description['name']}.yaml"
        self.path.write_text(yaml.safe_dump(dict(description)), encoding="utf-8")
        self.recipe = load_recipe(str(self.path))
        self.lake = Lake(str(home / f"{description['name']}-lake"))
        self.models: dict[int, Artefact] = {}
        self.home = home

    def put(self, ts: Ints, *, trades: bool = False) -> None:
        """Fill the lake with books of every symbol."""
        for k, symbol in enumerate(self.recipe.universe.symbols):
            put(self.lake, self.recipe, books(symbol, ts, k, trades))

    def fit(self, name: str, params: Mapping[str, Any], **changes: Any) -> int:
        """Fit another version and return its number."""
        version = len(self.models) + 1
        self.models[version] = model(self.recipe, self.lake, name, params, **changes)
        return version

    def install(self, home: Path, versions: int | None = None) -> dict[str, str]:
        """Register the first versions (all, if left out) in a registry, one of them in Production; what args take."""
        uri, ledger = f"sqlite:///{home / 'mlflow.db'}", str(home / "promotions.jsonl")
        registry, some = Registry(uri, Ledger(ledger)), list(self.models.values())[:versions]
        found = [registry.register(self.recipe.name, artefact, metrics={}) for artefact in some]
        registry.promote(self.recipe.name, found[0], "Production", who="test", why="test")
        return {"recipe": str(self.path), "lake": self.lake.uri, "tracking_uri": uri, "ledger": ledger}

    def use(
        self,
        of: type[BookApp],
        conversation: Callable[[httpx.AsyncClient, Any], Awaitable[Any]],
        route: Route | None = None,
        **how: Any,
    ) -> Any:
        """What the conversation returns; the app is started anew for each."""
        stores = Held(lake=self.lake.uri, tracking_uri="", ledger="", models=self.models)
        args = AppArgs(recipe=str(self.path))

        async def main() -> Any:
            app = of(self.recipe, args, stores, **how)
            await app.reconfigure(to_config({self.recipe.name: route or Route(version=1)}))
            transport = httpx.ASGITransport(app=app.__serve_build_asgi_app__())  # type: ignore[attr-defined]
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await conversation(client, app)

        return asyncio.run(main())

    def get(self, of: type[BookApp], path: str, **params: Any) -> httpx.Response:
        reply: httpx.Response = self.use(of, lambda client, app: client.get(path, params=params))
        return reply

    def post(self, of: type[BookApp], path: str, body: Any) -> httpx.Response:
        reply: httpx.Response = self.use(of, lambda client, app: client.post(path, json=body))
        return reply


def bodies(table: pa.Table, changes: bool = False) -> list[dict[str, Any]]:
    """Books of the lake as a client sends them."""
    found = []
    for row in table.to_pylist():
        ts = int(row["ts_event"].value) if hasattr(row["ts_event"], "value") else row["ts_event"]
        sides = {
            f"{side}s": [[row[f"{side}_px_{k}"], row[f"{side}_qty_{k}"]] for k in range(1, 11)]
            for side in ("bid", "ask")
        }
        trade = {name: row[name] for name in ("trade_px", "trade_qty", "trade_side")} if changes else {}
        found.append({"ts_event": ts} | sides | trade)
    return found
