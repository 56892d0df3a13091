"""A cheap HTTP client in a process of its own: it keeps connections open, takes times, and checks every answer.

``Load(...).run()`` from a benchmark; ``python -m benchmarks.load '{"url": …}'`` is the process it starts.

Without a rate, each client asks again as soon as it has its answer. With one, requests are due at even distances
whatever becomes of those before, and what a request waits for a free client counts as its latency.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 20.0
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
SHOWN = 5

Check = Callable[[bytes], str | None]
"""What is wrong with the body of a 200; None if it is right."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one client process does.

    Parameters
    ----------
    url : str
    body : str, optional
        Posted as JSON; without one, the request is a GET.
    first : int
        What ``$N`` in the body stands for in the first request; a million more in each that follows.
    clients : int
        Connections.
    requests : int, optional
        Answers after which it is over.
    seconds : float, optional
        Time after which it is over.
    rate : float, optional
        Requests a second.
    warm : int
        Requests before, that count for nothing.
    check : str, optional
        A name of `benchmarks.checks.CHECKS`.
    """

    url: str
    body: str | None = None
    first: int = 0
    clients: int = 1
    requests: int | None = None
    seconds: float | None = None
    rate: float | None = None
    warm: int = 30
    check: str | None = None

    def start(self) -> Running:
        """The process, under way."""
        return Running(self)

    def run(self) -> Result:
        """What it found."""
        return self.start().result()


@dataclass
class Result:
    """What a client process found: seconds of each 200, statuses by number, and what failed or was wrong."""

    latencies: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failed: int = 0
    wrongs: int = 0
    seconds: float = 0.0
    noticed: dict[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """Requests that were made."""
        return sum(self.statuses.values())

    @property
    def per_second(self) -> float:
        """Right answers a second."""
        return len(self.latencies) / self.seconds


class Running:
    """A client's process. It writes what it found into a file: a pipe that nobody reads would keep it from ending."""

    def __init__(self, load: Load) -> None:
        command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load))]
        self._out = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open until the process is over
        self._process = subprocess.Popen(command, stdout=self._out, text=True, cwd=ROOT)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def result(self) -> Result:
        """What it found, once it is over."""
        with self._out:
            if code := self._process.wait():
                raise RuntimeError(f"the client ended with {code}")
            self._out.seek(0)
            return Result(**json.load(self._out))


class Connection(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._reply: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Requests may be asked."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits is told."""
        self.transport = None
        self._settle(error=ConnectionError(f"the connection was closed: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Take what has come; the answer is there when all of it is."""
        self._buffer += data
        if (end := self._buffer.find(b"\r\n\r\n")) < 0:
            return
        head = bytes(self._buffer[: end + 2])
        if (length := LENGTH.search(head)) is None:
            self._settle(error=ValueError(f"an answer without a length: {head!r}"))
        elif len(self._buffer) >= (whole := end + 4 + int(length[1])):
            body = bytes(self._buffer[end + 4 : whole])
            del self._buffer[:whole]
            self._settle((int(head[9:12]), body))

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Send a request; its status and body are the result."""
        assert self.transport is not None
        self._reply = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._reply

    def _settle(self, reply: tuple[int, bytes] | None = None, error: Exception | None = None) -> None:
        if self._reply is not None and not self._reply.done():
            if error is not None:
                self._reply.set_exception(error)
            elif reply is not None:
                self._reply.set_result(reply)


class Client:
    """Asks over one connection, and opens another when that is closed."""

    def __init__(self, load: Load, numbers: Iterator[int]) -> None:
        at = urlsplit(load.url)
        self._place = at.hostname or "", at.port or 80
        self._line = f"{at.path or '/'}{f'?{at.query}' if at.query else ''} HTTP/1.1\r\nHost: {at.netloc}\r\n"
        self._body, self._numbers = load.body, numbers
        self._connection: Connection | None = None

    async def ask(self) -> tuple[int, bytes]:
        """Status and body of the next request; raises `TimeoutError` after `TIMEOUT_S`."""
        if self._connection is None or self._connection.transport is None:
            _, self._connection = await asyncio.get_running_loop().create_connection(Connection, *self._place)
        try:
            return await asyncio.wait_for(self._connection.ask(self._request()), TIMEOUT_S)
        except TimeoutError:
            self._connection = None
            raise

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None and self._connection.transport is not None:
            self._connection.transport.close()

    def _request(self) -> bytes:
        if self._body is None:
            return f"GET {self._line}\r\n".encode()
        body = self._body.replace("$N", str(next(self._numbers)))
        return f"POST {self._line}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Run:
    """One `Load`, in this process."""

    def __init__(self, load: Load, check: Check | None) -> None:
        self._load, self._check, self.result = load, check, Result()
        self._statuses: Counter[str] = Counter()
        self._due = itertools.count()

    async def go(self) -> Result:
        """What was found when all clients are done."""
        numbers = itertools.count(self._load.first, 1_000_000)
        clients = [Client(self._load, numbers) for _ in range(self._load.clients)]
        for _ in range(self._load.warm):
            await clients[0].ask()
        self._began = perf_counter()
        await asyncio.gather(*(self._work(client) for client in clients))
        self.result.seconds = perf_counter() - self._began
        for client in clients:
            client.close()
        self.result.statuses = dict(self._statuses)
        return self.result

    async def _work(self, client: Client) -> None:
        while (sent := await self._turn()) is not None:
            try:
                status, body = await client.ask()
            except (OSError, TimeoutError, ValueError) as error:
                self._failed("no answer", f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.01)  # whoever closed the connection may need a moment
            else:
                self._answered(status, body, perf_counter() - sent)

    async def _turn(self) -> float | None:
        """The time from which the next request counts, once it is due; None when all is done."""
        load, number = self._load, next(self._due)
        if load.requests is not None and number >= load.requests:
            return None
        now = perf_counter()
        due = now if load.rate is None else self._began + number / load.rate
        if load.seconds is not None and max(due, now) >= self._began + load.seconds:
            return None  # what an app has fallen behind with by then is not asked any more
        if due <= now:
            return due
        await asyncio.sleep(due - now)
        return perf_counter()  # that the timer rings late is not the server's latency

    def _answered(self, status: int, body: bytes, seconds: float) -> None:
        if status != 200:
            self._failed(str(status), f"{time.strftime('%H:%M:%S')} {body[:200]!r}")
            return
        self._statuses["200"] += 1
        self.result.latencies.append(seconds)
        if self._check is not None and (wrong := self._check(body)) is not None:
            self.result.wrongs += 1
            if len(self.result.wrong) < SHOWN:
                self.result.wrong.append(wrong)

    def _failed(self, status: str, why: str) -> None:
        self._statuses[status] += 1
        self.result.failed += 1
        if len(self.result.failures) < SHOWN:
            self.result.failures.append(f"{status}: {why}")


def main() -> None:
    from benchmarks.checks import CHECKS

    load = Load(**json.loads(sys.argv[1]))
    check = None if load.check is None else CHECKS[load.check]()
    result = asyncio.run(Run(load, check).go())
    result.noticed = getattr(check, "noticed", {})
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
