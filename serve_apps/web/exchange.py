"""One request and what is sent for it, as the guard sees them pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from fastapi import Response
from starlette.types import Message, Send
from starlette.types import Scope as Connection

from serve_apps.web.headers import secure

GONE = 499
"""The status written down where the client went away; nobody receives it."""


class Withdrawn(Exception):
    """The key of a stream was removed."""


class Exchange:
    """One request and what was sent for it so far."""

    def __init__(
        self, send: Send, connection: Connection, headers: Mapping[bytes, bytes], *, echoed: bool, name: str
    ) -> None:
        self._send, self._connection = send, connection
        self.began, self.name = time.perf_counter(), name
        self.method: str = connection["method"]
        self.key: str | None = None
        self.allowed: Callable[[], bool] | None = None
        self.started, self.answering, self.status, self.bytes = False, 0.0, GONE, 0
        # Serve's proxy answers with the id that it was given, or that it made for the replica
        self._names = not (echoed and headers.get(b"x-request-id") == name.encode())

    @property
    def query(self) -> bytes:
        """What stands behind the question mark."""
        query: bytes = self._connection.get("query_string", b"")
        return query

    @property
    def address(self) -> str:
        """Where the request comes from."""
        client = self._connection.get("client")
        return str(client[0]) if client else ""

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.started, self.answering, self.status = True, time.perf_counter(), message["status"]
            secure(message, tls=self._connection.get("scheme") == "https")
            if self._names:
                message["headers"].append((b"x-request-id", self.name.encode()))
        elif message["type"] == "http.response.body":
            if self.allowed is not None and message.get("more_body") and not self.allowed():
                await self._send({"type": "http.response.body"})
                raise Withdrawn
            self.bytes += len(message.get("body", b""))
        await self._send(message)

    async def refuse(self, response: Response) -> None:
        """Answer with a problem, unless an answer is under way."""
        if not self.started:
            with suppress(OSError):  # nobody is there any more
                await response(self._connection, _nothing, self.send)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
