"""What the command line asks of a served app over HTTP."""

from __future__ import annotations

import time
from typing import Any

import httpx
from pydantic import SecretStr

from bellwether.errors import ServiceError

RELOAD_S = 180.0
"""How long replicas may take to load other versions."""

READY_S = 30.0
"""How long an app that was just started may take until all of it answers."""

UNROUTED = "/-/routes"
"""What Serve's proxy names in its 404, which is plain text; no app of ours does."""


def ask(
    method: str, url: str, path: str, key: SecretStr | None = None, *, timeout: float = 10.0, **how: Any
) -> httpx.Response:
    """The reply of an app, whatever its status; ``key`` is an API key, where the app asks for one.

    Raises
    ------
    ServiceError
        Nothing answers there.
    """
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    try:
        return httpx.request(method, f"{url.rstrip('/')}{path}", headers=headers, timeout=timeout, **how)
    except httpx.TransportError as error:
        raise ServiceError(f"nothing answers at {url} ({error}): start it with `bellwether serve RECIPE`") from error


def checked(reply: httpx.Response, url: str) -> dict[str, Any]:
    """The body of a reply.

    Raises
    ------
    ServiceError
        It is an error; the message has what the app says.
    """
    if reply.status_code == httpx.codes.UNAUTHORIZED:
        raise ServiceError(f"{url} asks for an API key ({said(reply)}): set BELLWETHER_API_KEY")
    if reply.is_error:
        raise ServiceError(f"{url} answered {reply.status_code}: {said(reply)}")
    body: dict[str, Any] = reply.json()
    return body


def said(reply: httpx.Response) -> str:
    """What a refusal says: the detail of a problem document, or the text of a proxy in between."""
    if reply.headers.get("content-type", "").startswith("application/problem+json"):
        return str(reply.json()["detail"])
    return reply.text[:300]


def wait_ready(url: str, key: SecretStr | None = None, seconds: float = READY_S) -> list[str]:
    """Wait until an app is ready, and return what it lacks if it is not by then.

    An app that wants a key this process has not got, or that is none of ours, is not waited for.
    """
    end = time.monotonic() + seconds
    while True:
        reply = ask("GET", url, "/ready", key)
        starting = _starts(reply)
        if not starting or time.monotonic() > end:
            body = reply.json() if starting and reply.headers.get("content-type") == "application/json" else {}
            return list(body.get("missing", []))
        time.sleep(0.1)


def _starts(reply: httpx.Response) -> bool:
    """Whether waiting helps: the app says so, or Serve's proxy is up and has no route to it yet.

    A 404 of anyone else says that this is another program, or another app of ours.
    """
    unrouted = reply.status_code == httpx.codes.NOT_FOUND and UNROUTED in reply.text
    return reply.status_code == httpx.codes.SERVICE_UNAVAILABLE or unrouted


def reload(url: str, key: SecretStr | None = None) -> dict[str, dict[str, int]]:
    """Let an app answer by the versions that carry its aliases now; returns when it does.

    Raises
    ------
    ServiceError
        It cannot be reached, or stays with the versions it has; the message says why.
    """
    return checked(ask("POST", url, "/reload-model", key, timeout=RELOAD_S), url)
