"""A reload uses what is private to Serve: with a Ray that has it in another form, it says so and changes nothing."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import ray
from ray import serve

from bellwether.errors import ServiceError
from serve_apps.args import AppArgs
from serve_apps.models import redeploy
from serve_apps.models.routes import Route, to_config


@serve.deployment
class Answering:
    """The only deployment of the apps here."""

    def reconfigure(self, config: Any) -> None:
        pass


def routed(version: int) -> Any:
    """An app that is answered by a version."""
    return Answering.options(user_config=to_config({"m": Route(version=version)})).bind()


@dataclass(frozen=True)
class Identity:
    """Of a deployment, as Serve's controller has it."""

    name: str
    app_name: str


class Serve:
    """What a reload asks of Serve: two apps run, by version 1, and what is handed over is kept."""

    def __init__(self) -> None:
        self.handed: list[Any] = []
        (made,) = redeploy._made(routed(1), "app").deployments
        self.info = SimpleNamespace(
            deployment_config=made._deployment_config,
            replica_config=made._replica_config,
            version="the code that runs",
            route_prefix="/app",
            ingress=True,
        )
        listed = SimpleNamespace(remote=self.listed)
        self.client = SimpleNamespace(
            _controller=SimpleNamespace(list_deployments_internal=listed),
            deploy_applications=lambda apps, **waiting: self.handed.extend(apps),
        )

    def listed(self) -> dict[Identity, Any]:
        return {Identity("Answering", app): (self.info, f"/{app}") for app in ("app", "other")}


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Serve:
    made = Serve()
    monkeypatch.setattr("ray.serve.context._get_global_client", lambda: made.client)
    monkeypatch.setattr(ray, "get", lambda reference: reference)
    monkeypatch.setattr(redeploy, "_wait", lambda app: None)
    return made


def reload(monkeypatch: pytest.MonkeyPatch, version: int) -> dict[str, dict[str, int]]:
    """Reload an app whose alias is at a version."""
    module = ModuleType("probe_app")
    module.build = lambda args: routed(version)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "probe_app", module)
    return redeploy._redeploy("probe_app:build", AppArgs(recipe="none"), "app")


def test_another_version_is_handed_over_and_the_code_stays(running, monkeypatch):
    assert reload(monkeypatch, 2) == {"before": {"m": 1}, "after": {"m": 2}}
    (app,) = running.handed
    (deployment,) = app.deployments
    assert (app.name, app.route_prefix, deployment.version) == ("app", "/app", "the code that runs")
    assert deployment.user_config["routes"]["m"]["version"] == 2


def test_the_same_version_is_not_handed_over(running, monkeypatch):
    assert reload(monkeypatch, 1) == {"before": {"m": 1}, "after": {"m": 1}}
    assert running.handed == []


def lose_build_app(running, monkeypatch):
    monkeypatch.delattr("ray.serve._private.build_app.build_app")


def lose_the_client(running, monkeypatch):
    monkeypatch.delattr("ray.serve.context._get_global_client")


def lose_the_controller(running, monkeypatch):
    del running.client._controller


def lose_the_list(running, monkeypatch):
    del running.client._controller.list_deployments_internal


def lengthen_the_list(running, monkeypatch):
    listed = {Identity("Answering", "app"): (running.info, "/app", "more")}
    running.client._controller.list_deployments_internal.remote = lambda: listed


def lose_the_ingress(running, monkeypatch):
    running.info.ingress = False


def lose_the_code_version(running, monkeypatch):
    del running.info.version


def change_the_hand_over(running, monkeypatch):
    monkeypatch.setattr(running.client, "deploy_applications", lambda apps: running.handed.extend(apps))


def lose_the_hand_over(running, monkeypatch):
    del running.client.deploy_applications


@pytest.mark.parametrize(
    ("lose", "what"),
    [
        (lose_build_app, "build_app"),
        (lose_the_client, "_get_global_client"),
        (lose_the_controller, "_controller"),
        (lose_the_list, "list_deployments_internal"),
        (lengthen_the_list, "too many values"),
        (lose_the_ingress, "StopIteration"),
        (lose_the_code_version, "version"),
        (lose_the_hand_over, "deploy_applications"),
        (change_the_hand_over, "unexpected keyword argument"),
    ],
)
def test_a_ray_that_has_it_in_another_form_is_named_and_nothing_changes(running, monkeypatch, lose, what):
    lose(running, monkeypatch)
    monkeypatch.setattr(ray, "__version__", "3.1.4")
    with pytest.raises(ServiceError, match=rf"by Ray 3\.1\.4 as it can by Ray 2\.60 \(.*{what}.*nothing has changed"):
        reload(monkeypatch, 2)
    assert running.handed == []


def test_what_goes_wrong_in_the_app_itself_is_not_laid_to_ray(running, monkeypatch):
    monkeypatch.setitem(sys.modules, "probe_app", ModuleType("probe_app"))
    with pytest.raises(AttributeError, match="build"):
        redeploy._redeploy("probe_app:build", AppArgs(recipe="none"), "app")
