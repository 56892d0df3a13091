"""What a training run leaves behind: a page, a table, figures of every family, and MLflow runs, each trial once.

Run as a script (see `test_a_killed_run_that_goes_on_logs_every_trial_once`), this file is a driver.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import yaml
from ray import cloudpickle

from bellwether import models
from bellwether.config.recipe import RECIPES
from bellwether.errors import ModelError
from bellwether.models.base import Family
from bellwether.registry.sweep_run import PARENT, SWEEP, TRIAL
from data.panel import load_panel
from pipelines import train
from pipelines.holdout import untouched
from pipelines.workspace import Workspace
from tune import problem as problem_module
from tune import space as space_module
from tune.champion import crown
from tune.problem import pose
from tune.score import score_fold
from tune.sweep import run_baseline
from tune.trial import TrialResult

pytestmark = pytest.mark.ray

MARKET = {"seed": 11, "sessions": 70, "strength": 0.3, "stylised": False}
BASELINES = {"majority", "stratified", "persistence"}
PNG = b"\x89PNG\r\n\x1a\n"


def installed(home: Path, patch: pytest.MonkeyPatch, families: list[str], trials: int, **more: Any) -> Workspace:
    """A recipe of a small simulated market, in an installation of its own."""
    patch.setenv("BELLWETHER_HOME", str(home))
    recipe = yaml.safe_load((RECIPES / "index-hourly.yaml").read_text(encoding="utf-8"))
    recipe["source"]["options"] = recipe["universe"]["weights"]["options"] = MARKET
    recipe |= {"families": families, "search": {"trials": trials, "concurrent": 2}, "validation": {"folds": 2}} | more
    (home / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return Workspace.open(str(home / "recipe.yaml"))


@pytest.fixture(scope="module")
def trained(ray_cluster, tmp_path_factory) -> Iterator[Workspace]:
    """A workspace in which one run ended well."""
    with pytest.MonkeyPatch.context() as patch:
        made = installed(tmp_path_factory.mktemp("trained"), patch, ["logistic", "mlp"], trials=4)
        train.prepare(made)
        assert train.sweep_and_register(made) == 1
        yield made


def place(made: Workspace) -> Path:
    """Where the only run of a workspace put what it found."""
    (found,) = Path(made.settings.reports, made.recipe.name).iterdir()
    return found


# --- files ----------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Counts what a page is made of, and keeps what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] += 1
        self.links += [value for name, value in attrs if name == "src" and value]


def test_the_page_names_every_family_and_needs_nothing_from_elsewhere(trained):
    text = (place(trained) / "report.html").read_text(encoding="utf-8")
    page = Tags(text)
    assert page.count["html"] == page.count["body"] == 1
    assert page.count["table"] >= 1
    assert page.links == []
    assert all(name in text for name in {"logistic", "mlp", *BASELINES})


def test_the_table_has_one_line_a_family_best_first(trained):
    text = (place(trained) / "model_summary.csv").read_text(encoding="utf-8")
    lines = list(csv.DictReader(text.splitlines()))
    assert {line["family"] for line in lines} == {"logistic", "mlp", *BASELINES}
    assert [line["rank"] for line in lines] == [str(k) for k in range(1, 6)]
    scores = [float(line["score"]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    assert all(float(line["latency_us"]) > 0 and float(line["bytes"]) > 0 for line in lines)
    assert sum(int(line["trials"]) for line in lines if line["baseline"] == "False") == 4


def test_every_family_has_its_figures_as_json(trained):
    found = {}
    for file in (place(trained) / "results").iterdir():
        result = json.loads(file.read_text(encoding="utf-8"), parse_constant=pytest.fail)  # JSON has no NaN
        found[result["family"]] = result
        assert file.stem == result["family"]
    assert set(found) == {"logistic", "mlp", *BASELINES}
    for result in found.values():
        assert len(result["scores"]) == 2
        assert len(result["tried"]) == result["trials"]
        assert result["closeup"]["latency_us"] > 0
    assert all(score["epochs"] for score in found["mlp"]["scores"])
    assert found["logistic"]["closeup"]["permutation"]


# --- MLflow ---------------------------------------------------------------------------------------------------------


def runs(made: Workspace, query: str) -> list[Any]:
    backend = made.registry._backend
    return list(backend.client.search_runs([backend.experiment], query))


def sweep_of(made: Workspace) -> tuple[Any, list[Any]]:
    """The run of the only sweep of a workspace, and those of its trials."""
    (parent,) = runs(made, f"tags.`{SWEEP}` LIKE '%'")
    return parent, runs(made, f"tags.`{PARENT}` = '{parent.info.run_id}'")


def test_a_sweep_is_a_run_with_one_run_a_trial(trained):
    parent, children = sweep_of(trained)
    assert parent.data.tags[SWEEP] == place(trained).name
    assert Counter(
        run.data.tags["family"] for run in children if run.data.tags["family"] in BASELINES
    ) == dict.fromkeys(BASELINES, 1)
    assert len(children) == 4 + len(BASELINES)
    assert len({run.data.tags[TRIAL] for run in children}) == len(children)
    told = {run.data.tags[TRIAL]: run.data.metrics["macro_f1"] for run in children if run.info.status == "FINISHED"}
    for file in (place(trained) / "results").iterdir():
        for trial in json.loads(file.read_text(encoding="utf-8"))["tried"]:
            if trial["id"] in told:
                assert told[trial["id"]] == pytest.approx(np.mean(trial["scores"]))


def test_every_trial_has_its_picture(trained):
    client, (_, children) = trained.registry._backend.client, sweep_of(trained)
    for run in children:
        if not run.data.metrics.get("macro_f1"):
            continue  # ended before its first fold
        (file,) = client.list_artifacts(run.info.run_id)
        assert file.path == "trial.png"
        assert Path(client.download_artifacts(run.info.run_id, file.path)).read_bytes().startswith(PNG)


def test_a_sweep_that_is_over_says_so_and_has_its_page(trained):
    parent, _ = sweep_of(trained)
    assert parent.info.status == "FINISHED"
    assert {"macro_f1", "lift"} <= set(parent.data.metrics)
    client = trained.registry._backend.client
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"report.html", "model_summary.csv", "leaderboard.json"}


def test_a_run_that_fails_says_so(trained, monkeypatch):
    monkeypatch.setattr(train, "_new_run", lambda: "failing")
    monkeypatch.setattr(train, "_sweep", lambda *given, **more: ())  # no trial at all: nothing to crown
    with pytest.raises(ModelError, match="no trial finished"):
        train.sweep_and_register(trained)
    (run,) = runs(trained, f"tags.`{SWEEP}` = 'failing'")
    assert run.info.status == "FAILED"
    trained.registry._backend.client.delete_run(run.info.run_id)


# --- the untouched segment ------------------------------------------------------------------------------------------


def test_what_is_measured_again_on_the_untouched_segment_is_what_the_contract_says(trained):
    """Of a model that looks back, too: it is shown the rows it was judged on."""
    panel = load_panel(trained.recipe, trained.lake)
    problem = pose(trained.recipe, panel)
    params = problem.families["mlp"].standard(problem.task) | {"lookback": 3}
    folds = tuple(score_fold(problem, "mlp", params, k) for k in range(2))
    own = TrialResult(family="mlp", params=params, baseline=False, folds=folds, id="0")
    trials = [own, *(run_baseline(problem, name) for name in problem.baselines)]
    artefact = crown(trained.recipe, panel, trials).artefact
    assert artefact.contract.lookback == 3
    again = untouched(trained, artefact)
    y = np.digitize(again.outcome, artefact.contract.edges)
    loss = -np.log(again.probabilities[np.arange(len(y)), y]).mean()
    assert loss == pytest.approx(artefact.contract.metrics["holdout"]["scores"]["log_loss"]["value"], rel=1e-4)


# --- values ---------------------------------------------------------------------------------------------------------


def test_a_recipe_of_values_leaves_the_same_behind(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("BELLWETHER_LAKE", trained.settings.lake)
    target = {"kind": "mid_price", "horizon": 2, "options": {"steps": 2}}
    more = {"target": target, "validation": {"folds": 2, "embargo": 4}, "serving": {"app": None}}
    made = installed(tmp_path, monkeypatch, ["ridge"], trials=1, **more)
    version = train.sweep_and_register(made)
    contract = made.registry.contract(made.recipe.name, version)
    assert (contract.level, contract.steps, len(contract.conformal["steps"])) == (True, 2, 2)
    results = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (place(made) / "results").iterdir()}
    assert set(results) == {"ridge", "persistence", "ridge_window"}
    assert [score["metrics"]["skill"] for score in results["persistence"]["scores"]] == [0.0, 0.0]
    assert "ridge_window" in (place(made) / "report.html").read_text(encoding="utf-8")
    parent, children = sweep_of(made)
    assert "skill" in parent.data.metrics
    assert len(children) == 3


# --- a run that was killed ------------------------------------------------------------------------------------------


def fit_slowly(fit: Any, training: Any, params: Any) -> Any:
    time.sleep(0.3)
    return fit(training, params)


def slowed(name: str) -> Family:
    found = models.family(name)
    return replace(found, fit=partial(fit_slowly, found.fit)) if name == "logistic" else found


def logged(made: Workspace) -> int:
    """Trials that are logged whole, baselines left out."""
    found = runs(made, f"tags.`{TRIAL}` LIKE '%'")
    return sum(run.info.status == "FINISHED" and run.data.tags["family"] == "logistic" for run in found)


@pytest.mark.chaos
def test_a_killed_run_that_goes_on_logs_every_trial_once(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("BELLWETHER_LAKE", trained.settings.lake)
    made = installed(tmp_path, monkeypatch, ["logistic"], trials=6)
    driver = subprocess.Popen(
        [sys.executable, __file__, ray.get_runtime_context().gcs_address, made.source],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while logged(made) < 2:
            assert driver.poll() is None, "the driver ended by itself"
            assert time.monotonic() < deadline, "the driver logged no two trials in time"
            time.sleep(0.1)
    finally:
        driver.kill()
        driver.wait()
    assert logged(made) < 6
    assert sweep_of(made)[0].info.status == "RUNNING"

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    for module in (problem_module, space_module):
        monkeypatch.setattr(module, "family", slowed)
    try:
        assert train.sweep_and_register(made, resume="one") == 1
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    parent, children = sweep_of(made)
    assert parent.info.status == "FINISHED"
    assert len(children) == len({run.data.tags[TRIAL] for run in children}) == 6 + len(BASELINES)
    assert {run.info.status for run in children} == {"FINISHED"}


def drive(address: str, source: str) -> None:
    """What the killed driver runs: a whole training run under a name that is known."""
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    cloudpickle.register_pickle_by_value(sys.modules["__main__"])
    for module in (problem_module, space_module):
        module.family = slowed
    train._new_run = lambda: "one"
    train.sweep_and_register(Workspace.open(source))


if __name__ == "__main__":
    drive(*sys.argv[1:])
