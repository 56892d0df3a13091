"""Every served app in this process, as its own ``build`` makes it: deployments become objects, handles call them.

A new app is a function that installs what it serves, and a line in `INSTALLED`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks.in_process import Handle
from serve_apps import builder

Args = dict[str, Any]


def index_signal(home: Path) -> Args:
    """Bars of five components and a model of them."""
    from benchmarks.installation import install

    return install(home, components=5, coverage_floor=0.5, name="index").args(shards=2)


def ticks(home: Path) -> Args:
    """Trades of two symbols and two models of them."""
    from benchmarks.tick_installation import install_ticks

    return install_ticks(home, models=("", "future_return_1")).args()


def factors(home: Path) -> Args:
    """Two models of rates."""
    from benchmarks.factors_installation import install_factors

    return install_factors(home).args()


def forecast(home: Path) -> Args:
    """Books every five minutes, and a model of the next price."""
    from benchmarks.book_in_process import FORECAST, Books
    from benchmarks.books import grid

    made = Books(home, FORECAST)
    made.put(grid(4))
    made.fit("ridge", {"alpha": 1.0})
    return made.install(home)


def strategy(home: Path) -> Args:
    """Every change of books, and a model of where the price goes."""
    from benchmarks.book_in_process import DIRECTION, Books
    from benchmarks.books import events

    made = Books(home, DIRECTION)
    made.put(events(3, 250), trades=True)
    made.fit("logistic", {"C": 1.0, "balanced": True})
    return made.install(home)


INSTALLED: dict[str, Callable[[Path], Args]] = {
    "factors": factors,
    "forecast": forecast,
    "index_signal": index_signal,
    "strategy": strategy,
    "ticks": ticks,
}
"""What makes an installation below a folder, and says what the app's ``build`` takes to serve it."""


def installed(name: str, home: Path) -> Any:
    """The app called ``name``, as ``serve.run`` would take it. Apps may share a folder."""
    build, arguments = builder(name)
    return build(arguments(safety={"rate": None, "access_log": False}, **INSTALLED[name](home)))


class InProcess:
    """An app that is made on the loop that serves it: when the ASGI server says that it starts.

    Parameters
    ----------
    app : serve.Application
    """

    def __init__(self, app: Any) -> None:
        self._app, self._inner = app, None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, or the life of the app."""
        if scope["type"] != "lifespan":
            await self._inner(scope, receive, send)  # type: ignore[misc]
            return
        await receive()
        async with running(self._app) as self._inner:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[ASGIApp]:
    """The ASGI app of a Serve application, all of it on this loop."""
    from ray.serve._private.build_app import build_app

    handles: dict[str, Handle] = {}

    def handle_of(deployment: Any, _: str) -> Handle:
        return handles.setdefault(deployment.name, Handle(None))  # type: ignore[arg-type]

    built = build_app(app, name="in-process", make_deployment_handle=handle_of)
    made = {}
    for deployment in built.deployments:
        one = made[deployment.name] = _own(deployment.func_or_class)(*deployment.init_args, **deployment.init_kwargs)
        if deployment.user_config is not None:
            await one.reconfigure(deployment.user_config)
        if deployment.name in handles:
            handles[deployment.name].shard = one
    yield made[built.ingress_deployment_name].__serve_build_asgi_app__()
    for one in made.values():
        for task in (value for value in vars(one).values() if isinstance(value, asyncio.Task)):
            task.cancel()


def _own(of: type) -> type:
    """The class itself, where ``serve.ingress`` has made one of it that wants to be started by a replica."""
    from ray.serve._private.http_util import ASGIAppReplicaWrapper

    return next(base for base in of.__mro__ if not issubclass(base, ASGIAppReplicaWrapper))
