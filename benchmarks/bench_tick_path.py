"""What one new trade costs a replica of the app of trades, without HTTP: features and seven models.

python -m benchmarks.bench_tick_path [--trades 3000] [--family lightgbm]

Whole and parts are timed in one loop, a trade after the other, so that a busy machine slows them alike. The last lines
say what it costs to have the trade on the disk first, which is why that is asked for by ``durable``.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import asyncio
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bellwether.trading_time import iso
from benchmarks.tick_installation import SECOND, VARIANTS, install_ticks
from data.intake.append import Stream, append
from data.lake import Lake
from data.records import record_kind
from serve_apps.models.routes import Route, to_config
from serve_apps.models.served import Served
from serve_apps.prediction_log import PredictionLog
from serve_apps.stores import Stores
from serve_apps.tick.engine import APP, Engine
from serve_apps.tick.models import recipes_by_model
from serve_apps.tick.schemas import PostedTick, TickData, raw
from serve_apps.tick.tape import FollowedTape, Tape
from serve_apps.web.bodies import dumps

SYMBOL, WARM, WRITES = "S000", 200, 200

Seconds = dict[str, list[float]]


def engine_of(home: Path, by: str) -> Engine:
    """A replica's engine on a fresh installation, with models of one family."""
    made = install_ticks(home, by=by)
    stores = Stores(lake=made.lake, tracking_uri=made.tracking_uri, ledger=made.ledger)
    recipes, lake = recipes_by_model(made.load()), stores.open_lake()
    served = Served(stores.open_registry, lambda name, contract: None)
    asyncio.run(served.take(to_config({recipe.name: Route(version=1) for recipe in recipes.values()})))
    names = {model: recipe.name for model, recipe in recipes.items()}
    tape = FollowedTape(Tape(made.load(), lake, 1))
    return Engine(made.load(), names, served, tape, log=PredictionLog(lake, APP).add)


def trade(ts: int, rng: np.random.Generator) -> TickData:
    """One more trade, as a request brings it."""
    cents = 10_000 + int(rng.integers(-50, 50))
    facts = {"price": cents / 100, "volume": 100.0, "bid": (cents - 1) / 100, "ask": (cents + 1) / 100}
    return TickData(ts_event=iso(ts), **facts)  # type: ignore[arg-type]  # as text, as a client sends it


def run(engine: Engine, trades: int) -> Seconds:
    """Seconds of the whole path and of its parts, for each trade."""
    rng, every = np.random.default_rng(0), list(engine._names)
    ts, took = engine.live(SYMBOL).key[0], defaultdict(list)
    for k in range(trades + WARM):
        ts += SECOND
        data = trade(ts, rng)
        marks = [time.perf_counter()]
        engine.advance(SYMBOL, data)
        marks.append(time.perf_counter())
        said = engine.predict(SYMBOL, every)
        marks.append(time.perf_counter())
        dumps(said)
        marks.append(time.perf_counter())
        engine.predict(SYMBOL, every[:1])
        marks.append(time.perf_counter())
        if k >= WARM:
            took["features and seven models"].append(marks[2] - marks[0])
            for name, n in (("features", 0), ("seven models", 1), ("their JSON", 2), ("one model", 3)):
                took[f"  {name}"].append(marks[n + 1] - marks[n])
    return took


def written(engine: Engine, home: Path) -> list[float]:
    """Seconds of putting one trade on the disk, a part of its day each."""
    lake, recipe, rng, took = Lake(str(home / "trades" / "lake")), engine.recipe, np.random.default_rng(1), []
    stream = Stream(record=record_kind("ticks"), kind="ticks", session=recipe.session, identity="bench")
    ts = engine.live(SYMBOL).key[0]
    for k in range(WRITES):
        data = trade(ts + (k + 1) * SECOND, rng)
        row = PostedTick.model_construct(symbol=SYMBOL, ts_recv=None, **dict(data))
        started = time.perf_counter()
        append(stream, lake, raw([row]), engine.now())
        took.append(time.perf_counter() - started)
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=3_000)
    parser.add_argument("--family", default="lightgbm", help="of all seven models")
    given = parser.parse_args()
    with TemporaryDirectory() as home:
        engine = engine_of(Path(home), given.family)
        took = run(engine, given.trades)
        took["on the disk first"] = written(engine, Path(home))
    print(f"{given.trades:,} trades, {1 + len(VARIANTS)} models of {given.family}; µs\n{'':30}{'p50':>10}{'p99':>10}")
    for name, seconds in took.items():
        p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1e6
        print(f"{name:30}{p50:10,.0f}{p99:10,.0f}")


if __name__ == "__main__":
    main()
