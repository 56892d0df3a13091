"""A running app told to resolve its aliases again: its replicas get other routes, and none of them is restarted.

``serve.run`` would restart every replica: each call of it makes a new code version. So the routes that the app would be
built with now are handed to the controller, and with them everything else as it runs. The calls that this takes are
private to Serve, because the public one, ``PUT /api/serve/applications/``, needs a dashboard, removes every app that it
is not told of, and restarts one that was deployed by ``serve.run``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

from bellwether.errors import ServiceError
from serve_apps.args import AppArgs
from serve_apps.models.routes import from_config

PATIENCE_S = 120.0
"""How long replicas may take to load what their new routes name."""

WRITTEN_FOR = "2.60"
"""The Ray whose private calls these are."""

Versions = dict[str, int]


async def redeploy(build_path: str, args: AppArgs) -> dict[str, Versions]:
    """Build the app of this replica anew, and give its running replicas the routes it came out with.

    Called in a replica. Returns when all replicas answer by the new routes; requests go on meanwhile.

    Parameters
    ----------
    build_path : str
        Where its ``build`` is, such as ``serve_apps.ticks:build``.
    args : AppArgs
        What it was built with.

    Returns
    -------
    dict
        ``{"before": …, "after": …}``: the version of each model.

    Raises
    ------
    NoChampion, ModelError
        What ``build`` raises: nothing carries the alias, or that version is not for this app. Nothing has changed.
    ServiceError
        The app would have other deployments than it has, its replicas are not done in time, or Ray is another than
        this was written for; then nothing has changed.
    """
    from ray import serve

    app = serve.get_replica_context().app_name
    return await asyncio.to_thread(_redeploy, build_path, args, app)


def _redeploy(build_path: str, args: AppArgs, app: str) -> dict[str, Versions]:
    module, build = build_path.split(":")
    bound = getattr(import_module(module), build)(args)
    with _inside_serve():
        running, made = _running(app), _made(bound, app)
        if {d.name for d in made.deployments} != running.keys():
            raise ServiceError(f"{app} would have other deployments than it has: deploy it again")
        before = _versions(info.deployment_config.user_config for info in running.values())
        after = _versions(deployment.user_config for deployment in made.deployments)
        changed = [_as_it_runs(deployment, running[deployment.name]) for deployment in made.deployments]
        same = all(d.user_config == running[d.name].deployment_config.user_config for d in changed)
        if not same:
            route = next(info.route_prefix for info in running.values() if info.ingress)
            _hand_over(replace(made, deployments=changed, route_prefix=route))
    if not same:
        _wait(app)
    return {"before": before, "after": after}


@contextmanager
def _inside_serve() -> Iterator[None]:
    """Tell which Ray it is that lacks something of what is private to Serve, or has it in another form."""
    try:
        yield
    except (ImportError, AttributeError, TypeError, ValueError, LookupError, StopIteration) as error:
        from ray import __version__

        raise ServiceError(
            f"a running app cannot be given other versions by Ray {__version__} as it can by Ray {WRITTEN_FOR} "
            f"({error!r}): nothing has changed; deploy the app again"
        ) from error


def _made(bound: Any, app: str) -> Any:
    """The deployments of an app as it would be deployed."""
    from ray.serve._private.build_app import build_app

    return build_app(bound, name=app)


def _running(app: str) -> dict[str, Any]:
    """What Serve was told of each deployment of an app, by name."""
    import ray

    controller = _client()._controller
    found = ray.get(controller.list_deployments_internal.remote())
    return {deployment.name: info for deployment, (info, _) in found.items() if deployment.app_name == app}


def _as_it_runs(deployment: Any, info: Any) -> Any:
    """A deployment as it runs, code version and all, but for its ``user_config``."""
    from ray.serve.deployment import Deployment

    config = info.deployment_config.model_copy(update={"user_config": deployment.user_config})
    return Deployment(deployment.name, config, info.replica_config, version=info.version, _internal=True)


def _hand_over(app: Any) -> None:
    waiting = {"wait_for_ingress_deployment_creation": False, "wait_for_applications_running": False}
    _client().deploy_applications([app], **waiting)


def _wait(app: str) -> None:
    """Wait until every replica has taken its routes."""
    from ray import serve

    end = time.monotonic() + PATIENCE_S
    while (status := serve.status().applications[app].status) != "RUNNING":
        if time.monotonic() > end:
            raise ServiceError(f"replicas of {app} have not taken the new routes in {PATIENCE_S:.0f} s ({status})")
        time.sleep(0.05)


def _versions(configs: Any) -> Versions:
    """The version of each model that user configurations of an app name."""
    given: list[Mapping[str, Any]] = [config for config in configs if config]
    return {name: route.version for config in given for name, route in from_config(config).items()}


def _client() -> Any:
    from ray.serve.context import _get_global_client

    return _get_global_client()
