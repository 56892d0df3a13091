"""Replicas on Ray: as many as the requests under way ask for."""

from __future__ import annotations

import asyncio
import os
import time

import httpx
import pytest

from serve_apps.args import AppArgs
from serve_apps.deploying import deployment

CLIENTS, FEWEST, MOST = 8, 1, 3
PATIENCE_S = 90.0
"""How long more replicas may take; on a machine that does nothing else it is about ten seconds."""


class Slow:
    """A deployment that takes its time, and says which process took it."""

    async def __call__(self, request) -> str:
        await asyncio.sleep(0.3)
        return str(os.getpid())


@pytest.fixture
def url(on_serve):
    args = AppArgs(recipe="none", replicas=(FEWEST, MOST), max_ongoing=2, max_queued=4 * CLIENTS)
    with on_serve(slow=deployment(Slow, "Slow", args).bind()) as base:
        yield f"{base}/slow"


def replicas() -> int:
    """Replicas that answer."""
    from ray import serve

    return serve.status().applications["slow"].deployments["Slow"].replica_states.get("RUNNING", 0)


def ask_until_there_are_more(url: str) -> list[httpx.Response]:
    """What clients are told that ask again and again, until more than the fewest replicas have answered."""
    replies: list[httpx.Response] = []
    end = time.monotonic() + PATIENCE_S

    async def client(http: httpx.AsyncClient) -> None:
        while len({reply.text for reply in replies}) <= FEWEST and time.monotonic() < end:
            replies.append(await http.get(url))

    async def crowd() -> None:
        async with httpx.AsyncClient(timeout=60) as http:
            await asyncio.gather(*(client(http) for _ in range(CLIENTS)))

    asyncio.run(crowd())
    return replies


@pytest.mark.ray
def test_while_requests_stand_in_line_there_are_more_replicas_and_every_request_is_answered(url):
    assert replicas() == FEWEST
    replies = ask_until_there_are_more(url)
    assert {reply.status_code for reply in replies} == {200}
    assert FEWEST < len({reply.text for reply in replies}) <= replicas() <= MOST
