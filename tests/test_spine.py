"""The whole way on a real local Ray: bars, features, sweep, gate, registry, serving; the same numbers throughout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from bellwether.config.recipe import RECIPES
from bellwether.errors import GateRefused
from bellwether.models.predictor import Predictor
from data.features import features_of
from data.features.market import component_features, features_kind, market_context
from data.wall import times
from data.weights.table import load_weights
from pipelines import oracle, promote, train
from pipelines.demo import free_port
from pipelines.serve import deployed
from pipelines.workspace import Workspace

pytestmark = pytest.mark.ray

PLANTED = {"seed": 11, "sessions": 130, "strength": 0.3, "stylised": True}
NULL = {"seed": 3, "sessions": 130, "strength": 0.0, "stylised": False}


@pytest.fixture(scope="module")
def planted(ray_cluster, tmp_path_factory) -> Iterator[tuple[Workspace, int]]:
    """A trained version on a market with a planted signal, under Staging."""
    with pytest.MonkeyPatch.context() as patch:
        yield trained(tmp_path_factory.mktemp("planted"), PLANTED, patch)


def trained(home: Path, market: dict[str, object], patch: pytest.MonkeyPatch) -> tuple[Workspace, int]:
    patch.setenv("BELLWETHER_HOME", str(home))
    recipe = yaml.safe_load((RECIPES / "index-hourly.yaml").read_text(encoding="utf-8"))
    recipe["source"]["options"] = recipe["universe"]["weights"]["options"] = market
    recipe |= {"families": ["logistic", "lightgbm"], "search": {"trials": 4}, "validation": {"folds": 3}}
    (home / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    made = Workspace.open(str(home / "recipe.yaml"))
    train.prepare(made)
    return made, train.sweep_and_register(made)


def test_from_bars_to_an_answer_over_http(planted):
    from ray import serve

    made, version = planted
    promote.promote(made, version, "Production", who="test", why="test")
    serve.shutdown()  # other tests have left theirs
    with deployed(made, host="127.0.0.1", port=free_port()) as url:
        answer = httpx.get(f"{url}/signal/index", timeout=30).json()
        assert answer["signal"] in ("BUY", "SELL", "HOLD")
        assert answer["coverage"] == 1.0
        assert sum(c["contribution"] for c in answer["components"]) == pytest.approx(answer["wss"], abs=1e-12)
        served_features_are_the_batch_features(made, url)


def served_features_are_the_batch_features(made: Workspace, url: str) -> None:
    for symbol in made.recipe.universe.symbols:
        got = httpx.get(f"{url}/predict/component", params={"symbol": symbol}, timeout=30).json()
        newest = made.lake.read(features_kind(made.recipe), symbol).to_pylist()[-1]
        newest.pop("ts_event")
        assert got["features"] == newest  # bit for bit


def test_the_champion_reaches_nine_tenths_of_the_best_achievable_score(planted):
    made, version = planted
    share = oracle.measure(made, made.registry.load(made.recipe.name, version)[1])
    assert share.champion > 0.9 * share.oracle
    assert share.oracle > 0.3  # there is something to find


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_server_stops_when_it_is_told_to(planted, how):
    made, version = planted
    promote.promote(made, version, "Production", who="test", why="test")
    command = [sys.executable, "-m", "pipelines.cli", "serve", made.source, "--port", str(free_port())]
    environment = os.environ | {"BELLWETHER_HOME": str(made.settings.home)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as server:
        assert any("serving http" in line for line in server.stdout)
        server.send_signal(how)
        try:
            assert server.wait(timeout=60) == 0
        finally:
            server.kill()


def test_on_a_market_without_signal_nothing_is_promoted(ray_cluster, tmp_path, monkeypatch):
    made, version = trained(tmp_path, NULL, monkeypatch)
    assert [v.aliases for v in made.registry.versions(made.recipe.name)] == [()]
    with pytest.raises(GateRefused):
        promote.promote(made, version, "Production", who="test", why="hope")


def test_the_ledger_tells_who_promoted_what_and_rollback_gives_it_back(planted):
    made, first = planted
    second = train.sweep_and_register(made)
    before = len(made.registry.ledger.entries())
    for version in (second, first, second):
        promote.promote(made, version, "Production", who="ada", why="better")
    assert promote.rollback(made, "Production", who="ada", why="worse") == first
    told = [(e.action, e.version) for e in made.registry.ledger.entries()[before:]]
    assert told[-3:] == [("promote", first), ("promote", second), ("rollback", first)]


def test_changing_a_later_bar_changes_no_earlier_prediction(planted):
    made, version = planted
    _, artefact = made.registry.load(made.recipe.name, version)
    recipe, lake = made.recipe, made.lake
    weights, fs = load_weights(lake, recipe.universe), features_of(recipe.features)
    bars = {s: lake.read(recipe.kind, s) for s in recipe.universe.symbols}

    def predictions(tables):
        closes = {s: (times(t), t["close"].to_numpy()) for s, t in tables.items()}
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
