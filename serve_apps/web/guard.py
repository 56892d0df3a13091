"""What stands before every app: who may ask, how much and how often, and what is written down of it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from functools import partial

from fastapi import FastAPI, HTTPException, Response
from pydantic import Field
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from bellwether.config import Settings
from bellwether.config.frozen import Frozen
from serve_apps.web.access import Access, authorise, challenges
from serve_apps.web.access_log import AccessLog, Served
from serve_apps.web.aside import read_aside
from serve_apps.web.docs_page import install_docs
from serve_apps.web.exchange import Exchange, Withdrawn
from serve_apps.web.limits import check_body, check_query, limited
from serve_apps.web.openapi import describe
from serve_apps.web.problems import install, problem, refusal, respond
from serve_apps.web.rate import TokenBucket
from serve_apps.web.replica import in_replica
from serve_apps.web.request_id import begin, end
from serve_apps.web.rules import Needs, Rule, Rules

Answered = Callable[[str, int, float], None]

UNMATCHED = "unmatched"
"""What an answer to a path that is not served is counted under."""

log = logging.getLogger(__name__)


class Safety(Frozen):
    """Who may ask an app, how much and how often. The defaults suit an app that listens on loopback.

    Parameters
    ----------
    required : bool, optional
        Whether a request needs an API key. If left out, it does unless Serve listens on loopback only. Set it behind a
        proxy on the same machine.
    keys : str
        The key file; ``BELLWETHER_KEYS``, if left out.
    rate : float, optional
        Requests a second that one key, or without keys one address, may make of one replica; None: no limit.
    burst : int
        Requests that may come at once before ``rate`` counts.
    max_body : int
        Bytes of a request's body.
    access_log : bool
        Write one JSON line a request.
    """

    required: bool | None = None
    keys: str = Field(default_factory=lambda: Settings().keys)
    rate: float | None = Field(default=1_000.0, gt=0)
    burst: int = Field(default=2_000, ge=1)
    max_body: int = Field(default=8 * 2**20, ge=1)
    access_log: bool = True


def guard(
    api: FastAPI,
    *,
    app: str,
    safety: Safety,
    scopes: Mapping[str, Needs] | None = None,
    answered: Answered | None = None,
) -> None:
    """Guard an app; called last, when all its routes are there.

    Refusals, the documentation at ``/docs`` and the description of errors in ``/openapi.json`` come with it, and bodies
    of megabytes are read in a thread.

    Parameters
    ----------
    app : str
        Its name in logs.
    scopes : mapping, optional
        What a key must be allowed to do for a route, by path or by method and path, such as ``{"POST /orders":
        "admin", "/page": "public"}``. What is left out follows from the method, see `serve_apps.web.rules.Rules`.
    answered : callable, optional
        ``answered(route, status, seconds)`` after each request; ``route`` is a template, or `UNMATCHED`, and
        ``seconds`` is until the answer began.
    """
    install(api)
    install_docs(api)
    read_aside(api)
    api.router.redirect_slashes = False  # a redirect would be made of the Host that the client names
    rules = Rules(api.routes, scopes or {})
    describe(api, rules)
    api.add_middleware(Guard, rules=rules, app_name=app, safety=safety, answered=answered)


class Guard:
    """The ASGI middleware of `guard`. It passes streams through as they are."""

    def __init__(
        self, app: ASGIApp, *, rules: Rules, app_name: str, safety: Safety, answered: Answered | None = None
    ) -> None:
        self._app, self._rules, self._answered = app, rules, answered
        self._access = Access(safety.keys, safety.required)
        self._rate = None if safety.rate is None else TokenBucket(rate=safety.rate, burst=safety.burst)
        self._max_body = safety.max_body
        self._log = AccessLog(app_name) if safety.access_log else None
        self._behind_serve = in_replica()

    async def __call__(self, connection: Connection, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if connection["type"] == "http":
            await self._answer(connection, receive, send)
        elif connection["type"] == "lifespan":
            await self._app(connection, receive, self._ending(send))
        elif connection["type"] == "websocket":  # no app has one, and none would be guarded
            await send({"type": "websocket.close", "code": 1008})

    def _ending(self, send: Send) -> Send:
        """A ``send`` of the app's life: before its end is told, every line is written."""

        async def told(message: Message) -> None:
            if self._log is not None and message["type"].startswith("lifespan.shutdown"):
                self._log.flush()
            await send(message)

        return told

    async def _answer(self, connection: Connection, receive: Receive, send: Send) -> None:
        headers = dict(connection["headers"])
        name, token = begin(headers.get(b"x-request-id"))
        exchange = Exchange(send, connection, headers, echoed=self._behind_serve, name=name)
        rule = self._rules.find(connection)
        try:
            await self._admit(exchange, rule, headers)
            await self._app(connection, limited(receive, self._max_body, awaited=rule.takes_json), exchange.send)
        except Withdrawn:
            log.info("request %s was ended, because its key was removed", name)
        except HTTPException as refused:
            await exchange.refuse(_refusal(refused, headers))
        except Exception:
            log.exception("request %s failed", name)
            if exchange.started:
                raise
            await exchange.refuse(respond(problem(500, "the request failed; the log has the reason under its id")))
        finally:
            end(token)
            self._note(exchange, rule)

    async def _admit(self, exchange: Exchange, rule: Rule, headers: Mapping[bytes, bytes]) -> None:
        key = None
        try:
            key = await self._access.identify(exchange.method, rule.needs, rule.route, headers)
            if key is not None:
                exchange.key, exchange.allowed = key.name, partial(self._access.still, key)
        finally:  # a wrong key takes a token, too
            self._take(exchange, rule)
        authorise(key, rule.needs)
        check_query(exchange.query)
        check_body(headers, self._max_body, rule.takes_json)

    def _take(self, exchange: Exchange, rule: Rule) -> None:
        if self._rate is None or rule.route == "/health":
            return
        wait = self._rate.take(f"key {exchange.key}" if exchange.key else f"address {exchange.address}")
        if wait:
            raise HTTPException(429, "too many requests", headers={"Retry-After": str(math.ceil(wait))}) from None

    def _note(self, exchange: Exchange, rule: Rule) -> None:
        seconds, status = time.perf_counter() - exchange.began, exchange.status
        if self._log is not None:
            self._log.write(
                Served(
                    request_id=exchange.name,
                    key=exchange.key,
                    method=exchange.method,
                    route=rule.route,
                    status=status,
                    seconds=seconds,
                    bytes=exchange.bytes,
                )
            )
        if self._answered is not None:
            self._answered(
                rule.route or UNMATCHED, status, (exchange.answering or time.perf_counter()) - exchange.began
            )


def _refusal(refused: HTTPException, headers: Mapping[bytes, bytes]) -> Response:
    response = respond(refusal(refused), refused.headers)
    for challenge in challenges(headers) if refused.status_code == 401 else ():
        response.headers.append("www-authenticate", challenge)
    return response
