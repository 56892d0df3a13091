"""One JSON line a request. It has no body, no query, no header, no key, and of the path only the route's template."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import Any

from serve_apps.web.replica import logs_directory

LOGGER = "bellwether.access"

MAX_BYTES, FILES = 100 * 2**20, 5
"""When a file of the log is closed and the next one begun, and how many are kept: as Ray does with its own."""

WRITTEN_S = 0.1
"""Lines are written together after this long: a write for each takes longer than all else the guard does."""


@dataclass(kw_only=True, slots=True)
class Served:
    """What is written of one request. ``seconds`` and ``bytes`` are of the answer, up to its last byte."""

    request_id: str
    key: str | None
    method: str
    route: str | None
    status: int
    seconds: float
    bytes: int


class AccessLog:
    """Writes ``access_<app>_<process>.jsonl`` beside Serve's own logs; in tests, to the logger of the same name.

    A client that went away before its answer began is a 499. A replica that is taken away calls `flush` before it ends;
    one that is killed loses the lines of its last `WRITTEN_S`.
    """

    def __init__(self, app: str) -> None:
        self._app = app
        self._log = logging.getLogger(f"{LOGGER}.{app}")
        self._log.setLevel(logging.INFO)
        self._waiting: list[tuple[float, Served]] = []
        directory = logs_directory()
        self._together = directory is not None
        if directory is not None and not self._log.handlers:
            path = directory / f"access_{app}_{os.getpid()}.jsonl"
            handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=FILES, delay=True)
            self._log.addHandler(handler)
            self._log.propagate = False
        if self._together:
            atexit.register(self.flush)

    def write(self, served: Served) -> None:
        """Take one line; it is written soon."""
        self._waiting.append((time.time(), served))
        if not self._together:
            self.flush()
        elif len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(WRITTEN_S, self.flush)

    def flush(self) -> None:
        """Write the lines that wait."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._log.info("%s", "\n".join(self._line(at, served) for at, served in waiting))

    def _line(self, at: float, served: Served) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
            "request_id": served.request_id,
            "app": self._app,
            "key": served.key,
            "method": served.method,
            "route": served.route,
            "status": served.status,
            "seconds": round(served.seconds, 6),
            "bytes": served.bytes,
        }
        return json.dumps(line)
