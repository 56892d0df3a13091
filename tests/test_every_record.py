"""Every bundled recipe from its source to rows a model can be fitted to; and the same on real order flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.metrics import roc_auc_score

from bellwether.config.recipe import RECIPES, Recipe
from bellwether.models.base import Task
from data.features import feature_kind, features_of
from data.features_job import build_features
from data.intake.ingest import ingest
from data.lake import Lake
from data.panel import Panel, load_panel
from data.targets import target_kind

SMALL: dict[str, dict[str, Any]] = {
    "ticks": {"sessions": 3, "events": 3_000},
    "market-direction": {"sessions": 3, "events": 1_500},
    "price-forecast": {"sessions": 3, "events": 500},
    "level2-factors": {"sessions": 250},
    "index-hourly": {"sessions": 60},
}
"""Options of the simulator that make each recipe's market a small one."""

BUNDLED = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def recipe_of(name: str, /, **changes: Any) -> Recipe:
    plain = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    if plain["source"]["kind"] == "simulator":
        plain["source"]["options"] |= SMALL[name]
        plain["universe"].get("weights", plain["source"])["options"] |= SMALL[name]
    return Recipe.model_validate(plain | changes)


def panel_of(recipe: Recipe, lake: Lake, root: Path) -> Panel:
    ingest(recipe, lake, root)
    report = build_features(recipe, lake)
    assert report.rows > 0
    return load_panel(recipe, lake)


def test_every_simulated_recipe_is_run() -> None:
    simulated = {name for name in BUNDLED if recipe_source(name) == "simulator"}
    assert set(SMALL) == simulated


def recipe_source(name: str) -> str:
    return str(yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))["source"]["kind"])


@pytest.mark.ray
@pytest.mark.parametrize("name", SMALL)
def test_a_recipe_leads_from_its_source_to_rows_to_fit(name: str, tmp_path: Path, ray_cluster: None) -> None:
    recipe, lake = recipe_of(name), Lake(str(tmp_path))
    panel = panel_of(recipe, lake, tmp_path)
    target = target_kind(recipe.target.kind)
    assert panel.x.shape == (len(panel.ts), len(features_of(recipe.features).outputs))
    assert len(panel.ts) > 1_000
    assert set(np.unique(panel.who)) == set(range(len(recipe.universe.symbols)))
    assert np.isfinite(panel.x).all()
    assert (panel.t1 > panel.ts).all()
    assert (np.diff(panel.ts) >= 0).all()
    if target.task is Task.CLASSIFY:
        y = target.encode(panel.outcome, target.fit(panel.outcome, recipe.target))
        assert len(np.unique(y)) == len(target.classes)
    again = build_features(recipe, lake)
    assert again.computed == ()
    assert set(again.skipped) == set(lake.partitions(again.kind))


@pytest.mark.ray
def test_only_sets_that_start_anew_are_cut_into_sessions(tmp_path: Path, ray_cluster: None) -> None:
    lake = Lake(str(tmp_path))
    for name in ("ticks", "price-forecast"):
        recipe = recipe_of(name)
        ingest(recipe, lake, tmp_path)
        report = build_features(recipe, lake)
        assert len(report.computed) == 3 * len(recipe.universe.symbols)
        fs = features_of(recipe.features)
        symbol = recipe.universe.symbols[0]
        warm = [np.isnan(lake.read_entry(e)[fs.outputs[-1]].to_numpy()).sum() for e in lake.of(report.kind, symbol)]
        expected = [fs.warmup] * 3 if feature_kind(recipe.features.kind).by_session else [fs.warmup, 0, 0]
        assert warm == expected


@pytest.mark.ray
@pytest.mark.parametrize(("strength", "low", "high"), [(0.6, 0.55, 1.0), (0.0, 0.48, 0.52)])
def test_the_planted_lean_of_the_book_is_found_and_nothing_where_there_is_none(
    strength: float, low: float, high: float, tmp_path: Path, ray_cluster: None
) -> None:
    market = {"seed": 7, "sessions": 3, "events": 3_000, "strength": strength, "stylised": False}
    recipe = recipe_of(
        "market-direction",
        source={"kind": "simulator", "options": market},
        target={"kind": "direction", "horizon": 20, "overnight": "drop"},
        validation={"embargo": 20},
    )
    panel = panel_of(recipe, Lake(str(tmp_path)), tmp_path)
    moved = panel.outcome != 0.0
    lean = panel.x[moved, panel.features.index("imbalance_1")]
    assert low < roc_auc_score(panel.outcome[moved] > 0.0, lean) < high


@pytest.mark.ray
def test_books_rebuilt_of_real_messages_become_features(market_data: Path, tmp_path: Path, ray_cluster: None) -> None:
    real = {
        "name": "rebuilt",
        "source": {"kind": "lobster", "options": {"paths": "lobster/AMZN*"}},
        "derive": [{"kind": "rebuild", "options": {"depth": 5, "levels": 5}}],
        "universe": {"name": "amzn", "symbols": ["AMZN"]},
        "features": {"kind": "microstructure", "options": {"levels": 1}},
        "target": {"kind": "market_direction", "options": {"seconds": 10, "cost_bp": 1.0}},
    }
    lake = Lake(str(tmp_path))
    panel = panel_of(recipe_of("market-direction", **real), lake, market_data)
    (entry,) = lake.of("books", "AMZN")
    assert entry.rows == 155_935
    assert len(panel.ts) > 10_000
    direct = recipe_of("market-direction", **(real | {"derive": ()}))
    whole = Lake(str(tmp_path / "direct"))
    assert len(panel_of(direct, whole, market_data).ts) > 2 * len(panel.ts)  # of the others the best level is not known
