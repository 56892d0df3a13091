"""How long the largest bodies keep everyone else waiting: sent to each app in this process, beside a clock on its loop.

python -m benchmarks.bench_bodies [--apps ticks …]

Good bodies are as long as the app takes them; the others are as many bytes of something it does not take. Times are of
the process's CPU, so that what else runs on the machine does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.asgi_apps import INSTALLED, installed, running
from benchmarks.good_bodies import GOOD
from serve_apps.web.guard import Safety

BYTES = Safety().max_body
SECOND = 10**9

ROWS: dict[str, dict[str, tuple[str, int, int, int]]] = {
    "factors": {"/predict/regression/batch": ("", 0, 1_000, 0)},
    "forecast": {"/predict/batch": ("snapshots", 5_000, 50, 300 * SECOND)},
    "index_signal": {
        "/bars/batch": ("bars", 1_000, 100, 3_600 * SECOND),
        "/predict/batch": ("bars", 1_000, 100, 3_600 * SECOND),
    },
    "strategy": {"/predict/batch": ("books", 5_000, 50, SECOND)},
    "ticks": {"/ticks": ("ticks", 1_000, 0, SECOND), "/predict/batch": ("", 0, 100, 0)},
}
"""Routes that take many rows: the list of rows in an item, its length, items of a batch, and how far rows lie apart."""


def largest(example: Any, rows: str, most: int, items: int, apart: int) -> bytes:
    """A good body, as long as it may be."""
    one = example["items"][0] if items else example
    if rows:
        first, made = one[rows][-1], []
        room = BYTES // max(items, 1) - 1_000
        for k in range(most):
            made.append(json.dumps(first | {"ts_event": 1_750_000_000 * SECOND + k * apart}))
            room -= len(made[-1]) + 2
            if room < 0:
                made.pop()
                break
        rest = json.dumps({name: value for name, value in one.items() if name != rows})
        text = f"{rest[:-1]}{', ' if len(rest) > 2 else ''}{json.dumps(rows)}: [{', '.join(made)}]}}"
    else:
        text = json.dumps(one)
    return (f'{{"items": [{", ".join([text] * items)}]}}' if items else text).encode()


def bad(items: int) -> dict[str, bytes]:
    """Bodies of as many bytes as are taken, each wrong in its way."""
    fields = ", ".join(f'"field{k}": 0' for k in range(BYTES // 18)).encode()
    return {
        "unknown fields": b'{"items": [{%s}]}' % fields if items else b"{%s}" % fields,
        "zeros": b"[" + b"0," * (BYTES // 2 - 8) + b"0]",
        "lists": b"[" + b"[]," * (BYTES // 3 - 8) + b"[]]",
        "objects": b"[" + b'{"a":0},' * (BYTES // 8 - 8) + b"{}]",
    }


async def answered(client: httpx.AsyncClient, path: str, body: bytes) -> tuple[int, float, float]:
    """Status, seconds of CPU time, and most of them in which the loop did nothing else."""
    longest, over = 0.0, False

    async def clock() -> None:
        nonlocal longest
        last = time.process_time()
        while not over:
            await asyncio.sleep(0)
            now = time.process_time()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(clock())
    await asyncio.sleep(0.01)
    longest, began = 0.0, time.process_time()
    reply = await client.post(path, content=body, headers={"Content-Type": "application/json"})
    took, over = time.process_time() - began, True
    await ticking
    return reply.status_code, took, longest


async def show(name: str, home: Path) -> None:
    """Print the figures of an app."""
    async with running(installed(name, home)) as asgi:
        transport = httpx.ASGITransport(app=asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app", timeout=300) as client:
            spec = (await client.get("/openapi.json")).json()
            for path, (rows, most, items, apart) in ROWS[name].items():
                good = GOOD.get(name, dict)().get(path)
                if good is None:
                    ref = spec["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                    good = spec["components"]["schemas"][ref.rpartition("/")[2]]["examples"][0]
                body = largest(good, rows, most, items, apart)
                for what, content in ({"first": body, "good": body} | bad(items)).items():
                    status, took, longest = await answered(client, path, content)
                    figures = (
                        f"{len(content) / 2**20:5.1f} MiB {status} {1e3 * took:6.0f} ms, {1e3 * longest:4.0f} in a row"
                    )
                    print(f"{name:<13}{path:<26}{what:<15}{figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", nargs="+", choices=INSTALLED, default=list(INSTALLED))
    with tempfile.TemporaryDirectory() as home:
        for name in parser.parse_args().apps:
            asyncio.run(show(name, Path(home)))


if __name__ == "__main__":
    main()
