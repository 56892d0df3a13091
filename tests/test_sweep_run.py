"""A sweep in MLflow: nested runs with parameters, scores by fold and files; opened again, nothing is in it twice."""

from __future__ import annotations

import math

import pytest
from mlflow import MlflowClient

from bellwether.registry import Ledger, Registry
from bellwether.registry.sweep_run import PARENT, TRIAL, TrialRecord


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    place = tmp_path_factory.mktemp("mlflow")
    return Registry(f"sqlite:///{place / 'mlflow.db'}", Ledger(str(place / "ledger.jsonl")))


def trial(name: str, **changes: object) -> TrialRecord:
    folds = [{"macro_f1": 0.3, "auc": math.nan}, {"macro_f1": 0.4, "auc": 0.6}]
    fields = {"id": name, "family": "lightgbm", "params": {"rounds": 20}, "folds": folds, "seconds": 1.5}
    return TrialRecord(**fields | changes)  # type: ignore[arg-type]


def children(registry: Registry, run: str) -> list:
    client = MlflowClient(registry.tracking_uri) if hasattr(registry, "tracking_uri") else registry._backend.client
    experiment = client.get_experiment_by_name("bellwether").experiment_id
    return client.search_runs([experiment], f"tags.`{PARENT}` = '{run}'")


def test_a_trial_is_a_nested_run_with_its_scores_by_fold(registry, tmp_path):
    run = registry.sweep_run("recipe", "one")
    run.log(trial("a", files={"trial.png": b"picture"}))
    run.end({"best": 0.35}, {"report.html": b"<html>"})
    (found,) = children(registry, run.id)
    assert found.data.params == {"family": "lightgbm", "rounds": "20"}
    assert found.data.metrics["macro_f1"] == pytest.approx(0.35)
    assert found.data.metrics["auc"] == pytest.approx(0.6)  # of the fold that has one
    assert found.info.status == "FINISHED"
    client = registry._backend.client
    history = client.get_metric_history(found.info.run_id, "fold.macro_f1")
    assert [(m.step, m.value) for m in history] == [(1, 0.3), (2, 0.4)]
    assert [f.path for f in client.list_artifacts(found.info.run_id)] == ["trial.png"]
    assert [f.path for f in client.list_artifacts(run.id)] == ["report.html"]


def test_a_failed_trial_says_why(registry):
    run = registry.sweep_run("recipe", "failing")
    run.log(trial("a", folds=[], failure="ValueError: depth"))
    (found,) = children(registry, run.id)
    assert (found.info.status, found.data.tags["failure"]) == ("FAILED", "ValueError: depth")


def test_a_trial_that_was_ended_early_is_told_from_one_that_failed(registry):
    run = registry.sweep_run("recipe", "stopping")
    run.log(trial("a", stopped="ended after 1 of 2 folds: it did worse than others of its family"))
    (found,) = children(registry, run.id)
    assert (found.info.status, found.data.tags["stopped"][:11]) == ("KILLED", "ended after")


def test_a_trial_that_failed_is_logged_anew_when_the_sweep_goes_on(registry):
    registry.sweep_run("recipe", "again").log(trial("a", folds=[], failure="ValueError: depth"))
    run = registry.sweep_run("recipe", "again")
    run.log(trial("a"))
    assert [r.info.status for r in children(registry, run.id)] == ["FINISHED"]


def test_a_sweep_that_goes_on_logs_no_trial_twice(registry):
    first = registry.sweep_run("recipe", "two")
    first.log(trial("a"))
    client = registry._backend.client
    experiment = client.get_experiment_by_name("bellwether").experiment_id
    client.create_run(experiment, tags={PARENT: first.id, TRIAL: "b"})  # its process was killed half way
    again = registry.sweep_run("recipe", "two")
    assert again.id == first.id
    for name in ("a", "b", "b"):
        again.log(trial(name))
    assert sorted(r.data.tags[TRIAL] for r in children(registry, first.id)) == ["a", "b"]
