"""The whole way on a real local Ray: bars, features, sweep, gate, registry, serving; the same numbers throughout."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from bellwether.config.recipe import RECIPES
from bellwether.errors import GateRefused
from data.features.market import features_kind
from pipelines import ingest, promote, train
from pipelines.demo import free_port
from pipelines.serve import deployed
from pipelines.workspace import Workspace

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

PLANTED = {"seed": 11, "sessions": 130, "strength": 0.3, "stylised": True}
NULL = {"seed": 3, "sessions": 130, "strength": 0.0, "stylised": False}


def workspace(home: Path, market: dict[str, object]) -> Workspace:
    recipe = yaml.safe_load((RECIPES / "index-hourly.yaml").read_text(encoding="utf-8"))
    recipe["source"]["options"] = recipe["universe"]["weights"]["options"] = market
    recipe |= {"families": ["logistic", "lightgbm"], "search": {"trials": 4}, "validation": {"folds": 3}}
    recipe["serving"] |= {"refresh_s": 0.2}
    path = home.parent / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return Workspace.open(str(path))


def run(home: Path, market: dict[str, object]) -> tuple[Workspace, int]:
    made = workspace(home, market)
    ingest.run(made)
    train.prepare(made)
    return made, train.sweep_and_register(made)


def test_from_bars_to_an_answer_over_http(home):
    made, version = run(home, PLANTED)
    promote.promote(made, version, "Production", who="test", why="test")
    with deployed(made, host="127.0.0.1", port=free_port()) as url:
        answer = httpx.get(f"{url}/signal/index", timeout=30).json()
        assert answer["signal"] in ("BUY", "SELL", "HOLD")
        assert answer["coverage"] == 1.0
        assert sum(c["contribution"] for c in answer["components"]) == pytest.approx(answer["wss"], abs=1e-12)
        served_features_are_the_batch_features(made, url)


def served_features_are_the_batch_features(made: Workspace, url: str) -> None:
    for symbol in made.recipe.universe.symbols:
        got = httpx.get(f"{url}/predict/component", params={"symbol": symbol}, timeout=30).json()
        newest = made.lake.read(features_kind(made.recipe), symbol).slice(-1).to_pylist()[0]
        newest.pop("ts_event")
        assert got["features"] == newest  # bit for bit


def test_on_a_market_without_signal_nothing_is_promoted(home):
    made, version = run(home, NULL)
    assert [v.aliases for v in made.registry.versions(made.recipe.name)] == [()]
    with pytest.raises(GateRefused):
        promote.promote(made, version, "Production", who="test", why="hope")


def test_the_ledger_tells_who_promoted_what_and_rollback_gives_it_back(home):
    made, first = run(home, PLANTED)
    second = train.sweep_and_register(made)
    for version in (first, second):
        promote.promote(made, version, "Production", who="ada", why="better")
    assert promote.rollback(made, "Production", who="ada", why="worse") == first
    told = [(e.action, e.version) for e in made.registry.ledger.entries() if e.alias == "Production"]
    assert told == [("promote", first), ("promote", second), ("rollback", first)]


def test_changing_a_later_bar_changes_no_earlier_prediction(home):
    from bellwether.models.predictor import Predictor
    from data.features import feature_set
    from data.features.market import component_features, market_context
    from data.weights.table import load_weights

    made, version = run(home, PLANTED)
    _, artefact = made.registry.load(made.recipe.name, version)
    recipe, lake = made.recipe, made.lake
    weights, fs = load_weights(lake, recipe.universe), feature_set(recipe.features)
    bars = {s: lake.read(recipe.kind, s) for s in recipe.universe.symbols}

    def predictions(tables):
        closes = {s: (t["ts_event"].cast("int64").to_numpy(), t["close"].to_numpy()) for s, t in tables.items()}
        context = market_context(closes, weights, recipe.universe.symbols)
        x = component_features(fs, tables["SIM01"], recipe.session, context)
        return Predictor(artefact).predict(x[fs.warmup :])

    before, cut = predictions(bars), 700
    shocked = {}
    for symbol, table in bars.items():
        frame = table.to_pandas()
        frame.loc[cut:, ["open", "high", "low", "close"]] *= 1.5
        shocked[symbol] = type(table).from_pandas(frame, schema=table.schema, preserve_index=False)
    after = predictions(shocked)
    np.testing.assert_array_equal(before[: cut - fs.warmup], after[: cut - fs.warmup])
    assert not np.array_equal(before[cut - fs.warmup :], after[cut - fs.warmup :])
