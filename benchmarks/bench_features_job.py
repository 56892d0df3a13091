"""The Ray Data job at scale: its wall time against what kernels and Parquet alone would cost, and its memory.

python -m benchmarks.bench_features_job [--symbols 100] [--rows 100000] [--scaling 10]

The reference is measured in the same run on one thread without Ray: kernel and Parquet seconds of a few symbols,
times the number of symbols. Ray and its workers are started, and the kernels loaded, before the clock runs; Ray
Data's own fixed cost is inside. Everything is written to a temporary directory, which is removed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Universe
from benchmarks.processes import descendants
from data.features import features_of
from data.features.basket import basket
from data.features.market import MarketContext, component_inputs, features_kind
from data.features.tables import component_slices, feature_table, universe_context
from data.features_job import build_features
from data.lake import Lake
from data.records import BARS, TIME
from data.weights.table import weights_kind

HOUR = 3_600_000_000_000
SAMPLE = 6


def recipe_of(name: str, symbols: int) -> Recipe:
    """A recipe of so many symbols of simulated bars."""
    return Recipe(
        name=name,
        source=Part(kind="simulator"),
        universe=Universe(
            name=name,
            symbols=tuple(f"S{k:04d}" for k in range(symbols)),
            index="INDEX",
            weights=Part(kind="simulator"),
        ),
        families=("majority",),
    )


def bars(symbol: str, rows: int, seed: int) -> pa.Table:
    """A random walk in prices of a cent, seven bars a day."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.002, rows)))
    opens = close * np.exp(rng.normal(0, 0.001, rows))
    high, low = np.maximum(opens, close) * 1.001, np.minimum(opens, close) * 0.999
    ts = pa.array((at // 7 * 24 + 15 + at % 7) * HOUR).cast(TIME)
    prices = [pa.array(np.round(p, 2) + 0.01) for p in (opens, high, low, close)]
    volume = pa.array(rng.integers(0, 10**7, rows).astype(float))
    return pa.table([pa.array([symbol] * rows), ts, *prices, volume], schema=BARS)


def fill(lake: Lake, recipe: Recipe, rows: int) -> None:
    """Bars and equal weights of a recipe's universe, in the lake."""
    symbols = recipe.universe.symbols
    lake.commit(recipe.kind, [lake.stage(recipe.kind, s, bars(s, rows, k)) for k, s in enumerate(symbols)])
    shares = {"symbol": list(symbols), "weight": [1 / len(symbols)] * len(symbols)}
    weights = pa.table({"effective": pa.array([0] * len(symbols), pa.int64()).cast(TIME), **shares})
    kind = weights_kind(recipe.universe)
    lake.commit(kind, [lake.stage(kind, "weights", weights)])


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of a call, and its result."""
    started = perf_counter()
    result = call()
    return perf_counter() - started, result


def reference(lake: Lake, recipe: Recipe, scratch: Lake) -> dict[str, float]:
    """Seconds that kernels and Parquet of the whole universe take on one thread, from a sample of its symbols."""
    pa.set_cpu_count(1)
    fs, entries = features_of(recipe.features), list(lake.entries(recipe.kind).values())
    context = universe_context(recipe, lake, component_slices(recipe, lake))
    total = dict.fromkeys(("kernel", "read", "write", "context read", "rest"), 0.0)
    for entry in entries[:SAMPLE]:
        read, table = timed(lambda entry=entry: lake.read_entry(entry))  # type: ignore[misc]
        closes, _ = timed(lambda entry=entry: lake.read_entry(entry, ["ts_event", "close"]))  # type: ignore[misc]
        x = component_inputs(table, recipe.session, context)
        kernel, _ = timed(lambda x=x: fs.scan(x, fs.start()))  # type: ignore[misc]
        whole, made = timed(lambda table=table: feature_table(recipe, table, symbol="X", market=context))  # type: ignore[misc]
        write, _ = timed(lambda made=made: scratch.stage("features", "X", made))  # type: ignore[misc]
        for name, value in zip(total, (kernel, read, write, closes, whole - kernel), strict=True):
            total[name] += value * len(entries) / SAMPLE
    total["basket kernel"] = basket_seconds(len(entries), context)
    return total


def basket_seconds(symbols: int, context: MarketContext) -> float:
    """Seconds of the basket kernel over all timestamps, from one block of them."""
    fs = basket(symbols)
    x = np.abs(np.random.default_rng(0).normal(100, 1, (4_096, 2 * symbols)))
    fs.scan(x[:1], fs.start())
    seconds, _ = timed(lambda: fs.scan(x, fs.start()))
    return seconds * len(context.ts) / len(x)


def resident(pid: int) -> dict[str, float]:
    """Private and shared resident megabytes of a Ray worker; nothing for another process."""
    try:
        if not Path(f"/proc/{pid}/cmdline").read_text().startswith("ray::"):
            return {}
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    kb = {line.split(":")[0]: float(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))}
    return {"private": kb["RssAnon"] / 1024, "shared": kb["RssShmem"] / 1024}


@contextmanager
def peak_memory() -> Iterator[dict[str, float]]:
    """Watch this run's Ray workers: the most one of them held, in megabytes."""
    peak, stop = {"private": 0.0, "shared": 0.0}, threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            for pid in descendants(os.getpid()):
                for name, value in resident(pid).items():
                    peak[name] = max(peak[name], value)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def job(name: str, symbols: int, rows: int, folder: Path) -> tuple[Recipe, Lake, float]:
    """Fill a lake and build its features; return the wall time of the build alone."""
    recipe, lake = recipe_of(name, symbols), Lake(str(folder / name))
    fill(lake, recipe, rows)
    seconds, report = timed(lambda: build_features(recipe, lake))
    assert report.rows == symbols * rows, report
    return recipe, lake, seconds


def full_size(options: argparse.Namespace, folder: Path) -> None:
    """Print the job over the whole universe beside one thread without Ray."""
    cores = int(ray.cluster_resources()["CPU"])
    with peak_memory() as peak:
        recipe, lake, wall = job("full", options.symbols, options.rows, folder)
    parts = reference(lake, recipe, Lake(str(folder / "scratch")))
    kernel, parquet = parts["kernel"] + parts["basket kernel"], parts["read"] + parts["write"] + parts["context read"]
    size = sum((Path(lake.uri) / e.path).stat().st_size for e in lake.entries(features_kind(recipe)).values())
    print(f"{options.symbols} symbols x {options.rows:,} bars on {cores} cores, features {size / 1e6:,.0f} MB on disk")
    print("  one thread, no Ray: " + ", ".join(f"{name} {value:.2f} s" for name, value in parts.items()))
    print(f"  job, wall {wall:.2f} s")
    print(f"    = {wall / (kernel / cores + parquet):.2f} x (kernel / cores + Parquet)")
    print(f"    = {wall / ((kernel + parquet) / cores):.2f} x (kernel + Parquet) / cores")
    print(f"  most a worker held: {peak['private']:.0f} MB of its own, {peak['shared']:.0f} MB shared")
    print(f"  again, nothing to do: {timed(lambda: build_features(recipe, lake))[0]:.3f} s")


def scaling(options: argparse.Namespace, folder: Path) -> None:
    """Print the job over some symbols, and over ten times as many."""
    rows = max(options.rows // 10, 1)
    _, _, few = job("few", options.scaling, rows, folder)
    with peak_memory() as peak:
        _, _, many = job("many", 10 * options.scaling, rows, folder)
    print(
        f"{options.scaling} symbols x {rows:,} bars {few:.2f} s, ten times the symbols {many:.2f} s: {many / few:.1f} x"
    )
    print(f"  most a worker held: {peak['private']:.0f} MB of its own, {peak['shared']:.0f} MB shared")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--scaling", type=int, default=10, help="symbols of the smaller of the two scaling runs")
    options = parser.parse_args()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    with tempfile.TemporaryDirectory(prefix="bw") as temp:
        ray.init(include_dashboard=False, object_store_memory=500_000_000, _temp_dir=f"{temp}/r", log_to_driver=False)
        folder = Path(temp)
        job("warm", 2 * int(ray.cluster_resources()["CPU"]), 1_000, folder)
        full_size(options, folder)
        scaling(options, folder)
        ray.shutdown()


if __name__ == "__main__":
    main()
