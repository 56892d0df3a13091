"""Who may ask and how often: API keys, unless Serve listens on loopback only."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import ssl
import subprocess
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

from bellwether.config import Settings
from bellwether.config.keys import KeyFile
from benchmarks.guarded import ask, bearer, conversation, demo, problem_of
from data.lake import Lake
from serve_apps.index_signal import IndexSignalArgs
from serve_apps.web.access import Access, WatchedKeys
from serve_apps.web.guard import Safety, guard
from serve_apps.web.rate import REMEMBERED, TokenBucket


@pytest.fixture
def keys(tmp_path) -> KeyFile:
    return KeyFile(str(tmp_path / "keys.json"))


@pytest.fixture
def guarded(keys) -> FastAPI:
    """An app that needs keys."""
    return demo(Safety(required=True, keys=str(keys.path)), scopes={"GET /things/{name}": "admin"})


# --- keys ----------------------------------------------------------------------------------------


def test_without_keys_nothing_answers_but_health_and_the_refusal_says_what_to_do(guarded):
    health, signal, page, unknown = asyncio.run(
        conversation(guarded, *(("GET", path, {}) for path in ("/health", "/signal", "/", "/nothing")))
    )
    assert health.status_code == 200
    for reply in (signal, page, unknown):
        assert reply.status_code == 401
        assert "bellwether keys add NAME" in problem_of(reply)["detail"]
        assert [said.split()[0] for said in reply.headers.get_list("www-authenticate")] == ["Bearer"]


def test_a_key_is_taken_as_bearer_header_or_password_and_its_scopes_hold(guarded, keys):
    reader, writer = keys.add("reader", ["read"]), keys.add("writer", ["write"])
    password = base64.b64encode(f"anyone:{reader}".encode()).decode()
    for headers in (
        {"Authorization": f"Bearer {reader}"},
        {"authorization": f"bearer  {reader}"},
        {"X-API-Key": reader},
        {"Authorization": f"Basic {password}"},
    ):
        assert ask(guarded, "GET", "/signal", headers=headers).status_code == 200
    assert ask(guarded, "POST", "/predict/a", json={"amount": 1}, **bearer(reader)).status_code == 200
    refused = ask(guarded, "POST", "/bars", json={"amount": 1}, **bearer(reader))
    assert refused.status_code == 403
    assert problem_of(refused)["detail"] == "the key 'reader' has the scopes read; this needs write"
    assert ask(guarded, "POST", "/bars", json={"amount": 1}, **bearer(writer)).status_code == 200
    for secret, path in ((writer, "/signal"), (reader, "/things/this"), (writer, "/reload-model")):
        method = "POST" if path == "/reload-model" else "GET"
        assert ask(guarded, method, path, **bearer(secret)).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer bw_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + base64.b64encode(b"no colon").decode()},
        {"Authorization": "Digest x"},
        {"X-API-Key": "\xff\xfe"},
    ],
)
def test_whatever_is_not_a_key_is_a_401(guarded, keys, headers):
    keys.add("reader", ["read"])
    reply = ask(guarded, "GET", "/signal", headers={name: value.encode("latin-1") for name, value in headers.items()})
    assert reply.status_code == 401
    problem_of(reply)


def test_a_browser_asks_for_a_key_where_a_person_opens_an_address_and_not_for_a_script(guarded, keys):
    keys.add("reader", ["read"])
    for mode, asked in (("navigate", ["Bearer", "Basic"]), ("cors", ["Bearer"])):
        reply = ask(guarded, "GET", "/openapi.json", headers={"Sec-Fetch-Mode": mode})
        assert [said.split()[0] for said in reply.headers.get_list("www-authenticate")] == asked


def test_a_path_that_is_not_served_needs_a_key_too(guarded, keys):
    reader = keys.add("reader", ["read"])
    assert ask(guarded, "GET", "/nothing").status_code == 401
    assert ask(guarded, "GET", "/nothing", **bearer(reader)).status_code == 404
    assert ask(guarded, "GET", "/reload-model").status_code == 401


def test_a_removed_key_is_refused_and_a_new_one_taken_without_a_restart(guarded, keys):
    first = keys.add("first", ["read"])

    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=guarded), base_url="http://app") as client:

            async def status(secret: str) -> int:
                return (await client.get("/signal", **bearer(secret))).status_code

            before = await status(first)
            second = keys.add("second", ["read"])
            both = [await status(first), await status(second)]
            keys.remove("first")
            after = [await status(first), await status(second)]
            keys.path.write_text("{")
            return before, both, after, await status(second)

    assert asyncio.run(main()) == (200, [200, 200], [401, 200], 401)


def test_a_stream_ends_when_its_key_is_removed(keys, caplog):
    reader, api = keys.add("reader", ["read"]), FastAPI()

    @api.get("/stream")
    async def stream() -> StreamingResponse:
        async def events():
            yield b"1"
            keys.remove("reader")
            yield b"2"
            yield b"3"

        return StreamingResponse(events())

    guard(api, app="demo", safety=Safety(required=True, keys=str(keys.path)))
    reply = ask(api, "GET", "/stream", **bearer(reader))
    assert (reply.status_code, reply.text) == (200, "1")
    assert "failed" not in caplog.text


def test_a_broken_key_file_lets_nobody_in_and_is_told_once(guarded, keys, caplog):
    keys.path.write_text("{")
    replies = asyncio.run(conversation(guarded, *[("GET", "/signal", {})] * 3))
    assert [reply.status_code for reply in replies] == [401] * 3
    assert caplog.text.count("cannot be read") == 1
    keys.path.unlink()
    assert ask(guarded, "GET", "/signal", **bearer(keys.add("desk", ["read"]))).status_code == 200


def test_keys_are_read_again_only_when_the_file_is_another(keys):
    keys.add("desk", ["read"])
    watched = WatchedKeys(str(keys.path))
    assert watched.ring() is watched.ring()
    os.utime(keys.path, (1, 1))
    assert watched.ring().keys == keys.read().keys


@pytest.mark.parametrize(
    ("host", "required"),
    [("127.0.0.1", False), ("::1", False), ("localhost", False), (None, False), ("0.0.0.0", True), ("10.1.2.3", True)],
)
def test_a_key_is_required_unless_serve_listens_on_loopback(keys, host, required):
    async def asked():
        return host

    assert asyncio.run(Access(str(keys.path), None, asked).required()) is required
    assert asyncio.run(Access(str(keys.path), True, asked).required()) is True
    assert asyncio.run(Access(str(keys.path), False, asked).required()) is False


def test_a_key_is_required_where_serve_does_not_say_on_what_it_listens(keys, caplog):
    async def broken():
        raise ValueError("no controller")

    assert asyncio.run(Access(str(keys.path), None, broken).required()) is True
    assert "does not say on what it listens" in caplog.text


def test_a_key_is_required_while_serve_does_not_answer(keys, monkeypatch):
    monkeypatch.setattr("serve_apps.web.access.SAID_WITHIN_S", 0.01)
    assert asyncio.run(Access(str(keys.path), None, asyncio.Event().wait).required()) is True


@pytest.mark.parametrize(
    ("name", "status"),
    [("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:8000", 200), ("evil.example:8000", 403), ("", 403)],
)
def test_on_loopback_a_name_of_another_site_does_not_lead_here(keys, name, status):
    async def loopback():
        return "127.0.0.1"

    access = Access(str(keys.path), None, loopback)
    asking = access.identify("GET", "read", "/signal", {b"host": name.encode()})
    with pytest.raises(HTTPException) if status == 403 else nullcontext():
        asyncio.run(asking)


def test_no_password_of_a_store_is_in_what_is_printed_of_an_app_or_a_lake():
    given = {"lake": "s3://key:hunter2@bucket/lake", "tracking_uri": "postgresql://ada:hunter2@db/mlflow"}
    args = IndexSignalArgs(recipe="index-hourly", **given)
    shown = f"{args!r} {args.stores()!r} {Settings(**given)!r} {Lake(given['lake'])!r}"
    assert "hunter2" not in shown
    assert "s3://bucket/lake" in shown


def test_a_page_of_another_site_changes_nothing():
    api = demo()
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert ask(api, "POST", "/reload-model", headers={"Sec-Fetch-Site": site}).status_code == status
        assert ask(api, "GET", "/signal", headers={"Sec-Fetch-Site": site}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        *(("http://evil.example", 403), ("null", 403), ("http://[", 403), ("http://app.evil.example", 403)),
        *(("http://app", 200), ("https://APP:8443", 200)),
    ],
)
def test_a_page_of_another_site_is_known_by_its_origin_where_the_browser_says_no_more(origin, status):
    assert ask(demo(), "POST", "/reload-model", headers={"Origin": origin}).status_code == status
    assert ask(demo(), "GET", "/signal", headers={"Origin": origin}).status_code == 200


# --- how often -----------------------------------------------------------------------------------


def test_each_key_has_a_rate_of_its_own(keys):
    fast, other = keys.add("fast", ["read"]), keys.add("other", ["read"])
    api = demo(Safety(required=True, keys=str(keys.path), rate=0.001, burst=2))
    wanted = [*[("GET", "/signal", bearer(fast))] * 3, ("GET", "/signal", bearer(other)), ("GET", "/health", {})]
    replies = asyncio.run(conversation(api, *wanted))
    assert [reply.status_code for reply in replies] == [200, 200, 429, 200, 200]
    problem_of(replies[2])
    assert 900 < int(replies[2].headers["retry-after"]) <= 1000


def test_guesses_are_limited_by_address(keys):
    keys.add("desk", ["read"])
    api = demo(Safety(required=True, keys=str(keys.path), rate=0.001, burst=2))
    replies = asyncio.run(conversation(api, *[("GET", "/signal", bearer(f"bw_{n}")) for n in range(3)]))
    assert [reply.status_code for reply in replies] == [401, 401, 429]


def test_a_bucket_fills_again_and_clients_are_forgotten_in_the_end():
    now = [0.0]
    bucket = TokenBucket(rate=10.0, burst=3, clock=lambda: now[0])
    assert [bucket.take("a") for _ in range(4)] == pytest.approx([0.0, 0.0, 0.0, 0.1])
    now[0] = 0.25
    assert [bucket.take("a") == 0.0 for _ in range(3)] == [True, True, False]
    for n in range(REMEMBERED):
        bucket.take(f"client {n}")
    assert len(bucket._full_at) == REMEMBERED
    assert bucket.take("a") == 0.0


# --- on Ray --------------------------------------------------------------------------------------


class Served:
    """An app that Serve can be given: its parts are imported where it runs."""

    def __init__(self, safety: Safety) -> None:
        self._safety = safety

    def __serve_build_asgi_app__(self) -> FastAPI:

        api = FastAPI()
        api.get("/signal")(self.signal)
        guard(api, app="served", safety=self._safety)
        return api

    async def signal(self, request: Request) -> dict[str, str]:
        return {"scheme": request.url.scheme}


@pytest.fixture
def certificate(tmp_path) -> dict[str, str]:
    """A certificate of this machine, signed by itself, as Serve's options name it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    paths = {"ssl_keyfile": str(tmp_path / "key.pem"), "ssl_certfile": str(tmp_path / "cert.pem")}
    ask = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    ask += f" -addext subjectAltName=DNS:localhost -keyout {paths['ssl_keyfile']} -out {paths['ssl_certfile']}"
    subprocess.run(ask.split(), check=True, capture_output=True)
    return paths


def lines_of(logs: Path, count: int) -> list[dict[str, Any]]:
    """The access log of the app, which is written by and by, once it has so many lines."""
    for _ in range(100):
        written = [line for log in logs.glob("access_served_*.jsonl") for line in log.read_text().splitlines()]
        if len(written) >= count:
            break
        time.sleep(0.1)
    return [json.loads(line) for line in written]


@pytest.mark.ray
def test_beyond_loopback_and_over_tls_a_key_is_asked_for(ray_cluster, keys, certificate):
    from ray import serve
    from ray.serve._private.logging_utils import get_serve_logs_dir

    from pipelines.demo import free_port

    serve.shutdown()  # whoever served before listens elsewhere
    port = free_port()
    serve.start(http_options={"host": "0.0.0.0", "port": port, **certificate})
    try:
        options = {"ray_actor_options": {"num_cpus": 0.1}}
        app = serve.deployment(**options)(serve.ingress()(Served)).bind(Safety(keys=str(keys.path)))
        serve.run(app, name="served", route_prefix="/served")
        trusted = ssl.create_default_context(cafile=certificate["ssl_certfile"])
        with httpx.Client(base_url=f"https://localhost:{port}/served", verify=trusted, timeout=30) as client:
            closed = client.get("/signal")
            reader = keys.add("reader", ["read"])
            opened = client.get("/signal", **bearer(reader))
            named = client.get("/signal", headers={"X-API-Key": reader, "X-Request-ID": "job-17"})
        logs = Path(get_serve_logs_dir())
        written = lines_of(logs, 3)
        anywhere = [path for path in logs.rglob("*") if path.is_file() and reader in path.read_text(errors="replace")]
    finally:
        serve.shutdown()
    assert (closed.status_code, "bellwether keys add" in problem_of(closed)["detail"]) == (401, True)
    assert (opened.status_code, opened.json()) == (200, {"scheme": "https"})
    assert opened.headers["strict-transport-security"]
    assert named.headers.get_list("x-request-id") == ["job-17"]  # once, though Serve's proxy names requests, too
    assert [(line["key"], line["route"], line["status"]) for line in written] == [
        *((None, "/signal", 401), ("reader", "/signal", 200), ("reader", "/signal", 200))
    ]
    assert written[2]["request_id"] == "job-17"
    assert anywhere == []
