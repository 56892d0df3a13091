"""The index signal on Ray: over HTTP, while its versions change, while too many ask, and with a shard killed."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import fsum
from typing import Any

import httpx
import pytest

from bellwether.registry import Ledger, Registry
from benchmarks import processes
from benchmarks.installation import artefact, bars, install, session_closes
from data.lake import Lake
from pipelines.cli import main
from serve_apps import builder
from serve_apps.args import AppArgs
from serve_apps.deploying import deployment
from serve_apps.index.answers import SignalAnswer

TS = session_closes(30)


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    return install(tmp_path_factory.mktemp("served"), components=3, refresh_s=0.2)


@pytest.fixture(scope="module")
def url(on_serve, installation):
    made, arguments = builder("index_signal")
    with on_serve(signal=made(arguments(**installation.args(shards=2)))) as base:
        yield f"{base}/signal"


@pytest.mark.ray
def test_over_http_on_a_cluster(url, installation):
    answer = SignalAnswer.model_validate(httpx.get(f"{url}/signal/index", timeout=30).json())
    assert answer.coverage == 1.0
    assert fsum(c.contribution for c in answer.components) == answer.wss
    assert httpx.get(f"{url}/signal/index", params={"universe": "x"}, timeout=30).status_code == 404
    assert httpx.get(f"{url}/docs", timeout=30).status_code == 200
    served = httpx.get(f"{url}/predict/component", params={"symbol": "S001"}, timeout=30).json()
    rows = bars("S001", TS, 1).drop_columns(["symbol"]).to_pylist()
    body = {"symbol": "S001", "interval": "1h", "bars": [r | {"ts_event": r["ts_event"].isoformat()} for r in rows]}
    assert httpx.post(f"{url}/predict", json=body, timeout=30).json() == served


def replicas() -> set[str]:
    from ray.util import list_named_actors

    return {a["name"] for a in list_named_actors(all_namespaces=True) if "REPLICA::signal#" in a["name"]}


def bellwether(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert ended.value.code == 0


@contextmanager
def asking(url: str) -> Iterator[list[httpx.Response]]:
    """Two clients that ask for the signal again and again, and what they got."""
    seen, done = [], threading.Event()

    def loop():
        with httpx.Client(timeout=30) as client:
            while not done.is_set():
                seen.append(client.get(f"{url}/signal/index"))

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in threads:
            thread.join()


def until_answered(seen: list[httpx.Response], version: int) -> None:
    """Wait until the clients have heard from this version."""
    late = time.monotonic() + 60
    while not any(reply.json()["model"]["version"] == version for reply in list(seen)):
        assert time.monotonic() < late, f"version {version} has not answered within a minute"
        time.sleep(0.1)


def whole(url: str) -> dict[str, Any]:
    """An answer in which every shard took part: on a busy machine one may be late."""
    for _ in range(60):
        answer = httpx.get(f"{url}/signal/index", timeout=30).json()
        if answer["coverage"] == 1.0:
            return answer
        time.sleep(0.5)
    raise AssertionError(f"at no time did every shard answer: {answer}")


def parts(answer: dict[str, Any]) -> dict[str, Any]:
    """The components that took part, by symbol."""
    return {part["symbol"]: part for part in answer["components"] if part["status"] == "fresh"}


@pytest.mark.ray
def test_a_promotion_and_a_rollback_change_what_answers_without_a_failed_request(url, installation, monkeypatch):
    recipe, lake = installation.load(), Lake(installation.lake)
    registry = Registry(installation.tracking_uri, Ledger(installation.ledger))
    version = registry.register(recipe.name, artefact(recipe, lake, labels=1), metrics={})
    monkeypatch.setenv("BELLWETHER_LEDGER", installation.ledger)
    options = ["--reload", url, "--tracking-uri", installation.tracking_uri]
    before = replicas()
    expected = {1: whole(url)}
    with asking(url) as seen:
        until_answered(seen, 1)
        bellwether("promote", installation.recipe, str(version), *options)
        expected[version] = whole(url)
        until_answered(seen, version)
        bellwether("rollback", installation.recipe, *options)
        assert whole(url) == expected[1]
    assert {reply.status_code for reply in seen} == {200}
    for answer in (reply.json() for reply in seen):  # and never a mix
        assert parts(answer).items() <= parts(expected[answer["model"]["version"]]).items()
    assert parts(expected[1]) != parts(expected[version])
    assert replicas() == before  # nothing was started anew


@pytest.mark.ray
def test_a_version_that_is_not_for_this_app_is_not_taken(url, installation):
    recipe, lake = installation.load(), Lake(installation.lake)
    registry = Registry(installation.tracking_uri, Ledger(installation.ledger))
    version = registry.register(recipe.name, artefact(recipe, lake, horizon=9), metrics={})
    registry.promote(recipe.name, version, "Production", who="test", why="test")
    refused = httpx.post(f"{url}/reload-model", timeout=60)
    answer = httpx.get(f"{url}/signal/index", timeout=30).json()
    registry.rollback(recipe.name, "Production", who="test", why="test")
    assert refused.status_code == 503
    assert "the model's horizon is 9 and the one served is 1" in refused.json()["detail"]
    assert (answer["coverage"], answer["model"]["version"]) == (1.0, 1)


@contextmanager
def stopped(name: str) -> Iterator[None]:
    """A replica of the app whose process stands still meanwhile."""
    (replica,) = [process for process in processes.replicas("signal") if process.title.endswith(name)]
    os.kill(replica.pid, signal.SIGSTOP)  # a child of the Ray that these tests have started
    try:
        yield
    finally:
        os.kill(replica.pid, signal.SIGCONT)


@pytest.mark.ray
def test_a_client_that_goes_away_fails_no_other_that_shares_its_round(url):
    async def both():
        one, other = httpx.AsyncClient(timeout=30), httpx.AsyncClient(timeout=30)
        async with other:
            with stopped("ComponentPredictor-1"):
                first = asyncio.create_task(one.get(f"{url}/signal/index"))
                await asyncio.sleep(0.2)
                second = asyncio.create_task(other.get(f"{url}/signal/index"))
                await asyncio.sleep(0.2)
                first.cancel()
                await one.aclose()
                await asyncio.sleep(0.3)
            return await second

    reply = asyncio.run(both())
    assert reply.status_code == 200
    assert {c["status"] for c in reply.json()["components"]} <= {"fresh", "late"}  # and none for being cancelled


class Slow:
    """A deployment that takes its time."""

    async def __call__(self, request) -> str:
        await asyncio.sleep(0.5)
        return "done"


@pytest.mark.ray
def test_requests_beyond_the_queue_are_told_to_come_again(on_serve):
    args = AppArgs(recipe="none", max_ongoing=1, max_queued=1)

    async def crowd(base):
        async with httpx.AsyncClient(timeout=30) as client:
            return await asyncio.gather(*(client.get(f"{base}/slow") for _ in range(8)))

    with on_serve(slow=deployment(Slow, "Slow", args).bind()) as base:
        replies = asyncio.run(crowd(base))
    answered, refused = ([r for r in replies if r.status_code == status] for status in (200, 503))
    assert len(answered) + len(refused) == 8
    assert 1 <= len(answered) <= 4
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}


@pytest.mark.ray
@pytest.mark.chaos
def test_a_killed_shard_costs_coverage_and_comes_back(url):
    import ray
    from ray.util import list_named_actors

    (victim,) = [a for a in list_named_actors(all_namespaces=True) if "ComponentPredictor-1#" in a["name"]]
    ray.kill(ray.get_actor(victim["name"], namespace=victim["namespace"]))
    seen = []
    for _ in range(100):
        reply = httpx.get(f"{url}/signal/index", timeout=30)
        assert reply.status_code == 200
        seen.append(reply.json())
        if len(seen) > 1 and seen[-1]["coverage"] == 1.0:
            break
    assert seen[-1]["coverage"] == 1.0
    hurt = [answer for answer in seen if answer["coverage"] < 1.0]
    assert hurt
    assert {c["status"] for c in hurt[0]["components"]} <= {"fresh", "late", "missing"}
    assert all(c["reason"] for c in hurt[0]["components"] if c["status"] != "fresh")
