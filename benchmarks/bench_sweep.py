"""What Tune adds to the fits of a sweep, and what a second worker is worth.

python -m benchmarks.bench_sweep [--trials 40] [--seconds 2] [--workers 2] [--wait]

Every trial takes the same stated CPU time. Sweeps and plain Optuna, which runs the same trials one after another in
this process, take turns; times are from the first trial's start to the last one's end, so that starting Ray is told
apart. ``ideal`` is trials x seconds / workers. CPU that others on the machine take shows in all of them; with
``--wait`` the fits sleep instead, and only what Tune adds is left.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from time import perf_counter

import numpy as np
from optuna import create_study, logging
from optuna.samplers import TPESampler
from optuna.trial import Trial

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Universe, Validation
from bellwether.models import FAMILIES
from benchmarks.steady import NAME, PLACE
from cluster.local import local_ray
from data.panel import Panel
from tune.problem import Problem, pose
from tune.score import score_fold
from tune.sweep import sweep
from tune.trial import TrialResult

HOUR = 3_600_000_000_000
FOLDS = 4


def panel(rows: int = 20_000, features: int = 20) -> Panel:
    """Rows of noise, an hour apart."""
    rng = np.random.default_rng(0)
    ts = np.arange(1, rows + 1) * HOUR
    return Panel(
        x=rng.normal(size=(rows, features)),
        outcome=rng.normal(size=rows),
        value=np.ones(rows),
        ts=ts,
        t1=ts + HOUR,
        who=np.zeros(rows, np.int64),
        symbols=("A",),
        features=tuple(f"f{k}" for k in range(features)),
        definition="bench",
        warmup=1,
    )


def recipe(trials: int, workers: int) -> Recipe:
    """A recipe of one family with so many trials on so many workers."""
    return Recipe(
        name="bench",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=("A",), index="X", weights=Part(kind="simulator")),
        families=(NAME,),
        search=Search(trials=trials, concurrent=workers, stop=False),
        validation=Validation(folds=FOLDS),
    )


def swept(wanted: Recipe, on: Panel) -> tuple[float, float]:
    """Seconds of a sweep: all of it, and between the first trial's start and the last one's end."""
    ended: list[float] = []

    def note(done: int, total: int, trial: TrialResult | None) -> None:
        if trial is not None and not trial.baseline:
            ended.append(perf_counter())

    with tempfile.TemporaryDirectory() as place:
        started = perf_counter()
        trials = sweep(wanted, on, storage=place, run_id="bench", progress=note)
        whole = perf_counter() - started
    assert all(trial.complete for trial in trials)
    first = next(trial.seconds for trial in trials if not trial.baseline)
    return whole, ended[-1] - ended[0] + first


def one_by_one(problem: Problem, trials: int) -> float:
    """Seconds of the same trials under plain Optuna."""

    def objective(trial: Trial) -> float:
        params = problem.families[NAME].space(trial, problem.task)
        return float(np.mean([score_fold(problem, NAME, params, k).metrics["macro_f1"] for k in range(FOLDS)]))

    logging.set_verbosity(logging.WARNING)
    started = perf_counter()
    create_study(direction="maximize", sampler=TPESampler(seed=0)).optimize(objective, n_trials=trials)
    return perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU seconds of a trial, over all its folds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--wait", action="store_true", help="fits sleep instead of keeping a CPU busy")
    given = parser.parse_args()
    os.environ["STEADY_WAITS"] = str(int(given.wait))
    FAMILIES[NAME] = PLACE  # type: ignore[index]  # the table is read-only to others
    os.environ["STEADY_SECONDS"] = str(given.seconds / FOLDS)
    on, wanted = panel(), recipe(given.trials, given.workers)
    ideal = given.trials * given.seconds / given.workers
    with local_ray(num_cpus=given.workers):
        half = one_by_one(pose(wanted, on), given.trials // 2)
        whole, running = swept(wanted, on)
        plain = half + one_by_one(pose(wanted, on), given.trials - given.trials // 2)
    print(f"{given.trials} trials of {given.seconds:g} s, {given.workers} workers: ideal {ideal:.1f} s")
    print(f"  sweep after start-up   {running:7.1f} s   {running / ideal:5.2f} x ideal")
    print(f"  sweep, start-up too    {whole:7.1f} s   {whole / ideal:5.2f} x ideal")
    print(f"  plain Optuna, one core {plain:7.1f} s   the sweep is {plain / running:4.2f} x as fast")


if __name__ == "__main__":
    main()
