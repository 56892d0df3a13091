"""What answers leave behind: every route of every app in this process, asked again and again.

python -m benchmarks.study_memory [--requests 2000] [--apps ticks …]

A replica on Ray also holds what Ray and Serve keep for each call (``bench_serving --memory``, beside a no-op); here is
the app alone. Of each route: blocks that Python holds more a request, MB more in the process, the answers' statuses.
What an app is told to remember (bars, trades) it holds on purpose.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import schemathesis

from benchmarks.asgi_apps import INSTALLED, installed, running
from benchmarks.good_bodies import GOOD
from serve_apps.prediction_log import Writer

AT_MOST_S = 20.0
PAGE = os.sysconf("SC_PAGE_SIZE")
SYMBOLS = {"forecast": "A", "strategy": "A"}
LEFT_OUT = ("/reload-model", "/signal/index/stream")
"""One needs a Serve around it, the other's answer has no end."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the process holds."""

    blocks: int
    rss_mb: float

    @classmethod
    def now(cls) -> Held:
        """After everything that can go has gone: predictions to the log, memory to the kernel."""
        for one in gc.get_objects():
            if isinstance(one, Writer):
                one.flush()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        resident = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(blocks=sys.getallocatedblocks(), rss_mb=resident * PAGE / 1e6)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One that is asked again and again."""

    method: str
    path: str
    body: Any = None


def requests(name: str, spec: dict[str, Any]) -> list[Request]:
    """One for each route of an app, of what it knows."""
    found, good, symbol = [], GOOD.get(name, dict)(), SYMBOLS.get(name, "S000")
    for operation in (o.ok() for o in schemathesis.openapi.from_dict(spec).get_all_operations()):
        raw, path, body = operation.definition.raw, operation.path, good.get(operation.path)
        if path in LEFT_OUT:
            continue
        if body is None and "requestBody" in raw:
            schema = raw["requestBody"]["content"]["application/json"]["schema"]
            body = (spec["components"]["schemas"][schema["$ref"].rpartition("/")[2]].get("examples") or [None])[0]
        path = re.sub("{symbol}", symbol, path) if "{symbol}" in path else re.sub("{.*?}", "0.5", path)
        path += f"?symbol={symbol}" if path == "/predict/component" else ""
        found.append(Request(method=operation.method.upper(), path=path, body=body))
    return found


async def study(name: str, app: Any, number: int) -> None:
    """Print a line a route."""
    async with running(app) as asgi:
        transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            spec = (await client.get("/openapi.json")).json()
            for request in requests(name, spec):
                await ask(client, request, number)
                before = Held.now()
                statuses = await ask(client, request, number)
                after = Held.now()
                blocks = (after.blocks - before.blocks) / statuses.total()
                title, grown = f"{name} {request.method} {request.path}", after.rss_mb - before.rss_mb
                print(f"{title:<68}{blocks:>8.3f} blocks{grown:>8.2f} MB  {dict(statuses)}", flush=True)


async def ask(client: httpx.AsyncClient, request: Request, number: int) -> Counter[int]:
    """So many times, or for `AT_MOST_S`."""
    content = None if request.body is None else json.dumps(request.body).encode()
    headers = {"Content-Type": "application/json"}
    statuses: Counter[int] = Counter()
    until = time.monotonic() + AT_MOST_S
    while statuses.total() < number and time.monotonic() < until:
        reply = await client.request(request.method, request.path, content=content, headers=headers)
        statuses[reply.status_code] += 1
        await asyncio.sleep(0)  # the loop lets go of timers that were cancelled when its turn comes
    return statuses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2_000, help="to each route at most, after as many before")
    parser.add_argument("--apps", nargs="+", choices=INSTALLED, default=list(INSTALLED))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        for name in options.apps:
            asyncio.run(study(name, installed(name, Path(home)), options.requests))


if __name__ == "__main__":
    main()
