"""On the simulator's null market no family passes the gate; where a signal is planted, each does. No Ray is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml

from bellwether.config import Recipe
from bellwether.config.recipe import RECIPES
from data.features.market import features_kind
from data.features.tables import component_slices, feature_notes, feature_table, universe_context
from data.intake.ingest import ingest
from data.lake import Lake
from data.panel import Panel, load_panel
from tune.champion import crown
from tune.problem import pose
from tune.score import score_fold
from tune.sweep import run_baseline
from tune.trial import TrialResult

FAMILIES = ("logistic", "extra_trees", "lightgbm", "mlp")
"""One of each kind: all of them are fitted in `benchmarks.study_null`."""

MARKETS = {
    "null": {"seed": 5, "sessions": 110, "strength": 0.0, "stylised": False},
    "planted": {"seed": 5, "sessions": 110, "strength": 0.3, "stylised": True},
}


def market(name: str, directory: str) -> tuple[Recipe, Panel]:
    """A recipe on a simulated market, and its panel, made without a cluster."""
    plain = yaml.safe_load((RECIPES / "index-hourly.yaml").read_text(encoding="utf-8"))
    plain["source"]["options"] = plain["universe"]["weights"]["options"] = MARKETS[name]
    recipe = Recipe.model_validate(plain | {"families": FAMILIES, "validation": {"folds": 3}})
    lake = Lake(directory)
    ingest(recipe, lake, RECIPES)
    bars = component_slices(recipe, lake)
    context = universe_context(recipe, lake, bars)
    notes = feature_notes(recipe, lake, bars)
    kind = features_kind(recipe)
    tables = {s: feature_table(recipe, lake.read(recipe.kind, s), symbol=s, market=context) for s in bars}
    lake.commit(kind, [lake.stage(kind, s, table, notes[s]) for s, table in tables.items()])
    return recipe, load_panel(recipe, lake)


@pytest.fixture(scope="module")
def markets(tmp_path_factory):
    return {name: market(name, str(tmp_path_factory.mktemp(name))) for name in MARKETS}


def verdict(recipe: Recipe, panel: Panel, name: str):
    """The gate's verdict on one configuration of one family."""
    problem = pose(recipe, panel)
    params = problem.families[name].standard(problem.task)
    scores = tuple(score_fold(problem, name, params, k) for k in range(len(problem.folds)))
    trial = TrialResult(family=name, params=params, baseline=False, folds=scores)
    baselines = [run_baseline(problem, base) for base in problem.baselines]
    return crown(recipe, panel, [trial, *baselines]).verdict


@pytest.mark.parametrize("name", FAMILIES)
def test_no_family_passes_the_gate_on_the_null_market(markets, name):
    found = verdict(*markets["null"], name)
    assert not found.passed
    assert found.low < 0.0


@pytest.mark.parametrize("name", FAMILIES)
def test_where_a_signal_is_planted_each_family_beats_the_baselines_on_the_untouched_segment(markets, name):
    found = verdict(*markets["planted"], name)
    assert found.low > 0.0, found.reason


def test_what_comes_after_changes_no_threshold_fitted_before(markets):
    recipe, panel = markets["planted"]
    before = pose(recipe, panel).folds
    for number, fold in enumerate(before):
        cut = panel.t1[fold.train].max()
        later = replace(panel, outcome=np.where(panel.ts >= cut, 5.0 * panel.outcome, panel.outcome))
        after = pose(recipe, later).folds
        np.testing.assert_array_equal(after[number].labels[fold.train], fold.labels[fold.train])
        assert not np.array_equal(after[number].labels[fold.test], fold.labels[fold.test])
