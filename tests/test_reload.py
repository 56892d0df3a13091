"""POST /reload-model: what is answered where the registry has a version, has none, refuses, or is away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from bellwether.errors import ModelError, NoChampion
from bellwether.registry import Ledger, Registry
from benchmarks.guarded import ask, problem_of
from serve_apps.models.routes import resolve
from serve_apps.web.common import install_common
from serve_apps.web.guard import Safety, guard


class Answering:
    """An app that resolves its alias as a ``build`` does."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    async def reload(self) -> dict[str, Any]:
        route = await asyncio.to_thread(resolve, self._registry, "m", "Production")
        return {"before": {"m": 1}, "after": {"m": route.version}}


def reloaded(registry: Any, body: bytes = b"", **headers: str) -> httpx.Response:
    api = FastAPI(title="Reload")
    install_common(api, Answering(registry))
    guard(api, app="reload", safety=Safety())
    return ask(api, "POST", "/reload-model", content=body, headers=headers)


def refusing(error: Exception) -> SimpleNamespace:
    def resolve_(name: str, alias: str) -> int:
        raise error

    return SimpleNamespace(resolve=resolve_)


HAS = SimpleNamespace(resolve=lambda name, alias: 2)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\x00", b"<xml/>"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "\xe9"])
def test_versions_before_and_after_are_told_whatever_came_as_a_body(body, kind):
    reply = reloaded(HAS, body, **{"content-type": kind.encode("latin-1"), "content-encoding": "gzip"})
    assert (reply.status_code, reply.json()) == (200, {"before": {"m": 1}, "after": {"m": 2}})


@pytest.mark.parametrize("error", [NoChampion("m has no Production version"), ModelError("the horizon is 9")])
def test_a_registry_that_has_no_fitting_version_is_a_503_that_says_so(error):
    reply = reloaded(refusing(error))
    assert reply.status_code == 503
    assert problem_of(reply)["detail"] == f"the versions before stay: {error}"


def test_a_registry_that_is_away_is_a_503_without_its_sql(tmp_path: Path):
    (tmp_path / "mlflow.db").write_text("no database\n" * 100)
    reply = reloaded(Registry(f"sqlite:///{tmp_path}/mlflow.db", Ledger(str(tmp_path / "moves"))))
    assert reply.status_code == 503
    said = problem_of(reply)["detail"]
    assert said == "the versions before stay: cannot open the MLflow store: file is not a database"


def test_what_nobody_foresaw_is_a_500_that_tells_the_client_nothing():
    reply = reloaded(refusing(RuntimeError("hunter2")))
    assert reply.status_code == 500
    assert "hunter2" not in str(problem_of(reply))
