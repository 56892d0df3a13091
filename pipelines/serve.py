"""Serve a recipe's champion over HTTP until interrupted: ``bellwether serve RECIPE``."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.markup import escape

from bellwether.errors import ConfigError
from pipelines.console import progress, say
from pipelines.served import wait_ready
from pipelines.workspace import Workspace


def run(workspace: Workspace, *, host: str, port: int, **args: Any) -> None:
    """Deploy with the app's arguments, and stay until Ctrl-C or a termination signal."""
    from cluster.local import local_ray

    _check_app(workspace)
    stop = threading.Event()
    _stop_on_signals(stop)
    with local_ray(), deployed(workspace, host=host, port=port, **args) as url:
        _stop_on_signals(stop)  # again: starting, Ray takes SIGINT for itself below Python's own table of handlers
        first = "/ (a page)" if workspace.recipe.serving.app == "index_signal" else "/ready"
        say(f"[bold]serving[/bold] {url}{first} ; documentation at {url}/docs ; Ctrl-C stops")
        stop.wait()


def _check_app(workspace: Workspace) -> str:
    if workspace.recipe.serving.app is None:
        raise ConfigError(f"{workspace.recipe.name} names no app to serve it: say one in `serving.app`")
    return workspace.recipe.serving.app


def _stop_on_signals(stop: threading.Event) -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())


@contextmanager
def deployed(workspace: Workspace, *, host: str, port: int, **args: Any) -> Iterator[str]:
    """The recipe's app on the running Ray, as its base URL; taken down at the end, with Serve if it was started here.

    It is ready, or was waited for as long as an app may take to be. ``args`` are its own (`serve_apps.args.AppArgs`).

    Raises
    ------
    ConfigError
        The port is taken, or Serve runs there already and keeps the address it was started with.
    """
    from ray import serve

    from cluster.local import cluster_address
    from serve_apps import builder

    if serve.status().proxies:
        raise ConfigError(
            "this Ray serves already, at an address of its own: deploy there with `serve run "
            f"serve_apps.{workspace.recipe.serving.app}:build recipe={workspace.source}`, or unset RAY_ADDRESS"
        )
    _check_free(host, port)
    build, arguments = builder(_check_app(workspace))
    app = build(arguments(recipe=workspace.source, **args, **_stores(workspace)))
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        with progress("deploy"):
            serve.start(http_options={"host": host, "port": port})
            serve.run(app, name=workspace.recipe.name, route_prefix="/")
            url = f"http://{host}:{port}"
            for lacking in wait_ready(url, workspace.settings.api_key):
                say(f"[yellow]not ready[/yellow] {escape(lacking)}")
        yield url
    finally:
        serve.delete(workspace.recipe.name)
        if cluster_address():  # a private Ray ends with all that runs on it; another's is left as it was found
            serve.shutdown()  # type: ignore[no-untyped-call]


def _check_free(host: str, port: int) -> None:
    """Refuse a port somebody listens on: Serve would say that it is ready, and the other one would answer."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port} ({error.strerror}): choose another --port") from error


def _stores(workspace: Workspace) -> dict[str, str]:
    settings = workspace.settings
    return {"lake": settings.lake, "tracking_uri": settings.tracking_uri, "ledger": settings.ledger}
