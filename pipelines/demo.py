"""Everything once, on the bundled simulated market: ``bellwether demo``."""

from __future__ import annotations

import getpass
import socket

from bellwether.errors import ConfigError
from pipelines import ingest, oracle, promote, signal, train
from pipelines.console import say
from pipelines.serve import deployed
from pipelines.workspace import Workspace


def run(workspace: Workspace) -> None:
    """Ingest, features, sweep, promotion, deployment, one query; then stop what was started.

    Raises
    ------
    ConfigError
        The recipe serves no index signal: there is nothing to ask at the end.
    """
    from cluster.local import local_ray

    if workspace.recipe.serving.app != "index_signal":
        name = workspace.recipe.name
        raise ConfigError(f"{name} serves no index signal, so it has no demo: run `bellwether train {name}`")
    ingest.run(workspace)
    with local_ray():
        version = train.sweep_and_register(train.prepare(workspace))
        oracle.run(workspace, workspace.registry.load(workspace.recipe.name, version)[1])
        promote.promote(workspace, version, "Production", who=getpass.getuser(), why="demo")
        with deployed(workspace, host="127.0.0.1", port=free_port()) as url:
            say(f"[bold]GET[/bold] {url}/signal/index?universe={workspace.recipe.universe.name}")
            signal.run(workspace, url)
    say(f"\ndone: everything that was started is stopped. Next: `bellwether serve {workspace.source}`")


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
