"""Latency and throughput of GET /signal/index, against a composition of the same shape that does nothing.

python -m benchmarks.bench_signal [--shards 2] [--components 1 10 100] [--rounds 3] [--requests 300] [--seconds 4]

The reference is deployed beside it in the same run: the same kind of ingress, as many shards, each of which returns a
small constant. The two are measured in turns, from another process that keeps its connections open: one client for
latency, sixteen for throughput. Ray is a private one, the installation is made in a temporary directory, and both are
gone afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import numpy as np

CLIENTS = 16


class Nothing:
    """A shard of the reference."""

    async def predict(self, symbols: Sequence[str]) -> dict[str, str]:
        return {"answer": "nothing"}


class Gather:
    """The ingress of the reference: asks its shards, all at once."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self._handles = tuple(handles)

    def __serve_build_asgi_app__(self) -> Any:
        from fastapi import FastAPI

        app = FastAPI()
        app.get("/signal/index")(self.signal)
        return app

    async def signal(self, universe: str | None = None) -> Any:
        from fastapi import Response

        said = await asyncio.gather(*(handle.predict.remote(["S000"]) for handle in self._handles))
        return Response(json.dumps(said[0]), media_type="application/json")


def reference(shards: int) -> Any:
    from ray import serve

    from serve_apps.args import AppArgs
    from serve_apps.deploying import deployment

    args = AppArgs(recipe="none")
    handles = [deployment(Nothing, f"Nothing-{k}", args, access_log=False).bind() for k in range(shards)]
    return deployment(serve.ingress()(Gather), "Gather", args).bind(handles)


def fetch(connection: HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    reply = connection.getresponse()
    body = reply.read()
    if reply.status != 200:
        raise RuntimeError(f"{path} answered {reply.status}: {body[:300]!r}")
    return len(body)


def latencies(url: str, requests: int) -> list[float]:
    """Seconds of each of so many requests, one after the other."""
    at = urlsplit(url)
    connection = HTTPConnection(at.hostname or "", at.port, timeout=30)
    found = []
    for _ in range(requests):
        started = perf_counter()
        fetch(connection, at.path)
        found.append(perf_counter() - started)
    return found


def throughput(url: str, clients: int, seconds: float) -> float:
    """Requests a second that so many clients get answered."""
    at, counts = urlsplit(url), [0] * clients
    end = perf_counter() + seconds

    def run(k: int) -> None:
        connection = HTTPConnection(at.hostname or "", at.port, timeout=30)
        while perf_counter() < end:
            fetch(connection, at.path)
            counts[k] += 1

    threads = [threading.Thread(target=run, args=(k,)) for k in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def load(url: str, requests: int, seconds: float) -> dict[str, Any]:
    """One turn, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_signal", "--load", url]
    command += ["--requests", str(requests), "--seconds", str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def turn(url: str, requests: int, seconds: float) -> dict[str, Any]:
    latencies(url, 30)  # until connections and caches are there
    return {"latency": latencies(url, requests), "throughput": throughput(url, CLIENTS, seconds)}


def compare(home: Path, base: str, components: int, options: argparse.Namespace) -> None:
    from ray import serve

    from benchmarks.installation import install
    from serve_apps import builder

    build, arguments = builder("index_signal")
    made = install(home, components=components, name=f"bench-{components}")
    shards = min(options.shards, components)
    apps = {"no-op": reference(shards), "signal": build(arguments(**made.args(shards=shards)))}
    for name, app in apps.items():
        serve.run(app, name=name, route_prefix=f"/{name}")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in apps}
    for _ in range(options.rounds):
        for name in apps:
            found[name].append(load(f"{base}/{name}/signal/index", options.requests, options.seconds))
    report(components, shards, found)
    for name in apps:
        serve.delete(name)


def report(components: int, shards: int, found: dict[str, list[dict[str, Any]]]) -> None:
    """A line each, and their ratio."""
    rows = {}
    for name, turns in found.items():
        ms = 1e3 * np.concatenate([t["latency"] for t in turns])
        rows[name] = [*np.percentile(ms, [50, 95, 99]), np.median([t["throughput"] for t in turns])]
    rows["ratio"] = [a / b for a, b in zip(rows["signal"], rows["no-op"], strict=True)]
    for name, (p50, p95, p99, rate) in rows.items():
        print(f"{components:10d} {shards:6d} {name:>8} {p50:9.2f} {p95:9.2f} {p99:9.2f} {rate:12.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--components", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        print(json.dumps(turn(options.load, options.requests, options.seconds)))
        return
    from ray import serve

    from cluster.local import local_ray
    from pipelines.demo import free_port

    port = free_port()
    with tempfile.TemporaryDirectory() as home, local_ray(num_cpus=8, object_store_mb=200):
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        print("one client: milliseconds; sixteen clients: requests a second; ratio: signal over no-op")
        print("components shards      app       p50       p95       p99   requests/s")
        for components in options.components:
            compare(Path(home), f"http://127.0.0.1:{port}", components, options)
        serve.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
