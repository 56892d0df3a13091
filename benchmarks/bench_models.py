"""What each family costs: a fit, one row natively and as served, and the size of what is served.

python -m benchmarks.bench_models [--rows 10000] [--features 17] [--repeats 300] [--families gru,lightgbm]

Parameters are the defaults. Native and served figures are medians over the same row, in turns, in one process on one
thread; "difference" is the largest between the two over all rows, in units of the values' spread. A family is marked
where it takes more than 100 µs served, or differs by more than 1e-5.
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

import numpy as np

from bellwether.actions import ACTIONS
from bellwether.models import family, family_names
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import Bundled, Family, Fitted, Floats, Ranged, Reads, Task, Training
from bellwether.models.predictor import Predictor
from bellwether.models.training import plain

TURN = 20
SLOW, APART = 100.0, 1e-5
SIZE = 1e-3
"""Standard deviation of a value: of the order of a minute's return."""

CUTS = (-0.842, -0.253, 0.253, 0.842)


def market(kind: Family, task: Task, rows: int, features: int) -> Training:
    """A tenth of the outcome can be foreseen, from what the family reads; five equal classes, or values."""
    rng, lookback = np.random.default_rng(0), kind.standard(task).get("lookback", 1)
    names = kind.needs or tuple(f"f{k}" for k in range(features))
    if kind.reads is Reads.FEATURES:
        x, outcome = featured(rng, rows, lookback, len(names))
        x = np.exp(x) if kind.needs else x  # amounts, which are positive
    elif kind.reads is Reads.PRICES:
        names = ("who", "a", "b")
        x, outcome = priced(rng, rows)
    else:
        names = ("outcome",)
        x, outcome = followed(rng, rows, lookback)
        x = np.digitize(x, CUTS).astype(float) if kind.reads is Reads.LABELS else SIZE * x
    y = np.digitize(outcome, CUTS) if task is Task.CLASSIFY else SIZE * outcome
    return plain(x, y, classes=len(ACTIONS) * (task is Task.CLASSIFY), lookback=lookback, names=names)


def featured(rng: np.random.Generator, rows: int, lookback: int, width: int) -> tuple[Floats, Floats]:
    """Noise, whose first column drives the outcome; ``lookback`` rows at once."""
    x = rng.normal(size=(rows, width))
    back = np.maximum(np.arange(rows)[:, None] + np.arange(1 - lookback, 1), 0)
    return x[back].reshape(rows, -1), np.sqrt(0.1) * x[:, 0] + np.sqrt(0.9) * rng.normal(size=rows)


def followed(rng: np.random.Generator, rows: int, lookback: int) -> tuple[Floats, Floats]:
    """The outcomes before each, of a series in which a tenth of the variance comes from the one before."""
    series = rng.normal(size=rows + lookback)
    for k in range(1, len(series)):
        series[k] = np.sqrt(0.1) * series[k - 1] + np.sqrt(0.9) * series[k]
    return np.lib.stride_tricks.sliding_window_view(series, lookback)[:rows].copy(), series[lookback:]


def priced(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """Two prices, the first of which returns to the second."""
    leader, gap = np.cumsum(SIZE * rng.normal(size=rows + 1)), SIZE * rng.normal(size=rows + 1)
    for k in range(rows):
        gap[k + 1] += 0.9 * gap[k]
    moved = np.diff(leader + gap)
    return np.column_stack([np.zeros(rows), 3 + (leader + gap)[:-1], 4 + leader[:-1]]), moved / moved.std()


def served(kind: Family, model: Fitted, rows: Training) -> tuple[Predictor, int]:
    """The model as a server has it, and its bytes."""
    bundled, now = isinstance(model, Bundled), datetime.now(UTC)
    content = model.bundle().serialise() if isinstance(model, Bundled) else model.graph()
    contract = Contract(
        recipe="bench", universe="bench", symbols=("A",), interval="1h", family=kind.name, params={}, seed=0,
        format="bundle" if bundled else "onnx", lookback=rows.lookback, feature_set="bench", features=rows.names,
        reads=kind.reads.value, definition="bench", warmup=1, target="bench", horizon=1, overnight="keep",
        classes=ACTIONS if rows.classes else (), edges=(-2.0, -1.0, 1.0, 2.0), buy=0.5, sell=-0.5, train_start=now,
        train_end=now, train_rows=1, metrics={}, baselines={}, verdict={}, versions={},
        ranged=isinstance(model, Ranged), sha256=hashlib.sha256(content).hexdigest(), created_at=now,
    )  # fmt: skip
    return Predictor(Artefact(content=content, contract=contract)), len(content)


def p50(calls: tuple[Callable[[], object], ...], repeats: int) -> tuple[float, ...]:
    """Median microseconds of each call, in turns of `TURN`, so that a busy machine slows them alike."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(max(1, repeats // TURN)):
        for call, times in zip(calls, taken, strict=True):
            for _ in range(TURN):
                started = perf_counter()
                call()
                times.append(perf_counter() - started)
    return tuple(1e6 * median(times) for times in taken)


def measured(kind: Family, task: Task, rows: Training, repeats: int) -> str:
    """A line of the table."""
    started = perf_counter()
    model = kind.train(rows, kind.standard(task))
    fit_s = perf_counter() - started
    predictor, size = served(kind, model, rows)
    difference = float(np.abs(predictor.predict(rows.x) - model.predict(rows.x)).max())
    difference /= 1.0 if rows.classes else float(rows.y.std())
    native, fast = p50((partial(model.predict, rows.x[:1]), partial(predictor.predict, rows.x[:1])), repeats)
    marks = ["slow"] * (fast > SLOW) + ["apart"] * (difference > APART)
    return (
        f"{kind.name:<22} {task.value:<8} {rows.x.shape[1]:>7} {fit_s:>7.2f} {native:>9.1f} {fast:>9.1f} "
        f"{size / 1000:>7.0f} {difference:>10.1e} {' '.join(marks)}"
    ).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=17)
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--families", default=",".join(family_names()))
    given = parser.parse_args()
    titles = ("fit s", "native µs", "served µs", "kB", "difference")
    print(f"{'family':<22} {'task':<8} {'columns':>7} {titles[0]:>7} " + " ".join(f"{t:>9}" for t in titles[1:3])
          + f" {titles[3]:>7} {titles[4]:>10}")  # fmt: skip
    for kind in map(family, given.families.split(",")):
        for task in sorted(kind.tasks, key=str):
            rows = market(kind, task, given.rows, given.features)
            print(measured(kind, task, rows, given.repeats), flush=True)


if __name__ == "__main__":
    main()
