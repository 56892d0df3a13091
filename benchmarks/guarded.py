"""A small app under the guard, in this process: what is tested of the guard is asked of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from serve_apps.web.guard import Safety, guard
from serve_apps.web.problems import MEDIA_TYPE, Problem, not_found, problems
from serve_apps.web.request_id import request_id

SECRET = "a password in an exception: hunter2 /etc/shadow"


class Order(BaseModel):
    """A body that is checked."""

    model_config = {"extra": "forbid", "strict": True}

    amount: int
    more: list[object] = []


def demo(safety: Safety | None = None, **how: Any) -> FastAPI:
    """The app: a route of each kind that the guard treats in its own way."""
    api = FastAPI(title="Demo")

    @api.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/signal")
    async def signal(request: Request) -> dict[str, str]:
        return {"id": request_id(), "scheme": request.url.scheme}

    @api.get("/things/{name}", responses=problems(404))
    async def thing(name: str) -> dict[str, str]:
        raise not_found("thing", name, ["this", "that"])

    @api.post("/predict/{name}")
    async def predict(name: str, order: Order) -> dict[str, int]:
        return {"amount": order.amount}

    @api.post("/bars")
    async def bars(order: Order) -> dict[str, int]:
        return {"amount": order.amount}

    @api.post("/reload-model")
    async def reload_model() -> dict[str, str]:
        return {}

    @api.get("/fails")
    async def fails() -> None:
        raise RuntimeError(SECRET)

    @api.get("/stream")
    async def stream(broken: bool = False) -> Response:
        async def events() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            if broken:
                raise RuntimeError(SECRET)
            yield b"data: 2\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    guard(api, app="demo", safety=safety or Safety(), **how)
    return api


def ask(api: FastAPI, method: str, path: str, **how: Any) -> httpx.Response:
    """The reply to one request."""
    return asyncio.run(conversation(api, (method, path, how)))[0]


async def conversation(
    api: FastAPI, *requests: tuple[str, str, dict[str, Any]], scheme: str = "http"
) -> list[httpx.Response]:
    """The replies to requests of one client, one after the other."""
    transport = httpx.ASGITransport(app=api)
    async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://app") as client:
        return [await client.request(method, path, **how) for method, path, how in requests]


def problem_of(reply: httpx.Response) -> dict[str, Any]:
    """The problem document of a reply, after checking that it is one."""
    assert reply.headers["content-type"] == MEDIA_TYPE
    found = reply.json()
    Problem.model_validate(found)
    assert found["status"] == reply.status_code
    assert found["title"]
    assert found["detail"]
    assert found["request_id"] == reply.headers["x-request-id"]
    return found


def bearer(secret: str) -> dict[str, Any]:
    """What a request needs to show a key."""
    return {"headers": {"Authorization": f"Bearer {secret}"}}


async def raw(
    api: FastAPI, method: str, path: str, sent: dict[str, bytes], body: bytes, query: bytes
) -> tuple[int, dict[bytes, bytes], bytes]:
    """One request to the app by ASGI itself, which lets through what no HTTP client would send."""
    fixed = {"type": "http", "http_version": "1.1", "root_path": "", "scheme": "http", "server": ("app", 80)}
    connection: dict[str, Any] = fixed | {"method": method, "path": path, "raw_path": b"/", "query_string": query}
    connection["headers"] = [(name.encode(), value) for name, value in sent.items()]
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    await api(connection, receive, send)
    content = b"".join(m.get("body", b"") for m in messages if m["type"] == "http.response.body")
    return messages[0]["status"], dict(messages[0]["headers"]), content
