"""Large bodies are read in a thread, with the answers that small ones get."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BeforeValidator

from benchmarks.guarded import ask, problem_of
from serve_apps.web.aside import LARGE, _no_collection
from serve_apps.web.bounded import MOST, Bounded
from serve_apps.web.guard import Safety, guard

JSON = {"content-type": "application/json"}


class Order(Bounded):
    amount: int
    more: tuple[object, ...] = ()


def taking(of: type) -> FastAPI:
    """A guarded app that says how many there were."""
    api = FastAPI(title="Aside")

    async def orders(order: Order) -> dict[str, int]:
        return {"amount": order.amount}

    async def other() -> dict[str, int]:
        return {}

    orders.__annotations__["order"] = of
    api.post("/orders")(orders)
    api.get("/other")(other)
    guard(api, app="aside", safety=Safety())
    return api


def test_others_are_answered_while_a_large_body_is_checked():
    began, goes_on = threading.Event(), threading.Event()

    def slow(value: Any) -> Any:
        began.set()
        assert goes_on.wait(20), "nobody else was answered"
        return value

    class Slow(Bounded):
        amount: Annotated[int, BeforeValidator(slow)]

    async def both() -> tuple[int, int]:
        transport = httpx.ASGITransport(app=taking(Slow))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            large = asyncio.ensure_future(client.post("/orders", content=b'{"amount": 1}'.ljust(LARGE), headers=JSON))
            assert await asyncio.to_thread(began.wait, 20)
            other = await client.get("/other")
            goes_on.set()
            return other.status_code, (await large).status_code

    assert asyncio.run(both()) == (200, 200)


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount": 3, "more": [{}, [1.5, null, "a"]]}',
        b'{"amount": "x", "other": [1, 2]}',
        b'{"amount": 1, "more": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"amount": NaN}',
        b'{"amount": "\xff"}',
        b'{"amount": "\\ud800"}',
        b'{"amount": ' + b"9" * 5_000 + b"}",
        b"[" * 100_000,
        *(b"null", b"[]", b"1", b'"a"', b"{]", b"{} {}"),
    ],
)
def test_a_large_body_is_answered_as_a_small_one(body):
    small, large = (
        ask(taking(Order), "POST", "/orders", content=content, headers=JSON) for content in (body, body.ljust(LARGE))
    )
    assert small.status_code == large.status_code
    one, other = ((r.json() if r.is_success else problem_of(r)) | {"request_id": ""} for r in (small, large))
    assert one == other


def test_what_has_more_fields_than_are_looked_at_is_refused_before_they_are():
    row = dict.fromkeys((f"field{k}" for k in range(max(MOST + 1, LARGE // 10))), 0)
    reply = ask(taking(Order), "POST", "/orders", content=json.dumps({"amount": 1, "more": [row]}), headers=JSON)
    assert reply.status_code == 422
    assert [(e["loc"], e["type"]) for e in problem_of(reply)["errors"]] == [(["body"], "too_many")]


def test_garbage_is_collected_again_afterwards():
    for body in (b'{"amount": 1}', b"{", b"[]"):
        ask(taking(Order), "POST", "/orders", content=body.ljust(LARGE), headers=JSON)
        assert gc.isenabled()


def test_garbage_is_collected_again_where_one_body_is_done_just_as_another_begins(monkeypatch):
    first, collects = _no_collection(), gc.isenabled

    def looked() -> bool:
        monkeypatch.undo()
        found = collects()
        first.__exit__(None, None, None)
        return found

    first.__enter__()
    monkeypatch.setattr(gc, "isenabled", looked)
    try:
        with _no_collection():
            pass
        assert gc.isenabled()
    finally:
        gc.enable()


def test_what_a_route_takes_stays_described():
    spec = taking(Order).openapi()
    schema = spec["paths"]["/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Order"}
