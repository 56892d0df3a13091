"""The sweep: every family gets its turn, labels see training rows only, and a killed driver loses nothing.

Run as a script (see `beside`), this file is another driver.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from optuna import create_study
from optuna.samplers import RandomSampler
from ray import cloudpickle
from ray.tune import with_parameters

from bellwether import models
from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Universe, Validation
from bellwether.errors import ConfigError
from bellwether.models.base import Family, Task
from data.panel import Panel
from tune import problem as problem_module
from tune import space as space_module
from tune.problem import Problem, pose
from tune.score import score_fold
from tune.space import Space
from tune.sweep import run_baseline, sweep
from tune.trial import FoldTrial, TrialResult

HOUR = 3_600_000_000_000
SYMBOLS = ("A", "B", "C")
BASELINES = {"majority", "stratified", "persistence"}


def panel(signal: float = 0.5, times: int = 150, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    ts = np.repeat(np.arange(1, times + 1) * HOUR, len(SYMBOLS))
    x = rng.normal(size=(len(ts), 4))
    noise = rng.normal(size=len(ts))
    return Panel(
        x=x,
        outcome=0.01 * (np.sqrt(signal) * x[:, 0] + np.sqrt(1 - signal) * noise),
        value=np.ones(len(ts)),
        ts=ts,
        t1=ts + HOUR,
        who=np.tile(np.arange(len(SYMBOLS)), times),
        symbols=SYMBOLS,
        features=("a", "b", "c", "d"),
        definition="test",
        warmup=20,
    )


def recipe(*families: str, trials: int = 4, budget: float | None = None, concurrent: int = 2) -> Recipe:
    return Recipe(
        name="test",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=SYMBOLS, index="X", weights=Part(kind="plain")),
        families=families,
        search=Search(trials=trials, seed=3, time_budget_s=budget, concurrent=concurrent),
        validation=Validation(folds=3),
    )


# --- a family for the tests: slow on purpose, and it writes down every fit -----------------------------------------


class Flat:
    """Predicts the same for all rows; the sweep asks no more of a model."""

    def predict(self, x):
        return np.tile([0.1, 0.1, 0.6, 0.1, 0.1], (len(x), 1))

    def graph(self) -> bytes:
        return b""


def fit_slowly(log: str, wait: float, training, params) -> Flat:
    with Path(log).open("a") as lines:
        lines.write(f"{params['knob']!r} {len(training.x)}\n")
    if params["knob"] > 1.0:
        raise ValueError("the knob is turned too far")
    time.sleep(wait)
    return Flat()


def turn(low: float, high: float, trial: Any, task: Task) -> dict[str, float]:
    return {"knob": trial.suggest_float("slow.knob", low, high)}


def with_slow(known: Callable[[str], Family], log: Path, *, wait: float = 0.0, knob=(0.0, 1.0)) -> Callable:
    slow = Family(
        name="slow",
        tasks=frozenset({Task.CLASSIFY}),
        space=partial(turn, *knob),
        fit=partial(fit_slowly, str(log), wait),
        defaults={"knob": (knob[0] + knob[1]) / 2},
    )
    return lambda name: slow if name == "slow" else known(name)


@pytest.fixture
def add_slow(monkeypatch):
    """Puts the family into the table the sweep looks at, and lets workers have its code."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])

    def add(log: Path, **more) -> None:
        for module in (problem_module, space_module):
            monkeypatch.setattr(module, "family", with_slow(models.family, log, **more))

    yield add
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


# --- the problem ---------------------------------------------------------------------------------------------------


def test_labels_of_a_fold_are_cut_at_the_edges_of_its_training_outcomes():
    before = panel()
    first = pose(recipe("logistic"), before).folds[0]
    shocked = before.outcome.copy()
    later = np.setdiff1d(np.arange(len(shocked)), first.train)
    shocked[later] *= 50.0
    after = pose(recipe("logistic"), replace(before, outcome=shocked)).folds[0]
    np.testing.assert_array_equal(after.labels[first.train], first.labels[first.train])
    assert (after.labels[first.test] != first.labels[first.test]).any()
    shares = np.bincount(first.labels[first.train], minlength=5) / len(first.train)
    assert shares[2] == pytest.approx(0.4, abs=0.02)
    assert shares[[0, 4]].sum() == pytest.approx(0.2, abs=0.02)


def test_baselines_are_run_whether_the_recipe_names_them_or_not():
    posed = pose(recipe("logistic"), panel())
    assert posed.searched == ("logistic",)
    assert set(posed.baselines) == BASELINES == set(pose(recipe("majority"), panel()).baselines)


def test_the_stratified_baseline_draws_its_labels():
    posed = pose(recipe("logistic"), panel(times=400))
    majority, stratified = run_baseline(posed, "majority"), run_baseline(posed, "stratified")
    assert majority.baseline
    assert stratified.baseline
    assert np.mean(stratified.scores("macro_f1")) > np.mean(majority.scores("macro_f1")) + 0.03
    assert stratified.scores("macro_f1") == run_baseline(posed, "stratified").scores("macro_f1")


# --- one trial -----------------------------------------------------------------------------------------------------


@pytest.fixture
def posed(monkeypatch, tmp_path_factory) -> Problem:
    """A problem for trials made by hand; a trial without Tune around it would put its directory into the home."""
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path_factory.mktemp("trials")))
    return pose(recipe("logistic"), panel())


def drawn(seed: int) -> dict[str, Any]:
    return Space(("logistic",), Task.CLASSIFY)(create_study(sampler=RandomSampler(seed=seed)).ask())


def walked(trial: FoldTrial, steps: int) -> dict[str, Any]:
    return [trial.step() for _ in range(steps)][-1]


def test_a_trial_walks_one_fold_a_step_and_reports_the_mean(posed):
    trial = with_parameters(FoldTrial, problem=posed)(config=drawn(0))
    reports = [trial.step() for _ in range(3)]
    assert [r["done"] for r in reports] == [False, False, True]
    each = [score_fold(posed, "logistic", drawn(0)["params"], fold).metrics["macro_f1"] for fold in range(3)]
    assert [r["score"] for r in reports] == pytest.approx([each[0], np.mean(each[:2]), np.mean(each)])


def test_a_checkpoint_goes_on_where_it_was_taken(posed, tmp_path):
    kind = with_parameters(FoldTrial, problem=posed)
    straight, broken, resumed = (kind(config=drawn(0)) for _ in range(3))
    walked(broken, 2)
    broken.save_checkpoint(str(tmp_path))
    resumed.load_checkpoint(str(tmp_path))
    assert [p.suffix for p in tmp_path.iterdir()] == [".json"]
    assert walked(resumed, 1)["score"] == walked(straight, 3)["score"]


def test_a_reused_actor_keeps_nothing_of_the_last_trial(posed):
    kind = with_parameters(FoldTrial, problem=posed)
    reused, fresh = kind(config=drawn(0)), kind(config=drawn(1))
    walked(reused, 2)
    assert reused.reset_config(drawn(1))
    assert walked(reused, 3)["score"] == walked(fresh, 3)["score"]


# --- the sweep on Ray ----------------------------------------------------------------------------------------------


@pytest.mark.ray
def test_workers_read_the_panel_in_place(ray_cluster, posed):
    @ray.remote
    def inside(shared) -> tuple[bool, bool]:
        return shared.inputs.x.flags.owndata, shared.inputs.x.flags.writeable

    assert ray.get(inside.remote(ray.put(posed))) == (False, False)


def homes() -> set[Path]:
    """What Ray and Tune put into the home directory if they are not told otherwise."""
    return {*Path.home().glob("ray_results/*"), *Path.home().glob(".ray/*")}


@pytest.mark.ray
def test_a_sweep_returns_every_family_scored_as_in_this_process(ray_cluster, tmp_path, capfd):
    wanted = recipe("logistic", "extra_trees", "majority", trials=8)
    told: list[tuple[int, int, TrialResult | None]] = []
    home_before = homes()
    trials = sweep(wanted, panel(), storage=str(tmp_path), run_id="one", progress=lambda *news: told.append(news))

    assert Counter(t.baseline for t in trials) == {True: 3, False: 8}
    assert min(Counter(t.family for t in trials if not t.baseline).values()) >= 2  # half of eight trials, in turn
    posed = pose(wanted, panel())
    for trial in trials:
        assert trial.error is None
        local = [score_fold(posed, trial.family, trial.params, fold) for fold in range(3)]
        for metric in ("macro_f1", "accuracy", "log_loss"):
            assert trial.scores(metric) == pytest.approx([s.metrics[metric] for s in local])

    assert [done for done, _, _ in told] == list(range(12))
    assert {total for _, total, _ in told} == {11}
    assert told[0][2] is None
    assert {t.family for _, _, t in told[1:]} == {t.family for t in trials}
    assert homes() == home_before
    assert capfd.readouterr() == ("", "")

    with pytest.raises(ConfigError, match=r"there is a run at .*/one already"):
        sweep(wanted, panel(), storage=str(tmp_path), run_id="one")

    longer, other = recipe("logistic", "extra_trees", "majority", trials=9), panel(seed=1)
    for changed, rows in ((longer, panel()), (wanted, other)):
        with pytest.raises(ConfigError, match="other families, options, gate, symbols or rows"):
            sweep(changed, rows, storage=str(tmp_path), run_id="one", resume=True)


@pytest.mark.ray
def test_a_failing_trial_is_recorded_and_the_others_go_on(ray_cluster, tmp_path, add_slow):
    add_slow(tmp_path / "fits", knob=(1.5, 2.0))
    told: list[TrialResult] = []
    trials = sweep(
        recipe("slow", "logistic", trials=3),
        panel(),
        storage=str(tmp_path),
        run_id="one",
        progress=lambda done, total, trial: told.append(trial) if trial else None,
    )
    assert {t.id for t in trials} == {t.id for t in told}  # a trial has one name, if it failed before its first report
    assert len({t.id for t in trials}) == len(trials)
    failed = [t for t in trials if t.error is not None]
    assert {t.family for t in failed} == {"slow"}
    assert failed[0].error == "ValueError: the knob is turned too far"
    assert failed[0].folds == ()
    assert any(t.family == "logistic" and t.error is None for t in trials)


@pytest.mark.ray
def test_the_time_budget_ends_a_sweep_and_says_so(ray_cluster, tmp_path, add_slow):
    add_slow(tmp_path / "fits", wait=0.4)
    wanted = recipe("slow", trials=500, budget=4.0)
    started = time.monotonic()
    trials = sweep(wanted, panel(), storage=str(tmp_path), run_id="one")
    assert time.monotonic() - started < 30.0
    assert 0 < len(trials) < 500
    for trial in trials:
        assert trial.error is None
        assert trial.complete == (len(trial.folds) == 3)
        assert trial.complete or trial.stopped.endswith("there was no more time")


def snapshot_of(run: Path) -> int:
    """Finished trials that Tune has written down, which is what a new driver will know of."""
    states = sorted(run.glob("experiment_state-*.json"))
    try:
        return sum("TERMINATED" in entry[0] for entry in json.loads(states[-1].read_text())["trial_data"])
    except (IndexError, json.JSONDecodeError):  # not written yet, or being written
        return 0


def beside(*arguments: object) -> subprocess.Popen[bytes]:
    """Another driver: this file, run as a script."""
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.ray
@pytest.mark.chaos
def test_a_killed_driver_resumes_without_running_finished_trials_again(ray_cluster, tmp_path, add_slow):
    log, finished, wanted = tmp_path / "fits", tmp_path / "finished", recipe("slow", trials=12)
    address = ray.get_runtime_context().gcs_address
    driver = beside("slow", address, tmp_path, log, finished)
    try:
        deadline = time.monotonic() + 90
        while (known := snapshot_of(tmp_path / "one")) < 3:
            assert driver.poll() is None, "the driver ended by itself"
            assert time.monotonic() < deadline, "the driver finished no three trials in time"
            time.sleep(0.05)
    finally:
        driver.kill()
        driver.wait()
    kept = finished.read_text().split()[:known]
    assert known < 12

    add_slow(log, wait=0.25)
    told: list[int] = []
    trials = sweep(
        wanted, panel(), storage=str(tmp_path), run_id="one", resume=True, progress=lambda done, *_: told.append(done)
    )
    assert Counter(t.error for t in trials if not t.baseline) == {None: 12}
    fits = Counter(line.split()[0] for line in log.read_text().splitlines())
    assert {fits[knob] for knob in kept} == {3}  # once a fold, and never again
    assert set(kept) < {repr(t.params["knob"]) for t in trials if not t.baseline}
    assert told[-1] == 15
    assert told[4] > known  # three baselines, then trials on top of those the first driver finished


def drawn_and_scored(trials: Iterable[TrialResult]) -> list[tuple[str, dict[str, Any], tuple[float, ...]]]:
    """What does not depend on the clock."""
    return [(t.family, t.params, t.scores("macro_f1")) for t in trials]


@pytest.mark.ray
def test_two_sweeps_at_once_in_one_cluster_are_each_as_if_alone(ray_cluster, tmp_path):
    """Trials come one at a time, so that nothing but the seed decides what is drawn next."""
    wanted, before = recipe("logistic", "extra_trees", trials=6, concurrent=1), dict(os.environ)
    other = beside("sweep", ray.get_runtime_context().gcs_address, tmp_path)
    try:
        here = sweep(wanted, panel(), storage=str(tmp_path), run_id="here")
        alongside = other.poll() is None  # it takes its time to start
        assert other.wait(timeout=120) == 0
    finally:
        other.kill()
        other.wait()
    assert alongside
    assert dict(os.environ) == before
    assert {path.name for path in tmp_path.iterdir()} == {"here", "there", "there.json"}
    there = json.loads((tmp_path / "there.json").read_text())
    alone = sweep(wanted, panel(), storage=str(tmp_path), run_id="alone")
    assert drawn_and_scored(here) == drawn_and_scored(alone)
    assert there == json.loads(json.dumps(drawn_and_scored(alone)))


@pytest.mark.ray
def test_wrong_use_is_refused_before_anything_runs(ray_cluster, tmp_path):
    with pytest.raises(ConfigError, match="storage is 'runs'"):
        sweep(recipe("logistic"), panel(), storage="runs", run_id="one")
    with pytest.raises(ConfigError, match="run_id is 'a/b'"):
        sweep(recipe("logistic"), panel(), storage=str(tmp_path), run_id="a/b")
    with pytest.raises(ConfigError, match=r"no run to resume at .*/one"):
        sweep(recipe("logistic"), panel(), storage=str(tmp_path), run_id="one", resume=True)
    with pytest.raises(ConfigError, match="too few"):
        sweep(recipe("logistic"), panel(times=6), storage=str(tmp_path), run_id="one")
    assert not list(tmp_path.iterdir())


def drive(address: str, storage: str, log: str, finished: str) -> None:
    """What the killed driver runs: the sweep, writing down each trial it is told of."""
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    for module in (problem_module, space_module):
        module.family = with_slow(models.family, Path(log), wait=0.25)

    def note(done: int, total: int, trial: TrialResult | None) -> None:
        if trial is not None and not trial.baseline:
            with Path(finished).open("a") as lines:
                lines.write(f"{trial.params['knob']!r}\n")

    sweep(recipe("slow", trials=12), panel(), storage=storage, run_id="one", progress=note)


def drive_beside(address: str, storage: str) -> None:
    """What the second of two drivers runs; it writes down what it found."""
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    wanted = recipe("logistic", "extra_trees", trials=6, concurrent=1)
    trials = sweep(wanted, panel(), storage=storage, run_id="there")
    Path(storage, "there.json").write_text(json.dumps(drawn_and_scored(trials)))


if __name__ == "__main__":
    {"slow": drive, "sweep": drive_beside}[sys.argv[1]](*sys.argv[2:])
