"""The guard before every app: how much it takes, how it refuses, and what is written down of a request."""

from __future__ import annotations

import asyncio
import json
import logging
from functools import partial

import httpx
import pytest
from fastapi import FastAPI, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bellwether.config.keys import KeyFile
from benchmarks.guarded import SECRET, ask, bearer, conversation, demo, problem_of, raw
from serve_apps.web.access_log import LOGGER
from serve_apps.web.exchange import GONE
from serve_apps.web.guard import UNMATCHED, Safety, guard
from serve_apps.web.limits import limited
from serve_apps.web.problems import MEDIA_TYPE, Problem
from serve_apps.web.request_id import request_id


@pytest.fixture
def keys(tmp_path) -> KeyFile:
    return KeyFile(str(tmp_path / "keys.json"))


@pytest.fixture
def guarded(keys) -> FastAPI:
    """An app that needs keys."""
    return demo(Safety(required=True, keys=str(keys.path)), scopes={"GET /things/{name}": "admin"})


# --- how much ------------------------------------------------------------------------------------


def test_a_large_body_is_refused_whether_its_length_is_announced_or_not():
    api = demo(Safety(max_body=1_000))

    async def chunks():
        for _ in range(100):
            yield b" " * 100

    kind = {"content-type": "application/json"}
    for content in (b" " * 1_001, chunks()):
        reply = ask(api, "POST", "/bars", content=content, headers=kind)
        assert reply.status_code == 413
        assert problem_of(reply)["detail"] == "the body of a request has at most 1000 bytes"
    fits = b'{"amount": 1}'.ljust(1_000)
    assert ask(api, "POST", "/bars", content=fits, headers=kind).status_code == 200
    unread = ask(api, "GET", "/signal", content=b"", headers={"content-length": "9" * 400})
    assert unread.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("serve_apps.web.guard.limited", partial(limited, seconds=0.02))

    async def slow():
        yield b"{"
        await asyncio.Event().wait()

    reply = ask(demo(), "POST", "/bars", content=slow(), headers={"content-type": "application/json"})
    assert reply.status_code == 408
    problem_of(reply)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "", "application/jsonx"])
def test_a_body_that_is_not_json_by_its_type_is_a_415(kind):
    headers = {"content-type": kind} if kind else {}
    reply = ask(demo(), "POST", "/bars", content=b'{"amount": 1}', headers=headers)
    assert reply.status_code == 415
    problem_of(reply)


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("br", 415), ("gzip, identity", 415), ("Identity", 200)])
def test_a_compressed_body_is_a_415_that_says_so(coding, status):
    headers = {"content-type": "application/json", "content-encoding": coding}
    reply = ask(demo(), "POST", "/bars", content=b'{"amount": 1}', headers=headers)
    assert reply.status_code == status
    if status == 415:
        assert "compressed" in problem_of(reply)["detail"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/Problem+JSON"])
def test_json_is_taken_under_all_its_names(kind):
    assert ask(demo(), "POST", "/bars", content=b'{"amount": 1}', headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b'{"amount": 1, "more": ' + b"[" * 500 + b"]" * 500 + b"}", 200),
        (b'{"amount": "' + b"[" * 500 + b'"}', 422),
        (b'{"x": ' + b"[" * 800 + b"]" * 800 + b"}", 422),
        (b'{"amount": "\xff"}', 400),
        (b"\xff\xfe", 422),
        (b'{"amount": ' + b"9" * 5_000 + b"}", 400),
        (b'{"amount": 1, "\\ud800": 2}', 422),
        (b'{"amount": NaN}', 422),
        (b"{", 422),
        (b"", 422),
    ],
)
def test_json_that_is_deep_or_broken_is_refused_and_does_no_harm(body, status):
    reply = ask(demo(), "POST", "/bars", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == status
    if status != 200:
        assert len(json.dumps(problem_of(reply))) < 5_000


def test_a_query_that_no_address_may_have_is_a_400():
    status, came, content = asyncio.run(raw(demo(), "GET", "/signal", {}, b"", b"\x80"))
    assert (status, came[b"content-type"]) == (400, MEDIA_TYPE.encode())
    assert "ASCII" in Problem.model_validate_json(content).detail


# --- headers and names ---------------------------------------------------------------------------


def test_every_answer_has_the_security_headers():
    for path in ("/signal", "/nothing", "/docs", "/fails", "/stream"):
        headers = ask(demo(), "GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "strict-transport-security" not in headers
    assert ask(demo(), "GET", "/signal").headers["cache-control"] == "no-store"


def test_strict_transport_is_asked_for_over_tls_only():
    (reply,) = asyncio.run(conversation(demo(), ("GET", "/signal", {}), scheme="https"))
    assert reply.json()["scheme"] == "https"
    assert reply.headers["strict-transport-security"] == "max-age=31536000"


def test_an_endpoint_may_set_a_header_itself():
    api = FastAPI()
    api.get("/page")(lambda: Response(b"", headers={"Content-Security-Policy": "default-src 'self'"}))
    guard(api, app="demo", safety=Safety())
    assert ask(api, "GET", "/page").headers.get_list("content-security-policy") == ["default-src 'self'"]


@pytest.mark.parametrize("given_id", ["job-17", "a", "0" * 128, "2025:06.30_x-1"])
def test_a_well_formed_request_id_is_kept(given_id):
    reply = ask(demo(), "GET", "/signal", headers={"X-Request-ID": given_id})
    assert reply.headers["x-request-id"] == reply.json()["id"] == given_id
    assert request_id() == ""


@pytest.mark.parametrize("given_id", ["", "a b", "x" * 129, '"}', "é", "-a", "a\tb"])
def test_another_one_is_replaced(given_id):
    reply = ask(demo(), "GET", "/signal", headers={"X-Request-ID": given_id.encode("latin-1")})
    assert reply.headers["x-request-id"] == reply.json()["id"]
    assert len(reply.json()["id"]) == 32


# --- problems ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        *(("GET", "/nothing", 404), ("GET", "/health/", 404), ("PUT", "/signal", 405), ("DELETE", "/bars", 405)),
        *(("GET", "/things/x", 404), ("POST", "/predict/x", 422), ("GET", "/fails", 500), ("GET", "/redoc", 404)),
    ],
)
def test_every_refusal_is_a_problem_document(method, path, status):
    reply = ask(demo(), method, path)
    assert reply.status_code == status
    problem_of(reply)


def test_a_problem_names_what_is_known_and_every_mistake():
    assert problem_of(ask(demo(), "GET", "/things/x"))["known"] == ["this", "that"]
    wrong = problem_of(ask(demo(), "POST", "/bars", json={"amount": "1", "limit": 3}))
    assert wrong["detail"] == "body.amount: Input should be a valid integer (and 1 more)"
    assert [(e["loc"], e["type"], e["received"]) for e in wrong["errors"]] == [
        (["body", "amount"], "int_type", "'1'"),
        (["body", "limit"], "extra_forbidden", "3"),
    ]


def test_an_exception_tells_the_log_everything_and_the_client_nothing(caplog):
    reply = ask(demo(), "GET", "/fails")
    assert "hunter2" not in reply.text
    assert "Error" not in problem_of(reply)["detail"]
    failed = [r for r in caplog.records if r.name == "serve_apps.web.guard"]
    assert reply.headers["x-request-id"] in failed[0].getMessage()
    assert SECRET in caplog.text


def test_a_stream_passes_through_and_one_that_breaks_is_not_made_to_look_whole(caplog):
    assert ask(demo(), "GET", "/stream").text == "data: 1\n\ndata: 2\n\n"
    with pytest.raises(RuntimeError):
        ask(demo(), "GET", "/stream", params={"broken": True})
    assert "request" in caplog.text


def test_openapi_describes_refusals_as_problems_and_the_scope_of_each_route():
    spec = ask(demo(scopes={"/signal": "admin"}), "GET", "/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(spec)
    for methods in spec["paths"].values():
        for operation in methods.values():
            for status in (400, 401, 403, 413, 422, 429, 500):
                (media,) = operation["responses"][str(status)]["content"].items()
                assert media == (MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}})
            assert ("415" in operation["responses"]) == ("requestBody" in operation)
    assert spec["components"]["schemas"]["Problem"]["required"] == ["type", "title", "status", "detail"]
    scopes = {path: next(iter(methods.values()))["x-scope"] for path, methods in spec["paths"].items()}
    assert {path for path, scope in scopes.items() if scope == "read"} == {
        *("/things/{name}", "/predict/{name}", "/fails", "/stream")
    }
    assert {path: scope for path, scope in scopes.items() if scope != "read"} == {
        "/health": "public",
        "/signal": "admin",
        "/bars": "write",
        "/reload-model": "admin",
    }


def test_the_documentation_needs_no_other_host():
    page, script, style = (ask(demo(), "GET", path) for path in ("/docs", "/docs/docs.js", "/docs/docs.css"))
    assert [r.status_code for r in (page, script, style)] == [200, 200, 200]
    for part in (page, script, style):
        assert "http://" not in part.text
        assert "https://" not in part.text
    assert "<script>" not in page.text
    assert "style=" not in page.text


# --- the access log ------------------------------------------------------------------------------


def lines(caplog) -> list[dict]:
    return [json.loads(r.getMessage()) for r in caplog.records if r.name.startswith(LOGGER)]


def test_one_line_a_request_with_the_route_and_not_the_path(guarded, keys, caplog):
    caplog.set_level(logging.INFO, LOGGER)
    admin = keys.add("ops", ["admin"])
    reply = ask(guarded, "GET", "/things/private-name?token=private", **bearer(admin))
    (line,) = lines(caplog)
    assert list(line) == ["ts", "request_id", "app", "key", "method", "route", "status", "seconds", "bytes"]
    assert (line["app"], line["key"], line["method"], line["route"]) == ("demo", "ops", "GET", "/things/{name}")
    assert (line["status"], line["request_id"]) == (404, reply.headers["x-request-id"])
    assert line["bytes"] == len(reply.content)
    assert line["seconds"] > 0
    assert "private" not in caplog.text


def test_lines_are_written_together_and_all_of_them_before_a_replica_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("serve_apps.web.access_log.logs_directory", lambda: tmp_path)
    monkeypatch.setattr("serve_apps.web.access_log.WRITTEN_S", 1_000.0)
    api = FastAPI()
    guard(api, app="ending", safety=Safety())
    told, sent = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]), []

    def written() -> int:
        return sum(len(path.read_text().splitlines()) for path in tmp_path.iterdir())

    async def receive():
        if sent:
            await conversation(api, *[("GET", f"/nothing/{k}", {}) for k in range(3)])
            assert written() == 0
        return next(told)

    async def send(message):
        sent.append((message["type"], written()))

    asyncio.run(api({"type": "lifespan", "asgi": {}}, receive, send))
    assert sent == [("lifespan.startup.complete", 0), ("lifespan.shutdown.complete", 3)]


def test_a_key_is_in_no_log_repr_or_error(guarded, keys, caplog):
    caplog.set_level(logging.DEBUG)
    reader = keys.add("reader", ["read"])
    seen = [repr(guarded), repr(Safety(keys=str(keys.path)))]
    for secret in (reader, reader[:-1]):
        for how in (bearer(secret), {"headers": {"X-API-Key": secret}}):
            for method, path in (("GET", "/signal"), ("GET", "/fails"), ("POST", "/bars"), ("PUT", "/nothing")):
                reply = ask(guarded, method, path, **how)
                seen.append(f"{reply.text} {reply.headers}")
    seen.append(caplog.text)
    assert not [text for text in seen if reader[:-1] in text]
    assert {line["key"] for line in lines(caplog)} == {"reader", None}


def test_who_lacks_a_scope_is_named_in_the_log(guarded, keys, caplog):
    caplog.set_level(logging.INFO, LOGGER)
    ask(guarded, "POST", "/reload-model", **bearer(keys.add("reader", ["read"])))
    (line,) = lines(caplog)
    assert (line["key"], line["status"]) == ("reader", 403)


def test_the_log_can_be_switched_off(caplog):
    caplog.set_level(logging.INFO, LOGGER)
    ask(demo(Safety(access_log=False)), "GET", "/signal")
    assert lines(caplog) == []


def test_a_client_that_goes_away_is_a_499(caplog):
    caplog.set_level(logging.INFO, LOGGER)
    api = FastAPI()
    api.get("/slow")(lambda: asyncio.sleep(60))

    @api.get("/slowly")
    async def slowly() -> None:
        await asyncio.sleep(60)

    guard(api, app="demo", safety=Safety())

    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://app") as client:
            task = asyncio.ensure_future(client.get("/slowly"))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert [line["status"] for line in lines(caplog)] == [GONE]


def test_each_answer_is_counted_by_its_route():
    counted = []
    api = demo(answered=lambda route, status, seconds: counted.append((route, status, seconds > 0)))
    asyncio.run(conversation(api, ("GET", "/things/x", {}), ("GET", "/never", {}), ("GET", "/health", {})))
    assert counted == [("/things/{name}", 404, True), (UNMATCHED, 404, True), ("/health", 200, True)]


# --- whatever is sent ----------------------------------------------------------------------------

PATHS = ("/signal", "/things/x", "/predict/x", "/bars", "/reload-model", "/docs", "/nothing", "/health")
paths = st.one_of(st.sampled_from(PATHS), st.text(max_size=20).map(lambda text: f"/{text}"))
NAMES = ("content-type", "content-length", "x-request-id", "authorization", "x-api-key", "host", "accept", "x")
headers = st.dictionaries(st.sampled_from(NAMES), st.one_of(st.binary(max_size=40), st.just(b"application/json")))
bodies = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@pytest.fixture(scope="module")
def open_api() -> FastAPI:
    return demo(Safety(rate=None, access_log=False))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["GET", "POST", "PUT", "HEAD", "BREW"]), paths, headers, bodies, st.binary(max_size=20))
def test_nothing_makes_it_fail_and_every_4xx_is_a_problem(open_api, method, path, sent, body, query):
    status, came, content = asyncio.run(raw(open_api, method, path, sent, body, query))
    assert status < 500
    assert came[b"content-security-policy"]
    if status >= 400:
        assert came[b"content-type"] == MEDIA_TYPE.encode()
        if method != "HEAD":
            Problem.model_validate_json(content)
