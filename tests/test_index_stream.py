"""Server-sent events: what a client gets, when, and that one who goes away leaves nothing behind."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from fastapi import FastAPI, Request

from benchmarks.installation import install, put_bars, session_closes
from data.lake import Lake
from serve_apps import builder
from serve_apps.index.stream import Streams, event_id
from serve_apps.web import problems


def body(wss: float, as_of: int = 0) -> bytes:
    return json.dumps({"as_of": as_of, "wss": wss, "components": [{"age_seconds": as_of}]}).encode()


class App:
    """An app that streams what ``now`` is, looked at every 10 ms."""

    def __init__(self, **more) -> None:
        self.now, self.asked = body(0.1), 0
        self.over = False
        given = {"most": 2, "life_s": 60.0, "beat_s": 10.0, "over": lambda: self.over} | more
        self.streams = Streams(0.01, **given)
        self.api = FastAPI()
        problems.install(self.api)
        self.api.get("/stream")(self.stream)

    async def stream(self, request: Request):
        return self.streams.response(self.ask, request.headers.get("last-event-id"))

    async def ask(self) -> bytes:
        self.asked += 1
        return self.now

    async def looks(self, times: int) -> None:
        """Wait until the signal was looked at so often, so that what was there before the last has been sent."""
        end = self.asked + times
        while self.asked < end:
            await asyncio.sleep(0.005)

    async def get(self, **headers) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.api), base_url="http://app") as client:
            return await client.get("/stream", headers=headers)


def events(text: str) -> list[dict[str, str]]:
    """Fields of each event, as the standard reads them; comments are left out."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block]
    found = [dict(line.split(": ", 1) for line in lines if not line.startswith(":")) for lines in blocks]
    return [event for event in found if event]


def test_a_client_gets_the_signal_at_once_and_again_when_it_changes():
    app = App()

    async def use():
        reply = asyncio.create_task(app.get())
        await app.looks(2)
        app.now = body(0.2)
        await app.looks(2)
        app.over = True
        return await reply

    reply = asyncio.run(use())
    retry, first, second = events(reply.text)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert reply.headers["cache-control"] == "no-store"
    assert int(retry["retry"]) > 0
    assert [e["event"] for e in (first, second)] == ["signal", "signal"]
    assert [json.loads(e["data"])["wss"] for e in (first, second)] == [0.1, 0.2]
    assert [e["id"] for e in (first, second)] == [event_id(body(0.1)), event_id(body(0.2))]
    assert first["id"] != second["id"]


def test_a_client_that_has_the_signal_is_not_sent_it_again():
    same, other = App(life_s=0.1), App(life_s=0.1)
    assert len(events(asyncio.run(same.get(**{"Last-Event-ID": event_id(body(0.1))})).text)) == 1  # the retry alone
    assert len(events(asyncio.run(other.get(**{"Last-Event-ID": "of yesterday"})).text)) == 2


def test_time_that_passes_is_no_change():
    assert event_id(body(0.1, as_of=1)) == event_id(body(0.1, as_of=2)) != event_id(body(0.2, as_of=1))


def test_a_quiet_stream_beats():
    app = App(beat_s=0.02)

    async def use():
        reply = asyncio.create_task(app.get())
        await app.looks(12)
        app.over = True
        return (await reply).text

    text = asyncio.run(use())
    assert text.count(": beat\n\n") >= 2
    assert len(events(text)) == 2


def test_streams_end_after_their_life_and_when_their_replica_is_taken_away():
    old, gone = App(life_s=0.1), App()

    async def use():
        reply = asyncio.create_task(gone.get())
        await gone.looks(2)
        gone.now, gone.over = body(0.9), True
        return (await asyncio.wait_for(reply, 10)).text

    assert len(events(asyncio.run(old.get()).text)) == 2
    assert len(events(asyncio.run(use()))) == 2  # what a replica says when its shards are going is not sent
    assert old.streams.open == gone.streams.open == 0


def test_there_are_no_more_streams_than_allowed_and_those_that_end_make_room():
    app = App()

    async def use():
        held = [asyncio.create_task(app.get()) for _ in range(2)]
        await app.looks(3)
        refused, app.over = await app.get(), True
        await asyncio.gather(*held)
        return refused, await app.get()

    refused, later = asyncio.run(use())
    assert refused.status_code == 503
    assert "2 streams are open" in refused.json()["detail"]
    assert later.status_code == 200
    assert app.streams.open == 0


@pytest.mark.parametrize("goes_after", [0.0, 0.05])
def test_a_client_that_goes_away_leaves_nothing_behind(goes_after):
    app = App()

    async def receive():
        await asyncio.sleep(goes_after)
        return {"type": "http.disconnect"}

    async def send(message):
        await asyncio.sleep(0)

    async def use():
        scope = {"type": "http", "method": "GET", "path": "/stream", "headers": [], "query_string": b""}
        scope |= {"asgi": {"version": "3.0"}, "raw_path": b"/stream", "root_path": "", "scheme": "http"}
        await asyncio.wait_for(app.api(scope, receive, send), 5)
        return app.streams.open, app.asked

    left, asked = asyncio.run(use())
    assert left == 0
    assert asked < 50


# --- on Ray ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(on_serve, tmp_path_factory):
    """Address and installation of an app on Serve, and what it knows of its index."""
    made = install(tmp_path_factory.mktemp("served"), components=3, refresh_s=0.2, universes={"one": ["S001"]})
    app, arguments = builder("index_signal")
    with on_serve(signal=app(arguments(**made.args(shards=1)))) as base:
        yield f"{base}/signal", made


@pytest.mark.ray
def test_on_a_cluster_an_event_comes_at_once_and_one_when_a_new_bar_is_in_the_lake(served):
    url, made = served
    longer = session_closes(31)[: 30 * 7 + 1]
    with httpx.stream("GET", f"{url}/signal/index/stream", timeout=30) as reply:
        lines = reply.iter_lines()
        first = next(json.loads(line[6:]) for line in lines if line.startswith("data: "))
        put_bars(Lake(made.lake), made.load(), longer)
        bars = (json.loads(line[6:])["bar_time"] for line in lines if line.startswith("data: "))
        assert next(bar for bar in bars if bar != first["bar_time"]) == "2025-06-16T14:30:00Z"
    live = httpx.get(f"{url}/signal/index", timeout=30).json()
    history = httpx.get(f"{url}/signal/index/history", params={"bars": 3}, timeout=30).json()
    assert [bar["ts_event"] for bar in history["bars"]][1:] == [first["bar_time"], live["bar_time"]]
    assert (history["bars"][-1]["wss"], history["bars"][-1]["coverage"]) == (live["wss"], 1.0)


@pytest.mark.ray
def test_on_a_cluster_the_registry_is_told(served):
    url, _ = served
    versions, board = (httpx.get(f"{url}/{path}", timeout=60).json() for path in ("versions", "leaderboard"))
    assert [(v["version"], v["aliases"], v["answering"]) for v in versions["versions"]] == [(1, ["Production"], True)]
    assert [m["action"] for m in versions["moves"]] == ["promote"]
    assert (board["source"], board["model"]["version"], board["rows"][0]["family"]) == ("contract", 1, "logistic")
