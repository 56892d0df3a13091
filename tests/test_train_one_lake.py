"""A training run sees one lake: bars that are posted while it runs are in the next run, all of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from bellwether.config.recipe import RECIPES
from data import panel as panels
from data.arrow import pc
from data.panel import Panel, load_panel
from data.records import TIME
from data.wall import DAY
from pipelines import train
from pipelines.workspace import Workspace

pytestmark = pytest.mark.ray

MARKET = {"seed": 11, "sessions": 60, "strength": 0.3, "stylised": False}
STEPS = ("data.features_job._compute", "data.panel.load_panel", "tune.sweep.sweep", "tune.champion.crown")
"""What a run does, in order; bars are posted before each of them."""


@pytest.fixture
def made(ray_cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("BELLWETHER_HOME", str(tmp_path))
    recipe = yaml.safe_load((RECIPES / "index-hourly.yaml").read_text(encoding="utf-8"))
    recipe["source"]["options"] = recipe["universe"]["weights"]["options"] = MARKET
    recipe["universe"]["symbols"] = ["SIM01", "SIM02", "SIM03"]
    recipe |= {"families": ["logistic"], "search": {"trials": 1}, "validation": {"folds": 2}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return Workspace.open(str(tmp_path / "recipe.yaml"))


def post(workspace: Workspace) -> int:
    """Add a session to every symbol, a day after its newest; returns the last close before."""
    recipe, lake = workspace.recipe, workspace.lake
    staged, before = [], newest(workspace)
    for symbol, entry in lake.entries(recipe.kind).items():
        bars = lake.read(recipe.kind, symbol)
        more = bars.slice(bars.num_rows - 7)
        later = pc.add(more["ts_event"].cast(pa.int64()), DAY).cast(TIME)
        more = more.set_column(1, more.schema.field("ts_event"), later)
        staged.append(lake.stage(recipe.kind, symbol, pa.concat_tables([bars, more]), entry.note))
    lake.commit(recipe.kind, staged)
    return before


def newest(workspace: Workspace) -> int:
    return max(entry.last for entry in workspace.lake.entries(workspace.recipe.kind).values())


def before(monkeypatch: pytest.MonkeyPatch, path: str, act: Callable[[], Any]) -> None:
    """Let something happen each time a function is called, before it does anything."""
    module, _, name = path.rpartition(".")
    function = getattr(importlib.import_module(module), name)

    def called(*given: Any, **named: Any) -> Any:
        act()
        return function(*given, **named)

    monkeypatch.setattr(path, called)


def test_what_is_posted_while_a_run_goes_on_is_in_the_next_run(
    made: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted: list[int] = []
    seen: list[Panel] = []
    monkeypatch.setattr(panels, "load_panel", lambda recipe, lake: seen.append(load_panel(recipe, lake)) or seen[-1])
    with monkeypatch.context() as patch:
        for step in STEPS:
            before(patch, step, lambda: posted.append(post(made)))
        assert train.run(made) == 1
    assert sorted(set(posted)) == posted
    assert len(posted) == len(STEPS)
    assert seen[0].t1.max() == posted[0]
    after = load_panel(made.recipe, train.prepare(made).lake)
    assert after.t1.max() == newest(made) > posted[-1]
