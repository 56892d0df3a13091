"""A recipe may give each symbol a model of its own: made by the same sweep, of its rows alone, judged more strictly."""

from __future__ import annotations

import importlib
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bellwether.config.recipe import RECIPES
from bellwether.errors import ConfigError, ModelError, UnknownName
from data import panel as panels
from data.features import features_of
from data.panel import Panel, load_panel
from pipelines import report, train
from pipelines.cli import main
from pipelines.own_models import own
from pipelines.runs import command
from pipelines.workspace import Workspace
from serve_apps.index.releases import own_recipe, resolved
from serve_apps.models.checks import check_contract
from serve_apps.models.routes import NEWEST

SYMBOLS = ("SIM01", "SIM02")
MARKET = {"seed": 11, "sessions": 60, "strength": 0.3, "stylised": False}
TRAINED = {"families": ["logistic"], "search": {"trials": 1}, "validation": {"folds": 2}}


def workspace(home: Path, **serving: Any) -> Workspace:
    recipe = yaml.safe_load((RECIPES / "index-hourly.yaml").read_text(encoding="utf-8"))
    recipe["source"]["options"] = recipe["universe"]["weights"]["options"] = MARKET
    recipe["universe"]["symbols"] = list(SYMBOLS)
    recipe["serving"] |= {"models": "per_symbol", "thresholds": "calibrated"} | serving
    (home / "recipe.yaml").write_text(yaml.safe_dump(recipe | TRAINED), encoding="utf-8")
    return Workspace.open(str(home / "recipe.yaml"))


@pytest.fixture
def made(home: Path, tmp_path: Path) -> Workspace:
    return workspace(tmp_path)


def pooled(rows: int = 6) -> Panel:
    """Rows of two symbols, in turn."""
    at = np.arange(rows)
    return Panel(
        x=at[:, None] * np.ones(3),
        outcome=np.stack([at, -at], axis=1) * 1.0,
        value=at * 10.0,
        ts=at // 2,
        t1=at // 2 + 1,
        who=at % 2,
        symbols=SYMBOLS,
        features=("a", "b", "c"),
        definition="d",
        warmup=4,
    )


def test_a_symbols_panel_has_its_rows_and_no_others():
    whole = pooled()
    one = whole.of("SIM02")
    assert (one.symbols, one.features, one.definition, one.warmup) == (("SIM02",), ("a", "b", "c"), "d", 4)
    assert one.who.tolist() == [0, 0, 0]
    for name in ("x", "outcome", "value", "ts", "t1"):
        np.testing.assert_array_equal(getattr(one, name), getattr(whole, name)[[1, 3, 5]])


def test_its_recipe_is_that_of_the_symbol_alone_and_the_gates_together_are_as_strict_as_one(made):
    recipe, mine = made.recipe, own(made, "SIM02").recipe
    assert (mine.name, mine.universe.symbols) == ("index-hourly.SIM02", ("SIM02",))
    assert len(SYMBOLS) * (1 - mine.gate.confidence) == pytest.approx(1 - recipe.gate.confidence)
    assert (mine.serving.thresholds, mine.serving.app) == ("fixed", None)  # the index has the pooled model's
    same = ("families", "search", "validation", "target", "features", "session", "calibration")
    assert {name: getattr(mine, name) for name in same} == {name: getattr(recipe, name) for name in same}
    assert own(made, None) is made


def test_only_a_symbol_of_a_recipe_that_serves_them_has_one(made, tmp_path):
    with pytest.raises(UnknownName, match="no symbol of sim10 'SIM09'; known: SIM01, SIM02"):
        own(made, "SIM09")
    with pytest.raises(ConfigError, match="index-hourly serves its pooled model alone"):
        train.run(workspace(tmp_path, models="pooled"), symbol="SIM01")


def test_a_sweep_that_is_stopped_says_how_its_symbol_goes_on(made):
    told = f"bellwether train {shlex.quote(made.source)} --families logistic --trials 1"
    assert command(own(made, "SIM01"), "one") == f"{told} --symbol SIM01 --resume one"
    assert command(replace(made, symbol="S&P 500"), "one") == f"{told} --symbol 'S&P 500' --resume one"
    assert command(made, "one") == f"{told} --resume one"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Which models a run makes: the name, the rows' symbols, what the index did, the sweep and whether it goes on."""
    found: list[tuple[Any, ...]] = []

    def trained(workspace: Workspace, panel: Panel, market: Any, run_id: str, resume: bool) -> int:
        found.append((workspace.recipe.name, panel.symbols, sorted(market), run_id, resume))
        if workspace.symbol == "SIM01":
            raise ModelError("no trial finished ([odd] rows)")
        return len(found)

    monkeypatch.setattr(panels, "load_panel", lambda recipe, lake: pooled())
    monkeypatch.setattr(train, "_market", lambda workspace: {"weights": None, "index": None})
    monkeypatch.setattr(train, "_trained", trained)
    monkeypatch.setattr(train, "_new_run", lambda: "new")
    return found


WHOLE = ("index-hourly", SYMBOLS, ["index", "weights"])


def test_after_the_pooled_model_each_symbol_gets_its_own_and_one_that_cannot_have_one_stops_no_other(
    made, asked, capsys
):
    assert train.sweep_and_register(made) == 1
    assert asked == [
        (*WHOLE, "new", False),
        ("index-hourly.SIM01", ("SIM01",), [], "new.SIM01", False),
        ("index-hourly.SIM02", ("SIM02",), [], "new.SIM02", False),
    ]
    assert "no model made of SIM01 alone: no trial finished ([odd] rows)" in " ".join(capsys.readouterr().out.split())


def test_a_recipe_of_a_pooled_model_gets_that_alone(asked, home, tmp_path):
    train.sweep_and_register(workspace(tmp_path, models="pooled"))
    assert asked == [(*WHOLE, "new", False)]


def test_a_symbols_own_model_may_be_made_alone_and_then_it_fails_aloud(made, asked):
    assert train.sweep_and_register(made, resume="two", symbol="SIM02") == 1
    assert asked == [("index-hourly.SIM02", ("SIM02",), [], "two", True)]
    with pytest.raises(ModelError):
        train.sweep_and_register(made, symbol="SIM01")


@pytest.mark.parametrize("error", [KeyError, NotImplementedError, KeyboardInterrupt])
def test_what_is_no_lack_of_rows_ends_the_run(made, asked, monkeypatch, error):
    def broken(workspace: Workspace, panel: Panel, *more: Any) -> int:
        if workspace.symbol:
            raise error
        return 1

    monkeypatch.setattr(train, "_trained", broken)
    with pytest.raises(error):
        train.sweep_and_register(made)


@pytest.mark.parametrize(
    ("command", "function"), [("promote", "promote"), ("rollback", "rollback"), ("leaderboard", "run")]
)
@pytest.mark.parametrize(("options", "name"), [([], "index-hourly"), (["--symbol", "SIM02"], "index-hourly.SIM02")])
def test_commands_are_about_the_model_that_is_named(made, monkeypatch, command, function, options, name):
    job = importlib.import_module(f"pipelines.{'leaderboard' if command == 'leaderboard' else 'promote'}")
    seen: list[str] = []
    monkeypatch.setattr(job, function, lambda workspace, *given, **named: seen.append(workspace.recipe.name))
    with pytest.raises(SystemExit) as ended:
        main([command, made.source, *options])
    assert (ended.value.code, seen) == (0, [name])


@pytest.mark.ray
def test_what_is_trained_is_what_serving_looks_for_also_by_a_run_that_was_stopped(made, ray_cluster, monkeypatch):
    recipe = made.recipe
    prepared = train.prepare(made)

    def stopped(workspace: Workspace, *rest: Any) -> Path:
        if workspace.symbol == "SIM01":
            raise KeyboardInterrupt
        return write(workspace, *rest)

    write = report.write
    with monkeypatch.context() as patch:
        patch.setattr(train, "_new_run", lambda: "one")
        patch.setattr(report, "write", stopped)
        with pytest.raises(KeyboardInterrupt):
            train.sweep_and_register(prepared)
    assert train.sweep_and_register(prepared, resume="one") == 1
    routes = resolved(made.registry, recipe, NEWEST, canary=0.0, shadow=False)
    assert {name: route.version for name, route in routes.items()} == dict.fromkeys(
        ["index-hourly", "index-hourly.SIM01", "index-hourly.SIM02"], 1
    )
    whole = load_panel(recipe, prepared.lake)
    for symbol in SYMBOLS:
        contract = made.registry.contract(f"index-hourly.{symbol}", 1)
        check_contract(contract, own_recipe(recipe, symbol), features_of(recipe.features))
        assert 0 < contract.train_rows < len(whole.of(symbol).ts)
        assert contract.verdict["confidence"] == pytest.approx(1 - 0.01 / len(SYMBOLS))
    assert train.sweep_and_register(prepared, symbol="SIM02") == 2
    assert [len(made.registry.versions(name)) for name in routes] == [1, 1, 2]
