"""An app of order books in this process: a lake of a random walk, and models that are held in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from bellwether.models.artefact import Artefact
from benchmarks.book_models import model
from benchmarks.books import Ints, books, put
from benchmarks.installation import Installation, registry_below
from data.lake import Lake
from serve_apps.args import AppArgs
from serve_apps.book.app import BookApp
from serve_apps.models.routes import Route, to_config
from serve_apps.stores import Stores

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


@dataclass(frozen=True, kw_only=True)
class Held(Stores):
    """Stores whose registry holds these versions."""

    models: Mapping[int, Artefact]

    def open_registry(self) -> Any:
        """A registry of these models alone."""
        return SimpleNamespace(load=lambda name, version: (version, self.models[version]))


class Books:
    """A recipe, its lake and its versions, whose app answers in this process."""

    def __init__(self, home: Path, description: Mapping[str, Any]) -> None:
        self.made = Installation.below(home, description)
        self.recipe, self.lake = self.made.load(), Lake(self.made.lake)
        self.models: dict[int, Artefact] = {}

    def put(self, ts: Ints, *, trades: bool = False) -> None:
        """Fill the lake with books of every symbol."""
        for k, symbol in enumerate(self.recipe.universe.symbols):
            put(self.lake, self.recipe, books(symbol, ts, k, trades))

    def fit(self, name: str, params: Mapping[str, Any], **changes: Any) -> int:
        """Fit another version and return its number."""
        version = len(self.models) + 1
        self.models[version] = model(self.recipe, self.lake, name, params, **changes)
        return version

    def install(self, home: Path, versions: int | None = None) -> dict[str, Any]:
        """Register the first versions (all, if left out) below ``home``, the first in Production; what args take."""
        made = replace(self.made, **registry_below(home))
        for k, artefact in enumerate(list(self.models.values())[:versions]):
            made.register(self.recipe.name, artefact, None if k else "Production")
        return made.args()

    def use(
        self,
        of: type[BookApp],
        conversation: Callable[[httpx.AsyncClient, Any], Awaitable[Any]],
        route: Route | None = None,
        **how: Any,
    ) -> Any:
        """What the conversation returns; the app is started anew for each."""
        stores = Held(lake=self.lake.uri, tracking_uri="", ledger="", models=self.models)
        args = AppArgs(recipe=self.made.recipe)

        async def main() -> Any:
            app = of(self.recipe, args, stores, **how)
            await app.reconfigure(to_config({self.recipe.name: route or Route(version=1)}))
            transport = httpx.ASGITransport(app=app.__serve_build_asgi_app__())  # type: ignore[attr-defined]
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await conversation(client, app)

        return asyncio.run(main())

    def get(self, of: type[BookApp], path: str, **params: Any) -> httpx.Response:
        """The reply of an app to a GET."""
        reply: httpx.Response = self.use(of, lambda client, app: client.get(path, params=params))
        return reply

    def post(self, of: type[BookApp], path: str, body: Any) -> httpx.Response:
        """The reply of an app to a body."""
        reply: httpx.Response = self.use(of, lambda client, app: client.post(path, json=body))
        return reply
