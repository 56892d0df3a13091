"""The endpoints that every app has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

from bellwether.errors import BellwetherError
from serve_apps.models.served import Named
from serve_apps.web.bodies import answer
from serve_apps.web.problems import problems, unavailable


class Common(Protocol):
    """What an app says of itself."""

    def champions(self) -> Sequence[Named]:
        """The versions it holds."""
        ...

    async def missing(self) -> Sequence[str]:
        """What it lacks before it can answer, one sentence each; empty when it is ready."""
        ...

    async def reload(self) -> dict[str, Any]:
        """Resolve the aliases again and bring every replica there; which versions answered and will answer."""
        ...


class Live(BaseModel):
    """The process answers."""

    status: str = Field(examples=["ok"])


class Ready(BaseModel):
    """Whether the app can do its work, and what it lacks."""

    ready: bool
    missing: list[str] = Field(examples=[[]])


class ModelInfo(BaseModel):
    """The models that answer, each with its contract, training window and figures."""

    models: list[dict[str, Any]]


class Reloaded(BaseModel):
    """Versions by model, before and after."""

    before: dict[str, int]
    after: dict[str, int]


def install_common(
    api: FastAPI,
    app: Common,
    report: Callable[[], Awaitable[dict[str, Any]]] | None = None,
    ready_model: type[Ready] = Ready,
) -> None:
    """Add ``/health``, ``/ready``, ``/model-info`` and ``/reload-model``.

    Parameters
    ----------
    report : callable, optional
        The body of ``/ready``, a ``ready_model``, where an app says more than what is missing.
    """

    async def health() -> Response:
        """Whether the process is alive."""
        return answer({"status": "ok"})

    async def ready() -> Response:
        """Whether models are loaded and fit, and the state is warm."""
        body = await report() if report else {"missing": list(await app.missing())}
        return answer({"ready": not body["missing"]} | body, 503 if body["missing"] else 200)

    async def model_info() -> Response:
        """The models that answer, and what they are served under."""
        return answer({"models": [champion.about() for champion in app.champions()]})

    async def reload_model() -> Response:
        """Let the versions answer that carry the aliases now, in every replica, without failing a request."""
        try:
            return answer(await app.reload())
        except BellwetherError as error:
            raise unavailable(f"the versions before stay: {error}") from error

    endpoints: list[tuple[str, str, Callable[[], Awaitable[Response]], type[BaseModel]]] = [
        ("GET", "/health", health, Live),
        ("GET", "/ready", ready, ready_model),
        ("GET", "/model-info", model_info, ModelInfo),
        ("POST", "/reload-model", reload_model, Reloaded),
    ]
    for method, path, endpoint, model in endpoints:
        missing: Any = {503: {"model": model, "description": "What is missing."}}
        more = {"/ready": missing, "/reload-model": problems(503)}.get(path)
        api.add_api_route(path, endpoint, methods=[method], response_model=model, responses=more, tags=["app"])
