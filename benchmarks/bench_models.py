"""What each family costs: a fit, one row natively and as served, and the size of its graph.

python -m benchmarks.bench_models [--rows 10000] [--features 17] [--repeats 300]

Parameters are the middle of each family's space. Native and served figures are medians over the same row, in turns, in
one process on one thread; they must agree to 1e-5 on all rows before anything is printed.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when the libraries are imported
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import argparse
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from optuna import create_study, logging
from optuna.samplers import RandomSampler
from optuna.trial import FixedTrial

from bellwether.actions import ACTIONS
from bellwether.models import family, family_names
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import Fitted, Floats, Ints
from bellwether.models.predictor import Predictor

TURN = 20


def market(rows: int, features: int) -> tuple[Floats, Ints]:
    """Noise of which the first column explains a tenth of the outcome; five equal classes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, features))
    outcome = np.sqrt(0.1) * x[:, 0] + np.sqrt(0.9) * rng.normal(size=rows)
    return x, np.digitize(outcome, [-0.842, -0.253, 0.253, 0.842])


def middle(name: str) -> dict[str, Any]:
    """The middle of a family's space: of each range on its own scale, the first of each choice."""
    logging.set_verbosity(logging.WARNING)
    trial = create_study(sampler=RandomSampler(seed=0)).ask()
    family(name).space(trial)
    chosen = {}
    for key, found in trial.distributions.items():
        if hasattr(found, "choices"):
            chosen[key] = found.choices[0]
            continue
        mean = np.sqrt(found.low * found.high) if found.log else (found.low + found.high) / 2
        chosen[key] = mean if isinstance(found.low, float) else int(mean) // (found.step or 1) * (found.step or 1)
    return family(name).space(FixedTrial(chosen))  # a FixedTrial is drawn from like a Trial


def served(model: Fitted, features: int) -> tuple[Predictor, int]:
    """The model behind onnxruntime, and the bytes of its graph."""
    graph, now = model.graph(), datetime.now(UTC)
    contract = Contract(
        recipe="bench", universe="bench", symbols=("A",), interval="1h", family="bench", params={}, seed=0,
        feature_set="bench", features=tuple(f"f{i}" for i in range(features)), definition="bench", warmup=1,
        target="action_5", horizon=1, overnight="keep", classes=ACTIONS, edges=(-2.0, -1.0, 1.0, 2.0), buy=0.5,
        sell=-0.5, train_start=now, train_end=now, train_rows=1, metrics={}, baselines={}, verdict={}, versions={},
        sha256=hashlib.sha256(graph).hexdigest(), created_at=now,
    )  # fmt: skip
    return Predictor(Artefact(content=graph, contract=contract)), len(graph)


def p50(calls: tuple[Callable[[], object], ...], repeats: int) -> tuple[float, ...]:
    """Median microseconds of each call, in turns of `TURN`, so that a busy machine slows them alike."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats // TURN):
        for call, times in zip(calls, taken, strict=True):
            for _ in range(TURN):
                started = perf_counter()
                call()
                times.append(perf_counter() - started)
    return tuple(1e6 * median(times) for times in taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=17)
    parser.add_argument("--repeats", type=int, default=300)
    given = parser.parse_args()
    x, y = market(given.rows, given.features)
    print(f"{'family':<14} {'fit s':>6} {'native µs':>10} {'served µs':>10} {'ratio':>6} {'kB':>6} {'difference':>11}")
    for name in family_names():
        params, kind = middle(name), family(name)
        started = perf_counter()
        model = kind.fit(x, y, params, len(ACTIONS), 0)
        fit_s = perf_counter() - started
        predictor, size = served(model, given.features)
        difference = float(np.abs(predictor.predict(x) - model.predict(x)).max())
        assert difference < 1e-5, f"{name}: served and native differ by {difference}"
        native, fast = p50((partial(model.predict, x[:1]), partial(predictor.predict, x[:1])), given.repeats)
        print(
            f"{name:<14} {fit_s:>6.2f} {native:>10.1f} {fast:>10.1f} {native / fast:>6.0f} "
            f"{size / 1000:>6.0f} {difference:>11.1e}"
        )


if __name__ == "__main__":
    main()
