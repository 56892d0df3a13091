"""The factors app in this process, with a registry that is held in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from bellwether.errors import RegistryError
from bellwether.models.artefact import Artefact
from benchmarks.factors_installation import BOARD, NAMES, RECIPES, artefact
from serve_apps.factor.ingress import Factors
from serve_apps.factors import TARGETS, FactorsArgs
from serve_apps.models.routes import Route, to_config
from serve_apps.stores import Stores

RATES = (0.75, 0.125, 0.0625)
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Held(Stores):
    """Stores whose registry holds these versions, and leaderboards of some."""

    artefacts: Mapping[tuple[str, int], Artefact]
    boards: Mapping[tuple[str, int], str]

    def open_registry(self) -> Any:
        """A registry of these models alone."""

        def read(name: str, version: int, file: str) -> str:
            if (name, version) not in self.boards:
                raise RegistryError(f"no {file}")
            return self.boards[name, version]

        return SimpleNamespace(load=lambda name, version: (version, self.artefacts[name, version]), read=read)


class App:
    """The app in this process."""

    def __init__(self, home: Path) -> None:
        self.artefacts = {(NAMES[task], 1): artefact(task) for task in TARGETS}
        self.boards = {(name, 1): BOARD for name in NAMES.values()}
        self.home, self.logged = home, list[Any]()
        self.routes = {name: Route(version=1) for name in NAMES.values()}

    def use(self, conversation: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
        """What the conversation returns; the app is started anew for each."""

        async def main() -> Any:
            stores = Held(lake=str(self.home), tracking_uri="", ledger="", artefacts=self.artefacts, boards=self.boards)
            self.ingress = Factors(RECIPES, stores, FactorsArgs())
            self.ingress._log.close()
            self.ingress._log = SimpleNamespace(add=self.logged.append, close=lambda: None)
            await self.ingress.reconfigure(to_config(self.routes))
            transport = httpx.ASGITransport(app=self.ingress.__serve_build_asgi_app__())
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await conversation(client)

        return asyncio.run(main())

    def get(self, path: str, **how: Any) -> httpx.Response:
        """The reply to a GET."""
        return self.use(lambda client: client.get(path, **how))

    def post(self, path: str, body: Any) -> httpx.Response:
        """The reply to a body."""
        return self.use(lambda client: client.post(path, content=json.dumps(body), headers=JSON))


def body(*rates: Any) -> dict[str, Any]:
    """A request."""
    return {"features": list(rates)}
