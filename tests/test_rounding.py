"""A champion with 8-bit weights: judged and served by its quantised graph, with what that cost beside its figures."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Universe, Validation
from bellwether.models import family
from bellwether.models.artefact import Artefact
from bellwether.models.predictor import Predictor
from bellwether.models.quantise import INTEGER
from bellwether.models.training import Task
from data.panel import Panel
from tune.champion import crown
from tune.problem import Problem, pose
from tune.score import score_fold
from tune.sweep import run_baseline
from tune.trial import TrialResult

HOUR = 3_600_000_000_000


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng, n = np.random.default_rng(0), 300
    x = rng.normal(size=(n, 3))
    ts = np.arange(1, n + 1) * HOUR
    return Panel(
        x=x,
        outcome=0.01 * (x[:, 0] + 0.5 * rng.normal(size=n)),
        value=np.ones(n),
        ts=ts,
        t1=ts + HOUR,
        who=np.zeros(n, int),
        symbols=("A",),
        features=("a", "b", "c"),
        definition="test",
        warmup=20,
    )


def crowned(panel: Panel, name: str, precision: str, **params: object) -> tuple[Problem, Artefact]:
    asked = Recipe(
        name="test",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=("A",), index="X", weights=Part(kind="plain")),
        families=(name,),
        search=Search(trials=1),
        validation=Validation(folds=2),
        precision=precision,
        calibration="none",
    )
    posed = pose(asked, panel)
    given = family(name).standard(Task.CLASSIFY) | params
    scores = tuple(score_fold(posed, name, given, fold) for fold in range(2))
    trial = TrialResult(family=name, params=given, baseline=False, folds=scores, id="0")
    return posed, crown(asked, panel, [trial, *(run_baseline(posed, b) for b in posed.baselines)]).artefact


def operators(content: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(content).graph.node}


def test_the_quantised_graph_is_the_one_that_is_judged_and_served(panel):
    posed, artefact = crowned(panel, "lstm", "int8", epochs=4, lookback=4)
    assert operators(artefact.content) & set(INTEGER)
    cost = artefact.contract.metrics["quantisation"]
    assert cost["size"] < 1.0
    assert 0 < cost["mean"] <= cost["largest"] < cost["spread"]
    x = posed.read(posed.exam, "lstm", artefact.contract.params, posed.exam.test)
    served = Predictor(artefact)
    one_by_one = np.vstack([served.predict(x[k : k + 1]) for k in range(len(x))])
    right = float(np.mean(one_by_one.argmax(axis=1) == posed.exam.labels[posed.exam.test]))
    assert artefact.contract.metrics["holdout"]["scores"]["accuracy"]["value"] == pytest.approx(right)


def test_without_the_option_weights_stay_as_they_are(panel):
    _, artefact = crowned(panel, "lstm", "float32", epochs=4, lookback=4)
    assert not operators(artefact.content) & set(INTEGER)
    assert "quantisation" not in artefact.contract.metrics


def test_where_nothing_can_be_quantised_the_figures_say_why(panel):
    _, artefact = crowned(panel, "extra_trees", "int8")
    assert "nothing to quantise" in artefact.contract.metrics["quantisation"]["why_not"]
