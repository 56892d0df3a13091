"""One huge symbol on the cluster: its sessions are tasks of their own where the feature set starts anew with each.

python -m benchmarks.bench_sessions [--sessions 8] [--events 1500000] [--cpus 2]

Ticks of one simulated symbol. The reference is measured in the same run on one thread without Ray: reading, scanning
and writing every session, one after the other. Ray, its workers and their kernels are warm before the clock runs; Ray
Data's own fixed cost is inside. Everything is written to a temporary directory, which is removed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter

import pyarrow as pa
import ray

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Universe
from data.features.market import features_kind
from data.features.tables import component_slices, feature_table
from data.features_job import build_features
from data.intake.ingest import ingest
from data.lake import Lake
from data.lake.slices import read_slice

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # one process on this machine, for a minute

SYMBOL, WARM = "SIM01", "SIM02"


def recipe_of(symbol: str, sessions: int, events: int) -> Recipe:
    """A recipe of simulated trades of one symbol."""
    return Recipe.model_validate(
        {
            "name": symbol,
            "record": "ticks",
            "source": Part(kind="simulator", options={"sessions": sessions, "events": events}),
            "universe": Universe(name=symbol, symbols=(symbol,)),
            "features": "ticks",
            "families": ("majority",),
            "serving": {"app": None},
        }
    )


def alone(recipe: Recipe, lake: Lake) -> float:
    """Seconds to read, scan and write every session on one thread."""
    pa.set_cpu_count(1)
    started = perf_counter()
    for part in component_slices(recipe, lake)[SYMBOL]:
        table = feature_table(recipe, read_slice(lake, part, ("ts_event", "seq")), symbol=SYMBOL, market=None)
        lake.stage("scratch", SYMBOL, table, date=part.date)
    return perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--events", type=int, default=1_500_000)
    parser.add_argument("--cpus", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bellwether-sessions-") as folder:
        lake = Lake(folder)
        recipe = recipe_of(SYMBOL, asked.sessions, asked.events)
        report = ingest(recipe, lake, Path.cwd())
        rows = sum(part.rows for part in component_slices(recipe, lake)[SYMBOL])
        print(f"{rows:,} ticks of {SYMBOL} in {asked.sessions} sessions, of {report.kept:,} ingested")
        ray.init(num_cpus=asked.cpus, include_dashboard=False, object_store_memory=500_000_000, log_to_driver=False)
        build_features(recipe_of(WARM, asked.sessions, asked.events), lake)
        one = alone(recipe, lake)
        lake.commit(features_kind(recipe), [], replace=True)
        job = build_features(recipe, lake).seconds
        print(f"one thread {one:.1f} s; {asked.cpus} workers {job:.1f} s, {job / one:.2f} of it")
        ray.shutdown()


if __name__ == "__main__":
    main()
