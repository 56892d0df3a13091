"""Trials that end early: behind others of their own family at the same point, and for no other reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st
from ray import cloudpickle
from ray.tune import with_parameters
from ray.tune.result import SHOULD_CHECKPOINT
from ray.tune.schedulers import TrialScheduler

from bellwether import models
from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Universe, Validation
from bellwether.models.base import Epoch, Family, Task
from data.panel import Panel
from tune import problem as problem_module
from tune import space as space_module
from tune.leaderboard import leaderboard
from tune.problem import Problem, pose
from tune.scheduler import PerFamily
from tune.sweep import sweep, trial_resources
from tune.trial import FoldTrial, TrialResult
from tune.watch import watching

HOUR = 3_600_000_000_000
EPOCHS, FOLDS = 10, 2


def panel(times: int = 120, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    ts = np.arange(1, times + 1) * HOUR
    x = rng.normal(size=(times, 2))
    return Panel(
        x=x,
        outcome=0.01 * (x[:, 0] + rng.normal(size=times)),
        value=np.ones(times),
        ts=ts,
        t1=ts + HOUR,
        who=np.zeros(times, np.int64),
        symbols=("A",),
        features=("a", "b"),
        definition="test",
        warmup=0,
    )


def recipe(*families: str, **search: Any) -> Recipe:
    return Recipe(
        name="test",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=("A",), index="X", weights=Part(kind="plain")),
        families=families,
        search=Search(**({"trials": 6, "concurrent": 1} | search)),
        validation=Validation(folds=FOLDS),
    )


# --- families for the tests: one reports a loss an epoch, its own parameter, and one reports nothing ----------------


class Flat:
    def predict(self, x):
        return np.tile([0.1, 0.1, 0.6, 0.1, 0.1], (len(x), 1))

    def graph(self) -> bytes:
        return b""


def fit_by_epoch(training, params):
    for epoch in range(1, EPOCHS + 1):
        yield Epoch(done=epoch / EPOCHS, loss=params["loss"], validation=params["loss"], rate=0.1)
    return Flat()


def fit_at_once(training, params):
    return Flat()


def paced(trial: Any, task: Task) -> dict[str, float]:
    return {"loss": trial.suggest_float("paced.loss", 0.0, 1.0)}


def silent(trial: Any, task: Task) -> dict[str, float]:
    return {"knob": trial.suggest_float("silent.knob", 0.0, 1.0)}


OURS = {
    "paced": Family(
        name="paced", tasks=frozenset({Task.CLASSIFY}), space=paced, fit=fit_by_epoch, defaults={"loss": 0.1}, gpu=0.5
    ),
    "silent": Family(
        name="silent", tasks=frozenset({Task.CLASSIFY}), space=silent, fit=fit_at_once, defaults={"knob": 0.5}
    ),
}


@pytest.fixture
def ours(monkeypatch, tmp_path) -> Iterator[None]:
    """The families are in the table, and workers have their code; trials made by hand stay out of the home."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for module in (problem_module, space_module):
        monkeypatch.setattr(module, "family", lambda name: OURS.get(name) or models.family(name))
    monkeypatch.setattr("ray.tune.trainable.trainable.DEFAULT_STORAGE_PATH", str(tmp_path))
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


# --- what a trial reports -------------------------------------------------------------------------------------------


def reports(problem: Problem, family: str, **params: float) -> list[dict[str, Any]]:
    trial, found = with_parameters(FoldTrial, problem=problem)(config={"family": family, "params": params}), []
    while not found or not found[-1]["done"]:
        found.append(trial.step())
    return found


def test_progress_rises_with_every_epoch_and_is_whole_only_once_the_last_fold_is_scored(ours):
    found = reports(pose(recipe("paced"), panel()), "paced", loss=0.3)
    progress = [report["progress"] for report in found]
    assert len(found) == FOLDS * (EPOCHS + 1)
    assert (np.diff(progress) > 0.0).all()
    assert [p == 100.0 for p in progress] == [report["done"] for report in found]
    assert progress[EPOCHS] == 50.0


def test_a_trial_that_reports_epochs_is_judged_by_its_lowest_losses(ours):
    found = reports(pose(recipe("paced"), panel()), "paced", loss=0.3)
    assert [report["merit"] for report in found] == pytest.approx([-0.3] * len(found))
    assert all(report["reports"] for report in found)
    silent = reports(pose(recipe("silent"), panel()), "silent", knob=0.3)
    assert [report["merit"] for report in silent] == [report["score"] for report in silent]
    assert not any(report["reports"] for report in silent)


def test_a_checkpoint_is_asked_for_where_a_fold_is_done_and_another_comes(ours):
    found = reports(pose(recipe("paced"), panel()), "paced", loss=0.3)
    assert [k for k, report in enumerate(found) if report[SHOULD_CHECKPOINT]] == [EPOCHS]


@pytest.mark.parametrize(("metric", "sign"), [("macro_f1", 1.0), ("log_loss", -1.0)])
def test_of_what_the_sampler_is_told_the_greater_is_the_better(ours, metric, sign):
    *_, last = reports(pose(recipe("silent", metric=metric), panel()), "silent", knob=0.3)
    assert last["score"] == pytest.approx(sign * np.mean([s["metrics"][metric] for s in last["scores"]]))


def test_a_score_that_is_not_defined_is_the_worst_there_is(ours):
    """Nothing is known of one symbol's correlation across symbols, from timestamp to timestamp."""
    posed = pose(recipe("silent", metric="icir"), panel())
    *_, last = reports(posed, "silent", knob=0.3)
    assert all(np.isnan(s["metrics"]["icir"]) for s in last["scores"])
    assert last["score"] == -np.inf


# --- who is ended ---------------------------------------------------------------------------------------------------


def result(progress: float, merit: float, reporting: bool = True) -> dict[str, Any]:
    return {"progress": progress, "merit": merit, "reports": reporting, "done": progress >= 100.0}


def raced(rivals: dict[str, tuple[str, float, bool]], **params: dict[str, Any]) -> dict[str, float]:
    """Where trials end, in percent, one after the other; given by name as family, merit and whether it reports."""
    scheduler, reached = PerFamily(), {}
    with watching(None, total=0, folds=FOLDS) as watch:
        for name, (family, merit, reporting) in rivals.items():
            trial = SimpleNamespace(trial_id=name, config={"family": family, "params": params.get(name, {})})
            scheduler.on_trial_add(None, trial)
            for progress in np.linspace(5.0, 100.0, 20):
                reached[name], last = progress, result(progress, merit, reporting)
                stopped = scheduler.on_trial_result(None, trial, last) == TrialScheduler.STOP
                assert stopped == (name in watch.behind) or last["done"]
                if stopped:
                    break
            scheduler.on_trial_complete(None, trial, last)
    return reached


def test_a_trial_behind_others_of_its_family_is_ended_at_the_first_look():
    assert raced({"a": ("net", -0.2, True), "b": ("net", -0.5, True)}) == {"a": 100.0, "b": 15.0}


@pytest.mark.parametrize(("key", "one", "other"), [("balanced", True, False), ("loss", "squared", "huber")])
def test_losses_that_measure_something_else_are_not_compared(key, one, other):
    rivals = {"a": ("net", -0.2, True), "b": ("net", -0.5, True), "c": ("net", -0.6, True)}
    assert raced(rivals, a={key: one}, b={key: other}, c={key: other}) == {"a": 100.0, "b": 100.0, "c": 15.0}


def test_the_only_trial_of_its_family_runs_to_its_end():
    assert raced({"a": ("net", -0.2, True), "b": ("other", -9.0, True)}) == {"a": 100.0, "b": 100.0}


def test_a_family_that_reports_nothing_is_never_ended():
    assert raced({"a": ("tree", 0.4, False), "b": ("tree", 0.1, False)}) == {"a": 100.0, "b": 100.0}


def test_a_loss_that_is_no_number_neither_ends_a_trial_nor_others():
    lost = raced({"a": ("net", np.nan, True), "b": ("net", -0.2, True), "c": ("net", -0.5, True)})
    assert lost == {"a": 100.0, "b": 100.0, "c": 15.0}


RIVALS = st.lists(
    st.tuples(st.sampled_from(["net", "other"]), st.floats(-9.0, 9.0), st.just(True)), min_size=1, max_size=12
)


@given(RIVALS)
@settings(max_examples=50)
def test_the_best_of_a_family_always_reaches_its_end(rivals):
    reached = raced({str(k): rival for k, rival in enumerate(rivals)})
    for family in ("net", "other"):
        merits = {str(k): merit for k, (of, merit, _) in enumerate(rivals) if of == family}
        assert all(reached[k] == 100.0 for k, merit in merits.items() if merit == max(merits.values()))


@given(RIVALS)
@settings(max_examples=50)
def test_what_becomes_of_a_family_does_not_depend_on_the_others(rivals):
    together = {str(k): rival for k, rival in enumerate(rivals)}
    alone = {name: rival for name, rival in together.items() if rival[0] == "net"}
    assert raced(alone) == {name: reached for name, reached in raced(together).items() if name in alone}


# --- on Ray ---------------------------------------------------------------------------------------------------------


def known(trials: tuple[TrialResult, ...]) -> dict[str, str]:
    """Of each trial why it was ended and its scores, which may be NaN."""
    return {t.id: repr((t.stopped, t.folds)) for t in trials if not t.baseline}


@pytest.mark.ray
def test_a_sweep_ends_those_behind_tells_them_from_failures_and_never_crowns_one(ray_cluster, tmp_path, ours):
    """The first trial of ``paced`` has the lowest loss there is likely to be, so others end at their first look."""
    wanted = recipe("paced", "silent", trials=8)
    trials = sweep(wanted, panel(), storage=str(tmp_path), run_id="one")
    by_family = {name: [t for t in trials if t.family == name] for name in ("paced", "silent")}
    ended = [t for t in by_family["paced"] if not t.complete]
    assert ended
    assert min(by_family["paced"], key=lambda t: t.params["loss"]).complete
    assert all(t.params["loss"] > 0.1 and t.error is None for t in ended)
    assert {t.stopped for t in ended} == {f"ended after 0 of {FOLDS} folds: it did worse than others of its family"}
    assert all(t.complete for t in by_family["silent"])

    (row,) = [row for row in leaderboard(trials, "macro_f1") if row.family == "paced"]
    assert (row.failed, row.stopped, row.error) == (0, len(ended), None)
    assert row.trial not in {t.id for t in ended}

    again = sweep(wanted, panel(), storage=str(tmp_path), run_id="one", resume=True)  # all is done already
    assert known(again) == known(trials)


@pytest.mark.ray
def test_without_stopping_every_trial_walks_all_folds(ray_cluster, tmp_path, ours):
    trials = sweep(recipe("paced", trials=4, stop=False), panel(), storage=str(tmp_path), run_id="one")
    assert sum(t.family == "paced" for t in trials) == 4
    assert all(t.complete for t in trials)


@pytest.mark.ray
def test_with_nothing_to_optimise_each_family_is_run_once_with_its_defaults(ray_cluster, tmp_path, ours):
    wanted = recipe("paced", "silent", "logistic", trials=50, optimize=False)
    trials = [t for t in sweep(wanted, panel(), storage=str(tmp_path), run_id="one") if not t.baseline]
    kinds = OURS | {"logistic": models.family("logistic")}
    assert {t.family: t.params for t in trials} == {name: kinds[name].standard(Task.CLASSIFY) for name in kinds}
    assert len(trials) == 3


@pytest.mark.parametrize(("there", "asked"), [({"CPU": 4.0}, None), ({"CPU": 4.0, "GPU": 1.0}, 0.5)])
def test_a_trial_asks_for_its_share_of_a_gpu_where_the_cluster_has_one(ours, monkeypatch, there, asked):
    monkeypatch.setattr(ray, "cluster_resources", lambda: there)
    resources = trial_resources(pose(recipe("paced", "silent"), panel()))
    assert resources({"family": "silent", "params": {}}).bundles == [{"CPU": 1.0}]
    assert resources({"family": "paced", "params": {}}).bundles == [{"CPU": 1.0} | ({"GPU": asked} if asked else {})]
