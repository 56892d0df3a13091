"""The app of trades in this process, asked over HTTP without a network."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from bellwether.registry import Ledger, Registry
from bellwether.trading_time import iso
from benchmarks.installation import Installation
from benchmarks.tick_installation import SECOND, date_of, install_ticks
from data.features import features_of
from data.features.base import Floats
from data.features.tables import feature_table
from data.lake import Lake
from data.wall import times
from serve_apps.models.routes import to_config
from serve_apps.stores import Stores
from serve_apps.tick.ingress import Ticks
from serve_apps.tick.models import recipes_by_model, routes_of
from serve_apps.ticks import TicksArgs

TRAINED = ("", "direction_1", "future_return_5")


@cache
def shared() -> Installation:
    """One installation a process, with three models; `with_own_lake` is for what writes to one."""
    home = tempfile.mkdtemp(prefix="bw-ticks-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    return install_ticks(Path(home), models=TRAINED)


def with_own_lake(home: Path) -> Installation:
    """The shared installation, with a lake of its own below ``home``."""
    lake = home / "lake"
    shutil.copytree(shared().lake, lake)
    return replace(shared(), lake=str(lake))


@cache
def opened(stores: Stores) -> Registry:
    """What `Stores.open_registry` returns, once: to open a model store, and to fetch models, takes long."""
    registry = Registry(stores.tracking_uri, Ledger(stores.ledger))
    registry.load = cache(registry.load)  # type: ignore[method-assign]  # by version, of which none changes
    return registry


class Running:
    """The app in this process, with an event loop of its own; what `call` and the like return are HTTP responses."""

    def __init__(self, made: Installation, **args: Any) -> None:
        self.args, self.recipes = TicksArgs(**made.args(**args)), recipes_by_model(made.load())
        self.runner = asyncio.Runner()
        self.ingress = self.runner.run(self._start())
        self.api = self.ingress.__serve_build_asgi_app__()

    async def _start(self) -> Ticks:
        ingress = Ticks(self.args, self.recipes)
        await ingress.reconfigure(self.config())
        return ingress

    def config(self) -> dict[str, Any]:
        """Routes as the registry stands now."""
        return to_config(routes_of(self.args.stores().open_registry(), self.recipes, self.args))

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.close()

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The reply to a request."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.api)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await client.request(method, path, **more)

        return self.runner.run(ask())

    def get(self, path: str) -> httpx.Response:
        """The reply to a GET."""
        return self.call("GET", path)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """The reply to a body of these fields."""
        return self.call("POST", path, json=body)

    def predict(self, symbol: str = "S000", tick: Any = None, **more: Any) -> Any:
        """The answer of POST /predict."""
        found = self.post("/predict", symbol=symbol, tick_data=tick, **more)
        assert found.status_code == 200, found.text
        return found.json()

    def row(self, symbol: str = "S000") -> Floats:
        """Features of a symbol's newest trade."""
        return self.ingress._engine.live(symbol).row

    def refresh(self) -> None:
        """Look at the lake now."""
        self.ingress._engine.tape.refresh()


def later(made: Installation, second: int, symbol: str = "S000", **change: Any) -> dict[str, Any]:
    """A trade so many seconds after the newest of the lake."""
    last = max(entry.last for entry in Lake(made.lake).of("ticks", symbol))
    tick = {"ts_event": iso(last + second * SECOND), "price": 100.5, "volume": 30, "bid": 100.49, "ask": 100.51}
    return tick | change


def table_row(made: Installation, symbol: str = "S000", session: int = 1) -> Floats:
    """What the feature table has for the newest trade of a session."""
    recipe, lake = made.load(), Lake(made.lake)
    order = [("ts_event", "ascending"), ("seq", "ascending")]
    records = lake.read("ticks", f"{symbol}/{date_of(session)}").sort_by(order)
    table = feature_table(recipe, records, symbol=symbol, market=None)
    return np.array([table[name][-1].as_py() for name in features_of(recipe.features).outputs])


def as_body(table: pa.Table) -> list[dict[str, Any]]:
    """Trades of a table as POST /ticks takes them."""
    rows = table.drop_columns(["ts_event", "ts_recv", "source"]).to_pylist()
    stamped = zip(rows, times(table).tolist(), strict=True)
    return [{k: v for k, v in row.items() if v is not None} | {"ts_event": ts} for row, ts in stamped]


def same_bits(a: Floats, b: Floats) -> bool:
    """Whether two rows agree to the last bit."""
    return a.tobytes() == b.tobytes()
