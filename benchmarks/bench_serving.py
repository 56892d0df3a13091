"""Serving under load, beside an app of the same shape that does nothing, in the same run.

python -m benchmarks.bench_serving [--only meter signal tail ticks swap] [--components 10 100] [--shards 2]
python -m benchmarks.bench_serving --soak 10
python -m benchmarks.bench_serving --memory 10

- meter: what one observation of a metric takes
- signal: GET /signal/index, one client; median against the no-op
- tail: the same at half of what it can do; 99th percentile against its own median
- ticks: POST /ticks/predict of a new trade, one client; median against the no-op
- swap: another version is promoted and reloaded under load; requests that fail
- soak: half of what it can do, a replica killed every 30 seconds; wrong and failed answers, memory
- memory: what grows in replicas that live, beside those of the no-op: Ray's own grow during their first thousands of
  requests, whatever they do

The client is a process of its own (`benchmarks.load`) that checks each answer. Where ``wrk`` is installed, it says what
an app can do. Ray is a private one with the settings of `cluster.local`; everything is made in a temporary directory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.load import Load, Result, Running

if TYPE_CHECKING:
    from benchmarks.processes import Process

CLIENTS = 32
PATH = "/signal/index"
NUMBERS = itertools.count()
KILL_EVERY_S, SAMPLE_EVERY_S, SETTLED_S = 30.0, 5.0, 20.0

Options = argparse.Namespace


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running Serve, and where installations are made."""

    url: str
    home: Path
    options: Options


def ms(latencies: list[float], percent: float) -> float:
    """A percentile of latencies, in milliseconds."""
    return 1e3 * float(np.percentile(latencies, percent))


def line(name: str, value: str, bound: str = "") -> None:
    """Print a figure and its bound."""
    print(f"{name:<58}{value:>16}  {bound}", flush=True)


# --- apps ----------------------------------------------------------------------------------------


@contextmanager
def deployed(site: Site, **apps: Any) -> Iterator[dict[str, str]]:
    """Apps beside each other; their addresses by name."""
    from ray import serve

    for name, app in apps.items():
        serve.run(app, name=name, route_prefix=f"/{name}")
    try:
        yield {name: f"{site.url}/{name}" for name in apps}
    finally:
        for name in apps:
            serve.delete(name)


def index_app(site: Site, components: int, **more: Any) -> tuple[Any, Any, Any]:
    """An installation, the arguments of the index signal on it, and the app."""
    from benchmarks.installation import install
    from serve_apps import builder

    build, arguments = builder("index_signal")
    made = install(site.home, components=components, name=f"bench-{components}-{next(NUMBERS)}")
    shards = min(site.options.shards, components)
    args = arguments(**made.args(shards=shards, safety={"rate": None}, **more))
    return made, args, build(args)


def beside_no_op(site: Site, app: Any, args: Any, load: Load, shards: int) -> dict[str, list[float]]:
    """Latencies of both, measured in turns. ``load`` has the path for its address."""
    from benchmarks.no_op import no_op

    reference = no_op(args, shards=shards, path=load.url, method="GET" if load.body is None else "POST")
    found: dict[str, list[float]] = {"no-op": [], "app": []}
    with deployed(site, nothing=reference, app=app) as urls:
        for turn in range(site.options.rounds):
            first = load.first + turn * 10**11
            nothing = replace(load, url=urls["nothing"] + load.url, check=None)
            found["no-op"] += expect(nothing.run()).latencies
            found["app"] += expect(replace(load, url=urls["app"] + load.url, first=first).run()).latencies
    return found


def expect(result: Result) -> Result:
    """A result without failures."""
    if result.failed or result.wrongs:
        raise RuntimeError(f"{result.failed} failed: {result.failures}; {result.wrongs} wrong: {result.wrong}")
    return result


def report(what: str, found: dict[str, list[float]], bound: float) -> None:
    """Print the medians of the app and of the no-op, and their ratio."""
    a, b = ms(found["app"], 50), ms(found["no-op"], 50)
    line(f"{what}, p50", f"{a:.2f} ms")
    line("    no-op, p50", f"{b:.2f} ms")
    line("    ratio", f"{a / b:.2f}", f"<= {bound}")


def saturation(url: str, seconds: float, check: str | None = None) -> float:
    """Requests a second that many clients get answered; by ``wrk``, where it is installed."""
    if wrk := shutil.which("wrk"):
        command = [wrk, "-t1", f"-c{CLIENTS}", f"-d{max(1, round(seconds))}s", url]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        if found := re.search(r"Requests/sec:\s*([\d.]+)", told):
            return float(found[1])
        raise RuntimeError(told)
    return expect(Load(url=url, clients=CLIENTS, seconds=seconds, check=check).run()).per_second


# --- parts ---------------------------------------------------------------------------------------


def meter(site: Site) -> None:
    """Microseconds of an observation, in a worker of Ray."""
    import ray

    @ray.remote(num_cpus=0.1)
    def costs() -> dict[str, float]:
        from serve_apps.metrics import Meter

        meter = Meter("bench", "0")
        acts: dict[str, Callable[[], None]] = {
            "timed": lambda: meter.took("inference", 0.001),
            "answered (two metrics)": lambda: meter.answered("/signal/index", 200, 0.001),
            "staleness": lambda: meter.staleness("S000", 60.0),
        }
        found = {}
        for name, act in acts.items():
            times = []
            for _ in range(20):
                started = time.perf_counter()
                for _ in range(1000):
                    act()
                times.append((time.perf_counter() - started) * 1e3)
            found[name] = float(np.median(times))
        return found

    for name, us in ray.get(costs.remote()).items():
        line(f"metric, {name}", f"{us:.1f} µs")


def signal_part(site: Site) -> None:
    """The median of one client, against a composition that does nothing."""
    for components in site.options.components:
        _, args, app = index_app(site, components)
        load = Load(url=PATH, requests=site.options.requests, check="signal")
        found = beside_no_op(site, app, args, load, min(site.options.shards, components))
        report(f"{PATH}, {components} components", found, 1.5 if components <= 10 else 2.0)


def tail(site: Site) -> None:
    """At half of what it can do."""
    for components in site.options.components:
        _, _, app = index_app(site, components)
        with deployed(site, app=app) as urls:
            url = urls["app"] + PATH
            most = saturation(url, site.options.seconds, "signal")
            load = Load(url=url, clients=CLIENTS, seconds=4 * site.options.seconds, rate=most / 2, check="signal")
            found = expect(load.run()).latencies
        p50, p99 = ms(found, 50), ms(found, 99)
        line(f"{PATH}, {components} components, saturation", f"{most:.0f} /s")
        line("    at half of it, p50 and p99", f"{p50:.2f} {p99:.2f} ms")
        line("    p99 / p50", f"{p99 / p50:.2f}", "<= 5")


def ticks(site: Site) -> None:
    """The median of one client that posts a new trade each time. The app is one deployment, as its no-op."""
    from benchmarks.tick_installation import FIRST_OPEN, SECOND, install_ticks
    from data.wall import DAY
    from serve_apps import builder

    build, arguments = builder("ticks")
    args = arguments(**install_ticks(site.home).args(safety={"rate": None}))
    tick = '{"ts_event": $N, "price": 100.0, "volume": 10.0, "bid": 99.99, "ask": 100.01}'
    load = Load(
        url="/predict",
        body=f'{{"symbol": "S000", "tick_data": {tick}}}',
        first=FIRST_OPEN + DAY + 600 * SECOND,  # after the trades that are in the lake
        requests=site.options.requests,
        check="ticks",
    )
    report("/ticks/predict, seven models", beside_no_op(site, build(args), args, load, shards=0), 1.5)


def swap(site: Site) -> None:
    """Another version under load, and back."""
    made, _, app = index_app(site, 10)
    registry, name, second = another_version(made)
    with deployed(site, app=app) as urls:
        url = urls["app"] + PATH
        rate = saturation(url, site.options.seconds, "signal") / 2
        client = Load(url=url, clients=CLIENTS, seconds=6 * site.options.seconds, rate=rate, check="signal").start()
        for version in (second, 1):
            time.sleep(2 * site.options.seconds)
            registry.promote(name, version, "Production", who="bench", why="swap under load")
            started = time.perf_counter()
            told = post(urls["app"] + "/reload-model")
            line(f"reload to version {version}: {told['after']}", f"{time.perf_counter() - started:.2f} s")
        found = client.result()
    for version, seen in sorted(found.noticed["versions"].items()):
        line(f"    answers by version {version}", str(seen["answers"]))
    line("    requests", str(found.asked))
    line("    failed", str(found.failed), "= 0")
    line("    wrong", str(found.wrongs), "= 0")
    line("    degraded", str(found.noticed["degraded"]))
    explain(found)


def another_version(made: Any) -> tuple[Any, str, int]:
    """A second registered version, which says something else of every component; it is not promoted."""
    import hashlib

    from bellwether.models import family
    from bellwether.models.artefact import Artefact
    from bellwether.models.training import plain
    from bellwether.registry import Ledger, Registry
    from benchmarks.installation import artefact
    from data.lake import Lake

    recipe = made.load()
    first = artefact(recipe, Lake(made.lake)).contract
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(500, len(first.features))), rng.integers(0, len(first.classes), 500)
    graph = family("logistic").train(plain(x, y, classes=len(first.classes)), {"C": 1.0, "balanced": True}).graph()
    contract = first.model_copy(update={"sha256": hashlib.sha256(graph).hexdigest()})
    registry = Registry(made.tracking_uri, Ledger(made.ledger))
    return registry, recipe.name, registry.register(recipe.name, Artefact(content=graph, contract=contract), metrics={})


def post(url: str) -> Any:
    """The JSON that a POST without a body brings."""
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=120) as reply:
        return json.load(reply)


def explain(found: Result) -> None:
    """Print what failed and what was wrong."""
    for text in found.failures + found.wrong:
        print(f"        {text}")


# --- soak ----------------------------------------------------------------------------------------


def soak(site: Site) -> None:
    """Half of what it can do, and a replica killed every so often."""
    seconds = 60 * site.options.soak
    _, _, app = index_app(site, 10, replicas=2)
    with deployed(site, app=app) as urls:
        url = urls["app"] + PATH
        rate = saturation(url, site.options.seconds, "signal") / 2
        client = Load(url=url, clients=CLIENTS, seconds=seconds, rate=rate, check="signal").start()
        samples, kills = watched([client], ["app"], kill=True)
        found = client.result()
    line(f"soak, {site.options.soak:g} minutes at {rate:.0f} /s: requests", str(found.asked))
    line("    replicas killed", str(kills))
    line("    wrong", str(found.wrongs), "= 0")
    line("    failed", f"{100 * found.failed / max(1, found.asked):.4f} %", "<= 0.1 %")
    line("    of lower coverage", f"{100 * found.noticed['degraded'] / max(1, found.asked):.3f} %")
    line("    p50 and p99", f"{ms(found.latencies, 50):.2f} {ms(found.latencies, 99):.2f} ms")
    explain(found)
    grown(samples)


def memory(site: Site) -> None:
    """Replicas of the app and of the no-op live under the same load, at the same time."""
    from benchmarks.no_op import no_op

    _, args, app = index_app(site, 10, replicas=2)
    nothing = no_op(args, shards=site.options.shards, path=PATH)
    with deployed(site, nothing=nothing, app=app) as urls:
        rate = saturation(urls["app"] + PATH, site.options.seconds, "signal") / 4
        load = Load(url=urls["app"] + PATH, clients=CLIENTS, seconds=60 * site.options.memory, rate=rate)
        clients = [replace(load, url=url + PATH).start() for url in urls.values()]
        samples, _ = watched(clients, list(urls))
        for client in clients:
            expect(client.result())
    line(f"memory, {site.options.memory:g} minutes at {rate:.0f} /s each", "")
    grown(samples)


Samples = dict[int, list[tuple[float, "Process"]]]


def watched(clients: Sequence[Running], apps: Sequence[str], *, kill: bool = False) -> tuple[Samples, int]:
    """Processes of apps while clients run, by number; and how many replicas were killed, one every so often."""
    from benchmarks.processes import replicas, serving

    born: dict[int, float] = {}
    samples: Samples = {}
    rng, kills, due = random.Random(0), 0, time.monotonic() + KILL_EVERY_S
    while not all(client.over for client in clients):
        now = time.monotonic()
        for process in serving(*apps):
            if now - born.setdefault(process.pid, now) >= SETTLED_S:
                samples.setdefault(process.pid, []).append((now, process))
        if kill and now >= due:
            due += KILL_EVERY_S
            os.kill(rng.choice(replicas(*apps)).pid, signal.SIGKILL)  # a child of the Ray that was started here
            kills += 1
        time.sleep(SAMPLE_EVERY_S)
    return samples, kills


def grown(samples: Samples) -> None:
    """Print mean MB when processes had settled and when last seen; MB a minute in the second half of their lives."""
    lives = [life for life in samples.values() if len(life) > 2]
    for title in sorted({life[0][1].title for life in lives}):
        own = [life for life in lives if life[0][1].title == title]
        first, last = (float(np.mean([life[k][1].rss_mb for life in own])) for k in (0, -1))
        halves = [(life[len(life) // 2], life[-1]) for life in own]
        minutes = sum(end[0] - middle[0] for middle, end in halves) / 60
        growth = sum(end[1].rss_mb - middle[1].rss_mb for middle, end in halves) / minutes
        line(f"    {title} ({len(own)}), MB", f"{first:.0f} -> {last:.0f}", f"{growth:+.2f} a minute at last")


PARTS: dict[str, Callable[[Site], None]] = {
    "meter": meter,
    "signal": signal_part,
    "tail": tail,
    "ticks": ticks,
    "swap": swap,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="this part alone, for so long")
    parser.add_argument("--memory", type=float, metavar="MINUTES", help="this part alone, for so long")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--components", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    from ray import serve

    from cluster.local import local_ray
    from pipelines.demo import free_port

    port = free_port()
    with tempfile.TemporaryDirectory() as home, local_ray(num_cpus=8, object_store_mb=200):
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        site = Site(url=f"http://127.0.0.1:{port}", home=Path(home), options=options)
        long = [part for part, minutes in ((soak, options.soak), (memory, options.memory)) if minutes]
        for part in long or [PARTS[name] for name in options.only]:
            part(site)
        serve.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
