"""The index signal's app in this process: real shards behind handles that can be slowed down and broken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx

from bellwether.models.artefact import Artefact
from benchmarks.installation import artefact, prepare
from data.lake import Lake
from serve_apps.index.component_predictor import ComponentPredictor
from serve_apps.index.ingress import IndexSignal
from serve_apps.index.sharding import shards
from serve_apps.index_signal import IndexSignalArgs
from serve_apps.models.routes import Route, to_config
from serve_apps.stores import Stores

SERVING = {"coverage_floor": 0.5, "timeout_s": 1.0, "refresh_s": 0.02}


class Call:
    """Stands in for a ``DeploymentResponse``."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self.work, self.cancelled = work, False

    def __await__(self) -> Generator[Any, None, Any]:
        return self.work.__await__()

    def cancel(self) -> None:
        """Note that it was cancelled."""
        self.cancelled = True


class Handle:
    """Stands in for a ``DeploymentHandle``."""

    def __init__(self, shard: ComponentPredictor) -> None:
        self.shard, self.delay = shard, 0.0
        self.error: Exception | None = None
        self.calls: deque[Call] = deque(maxlen=1_000)  # the last ones

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *arguments: self._call(method, arguments))

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Call:
        self.calls.append(Call(self._work(method, arguments)))
        return self.calls[-1]

    async def _work(self, method: str, arguments: tuple[Any, ...]) -> Any:
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        return await getattr(self.shard, method)(*arguments)


@dataclass(frozen=True, kw_only=True)
class Held(Stores):
    """Stores whose registry holds one model, as every version there is."""

    artefact: Artefact

    def open_registry(self) -> Any:
        """A registry of this model alone."""
        return SimpleNamespace(
            load=lambda name, version: (version, self.artefact), contract=lambda name, version: self.artefact.contract
        )


def holding(lake: Lake, made: Artefact) -> Held:
    """Stores of a lake, and of one model as every version there is."""
    return Held(lake=lake.uri, tracking_uri="", ledger="", artefact=made)


class App:
    """An installation, without a registry, whose app answers in this process."""

    def __init__(
        self,
        home: Path,
        *,
        components: int = 5,
        count: int | Sequence[Sequence[str]] = 2,
        clock: Callable[[], int] | None = None,
        **serving: Any,
    ) -> None:
        made = prepare(home, components=components, **(SERVING | serving))
        self.recipe, self.lake = made.load(), Lake(made.lake)
        self.symbols = self.recipe.universe.symbols
        self.artefact = artefact(self.recipe, self.lake)
        self.stores = holding(self.lake, self.artefact)
        self.count = count
        self.clock: dict[str, Any] = {} if clock is None else {"clock": clock}
        self.args = IndexSignalArgs(recipe=made.recipe)
        self.config = to_config({self.recipe.name: Route(version=7)})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client of the app while it runs."""
        slices = shards(self.symbols, self.count)
        self.handles = [Handle(ComponentPredictor(self.recipe, part, self.stores, **self.clock)) for part in slices]
        for handle in self.handles:
            await handle.shard.reconfigure(self.config)
        self.ingress = IndexSignal(self.recipe, self.args, slices, self.handles, self.stores, **self.clock)
        await self.ingress.reconfigure(self.config)
        for handle in self.handles:
            handle.calls.clear()
        transport = httpx.ASGITransport(app=self.ingress.__serve_build_asgi_app__())
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            yield client

    def use(self, conversation: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
        """What the conversation returns; everything is started anew for each."""

        async def main() -> Any:
            async with self.running() as client:
                return await conversation(client)

        return asyncio.run(main())

    def get(self, path: str, **params: str) -> httpx.Response:
        """The reply to a GET."""
        reply: httpx.Response = self.use(lambda client: client.get(path, params=params))
        return reply

    def post(self, path: str, body: Any, **how: Any) -> httpx.Response:
        """The reply to a body."""
        reply: httpx.Response = self.use(lambda client: client.post(path, **(how or {"json": body})))
        return reply
