"""Requests that no careful client sends: other bytes than JSON, headers that lie about them, unheard-of methods.

They go to an app by ASGI itself, which lets through what an HTTP client would mend.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.types import ASGIApp

from serve_apps.web.problems import MEDIA_TYPE, Problem

METHODS = ["POST"] * 12 + ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", ""]
TYPES = [
    *[b"application/json"] * 8,
    *(
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"text/event-stream",
    ),
    *(
        b"application/json; charset=utf-16",
        b"application/problem+json",
        b"application/json, text/html",
        b"json",
        b"\xff",
    ),
]
LENGTHS = [b"0", b"1", b"-1", b"99999999", b"9" * 400, b"1e3", b"+5", b"\xb2", b""]
ODD = [
    *((b"content-encoding", coding) for coding in (b"gzip", b"deflate", b"br", b"x", b"")),
    *((b"transfer-encoding", coding) for coding in (b"chunked", b"gzip, chunked", b"identity")),
    *((b"expect", b"100-continue"), (b"range", b"bytes=5-1"), (b"upgrade", b"h2c"), (b"accept", b"text/html;q=x")),
    *((b"cookie", b"a" * 65_536), (b"x", b"a" * 65_536), (b"x-request-id", b"\xff\r\n"), (b"host", b"")),
    *((b"authorization", b"Basic \xff"), (b"if-none-match", b"*, W/"), (b"last-event-id", b"\x00")),
]


@dataclass(frozen=True, kw_only=True)
class OddRequest:
    """A request as an app gets it; its body comes in ``parts``."""

    method: str
    path: str
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    parts: tuple[bytes, ...]


@st.composite
def odd_requests(draw: st.DrawFn, paths: Sequence[str], good: Any) -> OddRequest:
    """A request to one of ``paths``; ``good`` is a body that one of them takes."""
    text = json.dumps(good).encode()
    spoilt = [
        text,
        text[:-1],
        text + text,
        b"\xef\xbb\xbf" + text,
        text.decode().encode("utf-16"),
        b"",
        b" ",
        b"a=1&b=2",
    ]
    body = draw(st.sampled_from([*spoilt, gzip.compress(text, mtime=0)]) | st.binary(max_size=60))
    cut = draw(st.integers(0, len(body)))
    length = draw(st.just(str(len(body)).encode()) | st.none() | st.sampled_from(LENGTHS))
    headers = [(b"content-type", draw(st.sampled_from(TYPES))), *draw(st.lists(st.sampled_from(ODD), max_size=3))]
    return OddRequest(
        method=draw(st.sampled_from(METHODS)),
        path=draw(st.sampled_from([*paths, *paths, "/nothing", "/", "//", "/predict/../ready", "/docs"])),
        query=draw(st.sampled_from([b"", b"", b"universe=%FF", b"bars=\x80", b"&&==", b"a" * 9_000])),
        headers=(*headers, *([] if length is None else [(b"content-length", length)])),
        parts=draw(st.sampled_from([(body,), (body[:cut], body[cut:]), (b"", body, b""), ()])),
    )


async def answered(app: ASGIApp, odd: OddRequest) -> tuple[int, str]:
    """Status, and what is wrong with the answer. The client goes away when its body is sent."""
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "server": ("app", 80),
    }
    scope |= {"method": odd.method, "path": odd.path, "raw_path": odd.path.encode(), "query_string": odd.query}
    scope |= {"headers": list(odd.headers), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"}, "extensions": {}}
    messages: list[Any] = []
    last = len(odd.parts) - 1
    coming = iter([{"type": "http.request", "body": part, "more_body": k < last} for k, part in enumerate(odd.parts)])

    async def receive() -> Any:
        return next(coming, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    start, body = messages[0], b"".join(m.get("body", b"") for m in messages[1:])
    return start["status"], _wrong(odd, start["status"], dict(start["headers"]), body)


def _wrong(odd: OddRequest, status: int, headers: dict[bytes, bytes], body: bytes) -> str:
    if status >= 500:
        return f"{status}: {body[:200]!r}"
    if status < 400:
        return ""
    if headers.get(b"content-type") != MEDIA_TYPE.encode():
        return f"{status} as {headers.get(b'content-type')!r}"
    try:
        Problem.model_validate_json(body)
    except ValidationError as error:
        return "" if odd.method == "HEAD" and not body else f"{status} is no problem: {error}"
    return ""
