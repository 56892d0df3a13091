"""A run that makes many models and is killed goes on with the one it was at; what it has registered stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune import Tuner

from bellwether.config import Recipe, Settings
from bellwether.errors import ConfigError, ModelError
from data import panel as panels
from data.panel import Panel
from pipelines import report, train
from pipelines.runs import own_run
from pipelines.workspace import Workspace
from tune import champion, leaderboard
from tune import sweep as sweeps
from tune.claim import DIGEST, claim
from tune.problem import pose

HOUR = 3_600_000_000_000
SYMBOLS = ("A", "B/1", "C", "D", "E")
SWEEPS = ["one", "one.A", "one.B~2F1", "one.C", "one.D", "one.E"]
MODELS = ["index", "index.A", "index.B-1", "index.C", "index.D", "index.E"]


class Killed(BaseException):
    """The driver is gone."""


def rows(times: int = 120, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    ts = np.repeat(np.arange(1, times + 1) * HOUR, len(SYMBOLS))
    x = rng.normal(size=(len(ts), 2))
    return Panel(
        x=x,
        outcome=0.01 * x[:, 0],
        value=np.ones(len(ts)),
        ts=ts,
        t1=ts + HOUR,
        who=np.tile(np.arange(len(SYMBOLS)), times),
        symbols=SYMBOLS,
        features=("a", "b"),
        definition="test",
        warmup=20,
    )


class Shelf:
    """A registry in memory: whose version was made by which sweep, how sure its gate had to be, and who was Staging."""

    def __init__(self, moment: Callable[[str], None]) -> None:
        self.moment, self.passed = moment, True
        self.made: list[tuple[str, str, float]] = []
        self.staging: list[tuple[str, int]] = []

    def register(self, name: str, confidence: float, *, sweep: str, **given: Any) -> int:
        self.made.append((name, sweep, confidence))
        return len(self.of(name))

    def of(self, name: str) -> list[str]:
        """The sweep of each version, oldest first."""
        return [sweep for known, sweep, _ in self.made if known == name]

    def made_by(self, name: str, sweep: str) -> SimpleNamespace | None:
        known = self.of(name)
        return SimpleNamespace(version=known.index(sweep) + 1, passed=self.passed) if sweep in known else None

    def promote(self, name: str, version: int, alias: str, **given: str) -> None:
        self.moment("promote")
        self.staging.append((name, version))

    def given(self, name: str, alias: str) -> tuple[int, ...]:
        return tuple(version for known, version in self.staging if known == name)


class Driver:
    """Runs of one recipe, of which any may be killed.

    A sweep leaves only what it was started on. ``began`` has the name of each sweep and whether it went on, ``ended``
    those whose log is closed. ``dies`` is the sweep that kills the driver, before (``early``) or after that state is
    written, and ``fails`` the one that finds no model; ``killed_at`` is a moment after the sweep: "end" of its log,
    "promote" or "report".
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.panel, self.shelf = workspace, rows(), Shelf(self.moment)
        self.began: list[tuple[str, bool]] = []
        self.ended: list[str] = []
        self.dies, self.early, self.fails, self.killed_at = "", False, "", ""

    def train(self, **given: Any) -> int:
        return train.sweep_and_register(self.workspace, **given)

    def killed(self, **given: Any) -> None:
        """Train until the driver is killed; the next one is not."""
        with pytest.raises(Killed):
            self.train(**given)
        self.dies = self.killed_at = ""

    def moment(self, name: str) -> None:
        if name == self.killed_at:
            raise Killed

    def sweep(self, recipe: Recipe, panel: Panel, *, storage: str, run_id: str, resume: bool, progress: Any) -> Any:
        problem = pose(recipe, panel)
        if run_id == self.dies and self.early:
            raise Killed
        claim(recipe, problem, storage=storage, run_id=run_id, resume=resume)
        self.began.append((run_id, resume))
        if run_id == self.dies:
            raise Killed
        if run_id == self.fails:
            raise ModelError("no trial finished")
        return ()

    @contextmanager
    def log(self, workspace: Workspace, run_id: str, *given: Any) -> Iterator[SimpleNamespace]:
        def end(*given: Any) -> None:
            self.moment("end")
            self.ended.append(run_id)

        yield SimpleNamespace(end=end)

    def crown(self, recipe: Recipe, *given: Any, **more: Any) -> SimpleNamespace:
        verdict = SimpleNamespace(metric="macro_f1", champion=0.5, lift=0.3, passed=self.shelf.passed)
        return SimpleNamespace(artefact=recipe.gate.confidence, verdict=verdict)


def reported(workspace: Workspace, run_id: str, *rest: Any) -> Path:
    place = Path(workspace.settings.reports, run_id)
    place.mkdir(parents=True, exist_ok=True)
    for name in (report.PAGE, report.TABLE):
        (place / name).write_text("", encoding="utf-8")
    return place


@pytest.fixture
def driver(home: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    recipe = Recipe.model_validate(
        {
            "name": "index",
            "source": {"kind": "simulator"},
            "universe": {"name": "u", "symbols": SYMBOLS},
            "families": ["logistic"],
            "search": {"trials": 1},
            "validation": {"folds": 2},
            "serving": {"models": "per_symbol", "app": None},
        }
    )
    made = Driver(Workspace(recipe, Settings(), "index.yaml"))
    monkeypatch.setattr(panels, "load_panel", lambda recipe, lake: made.panel)
    monkeypatch.setattr(sweeps, "sweep", made.sweep)
    monkeypatch.setattr(Tuner, "can_restore", lambda place: Path(place, DIGEST).exists())
    monkeypatch.setattr(report, "write", reported)
    monkeypatch.setattr(champion, "crown", made.crown)
    monkeypatch.setattr(leaderboard, "leaderboard", lambda *given: [])
    monkeypatch.setattr(train, "sweep_log", made.log)
    monkeypatch.setattr(train, "_report", lambda *given: made.moment("report"))
    monkeypatch.setattr(Workspace, "registry", made.shelf)
    monkeypatch.setattr(train, "_new_run", lambda: "one")
    return made


def test_a_run_that_was_killed_at_a_symbol_goes_on_with_it_and_those_after(driver):
    driver.dies = "one.B~2F1"
    driver.killed()
    assert driver.train(resume="one") == 1
    first, second = SWEEPS[:3], SWEEPS[2:]
    assert driver.began == [(name, False) for name in first] + [(name, name == "one.B~2F1") for name in second]
    assert [(name, sweep) for name, sweep, _ in driver.shelf.made] == list(zip(MODELS, SWEEPS, strict=True))
    asked = [confidence for *_, confidence in driver.shelf.made[1:]]
    assert asked == pytest.approx([1 - 0.01 / len(SYMBOLS)] * len(SYMBOLS))  # as strict as in a run that is not stopped


def test_a_sweep_that_had_not_come_to_write_anything_is_started(driver):
    driver.dies, driver.early = "one.E", True
    driver.killed()
    driver.train(resume="one")
    assert driver.began == [(name, False) for name in SWEEPS]


@pytest.mark.parametrize("moment", ["end", "promote", "report"])
def test_wherever_a_run_was_killed_each_sweep_has_its_log_closed_and_one_version_that_is_staging(driver, moment):
    driver.killed_at = moment
    driver.killed()
    assert driver.train(resume="one") == 1
    again = [("one", True)] if moment == "end" else []  # nothing of what is registered is made again
    assert driver.began == [("one", False), *again, *((name, False) for name in SWEEPS[1:])]
    assert driver.ended == SWEEPS
    assert [(name, sweep) for name, sweep, _ in driver.shelf.made] == list(zip(MODELS, SWEEPS, strict=True))
    assert driver.shelf.staging == [(name, 1) for name in MODELS]


def test_what_was_rolled_back_does_not_become_staging_again(driver):
    back = driver.shelf.register("index", 0.99, sweep="before")
    driver.shelf.promote("index", back, "Staging")
    assert driver.train() == back + 1
    driver.shelf.staging.append(("index", back))
    assert driver.train(resume="one") == back + 1
    assert [version for name, version in driver.shelf.staging if name == "index"] == [back, back + 1, back]


def test_what_a_later_version_followed_does_not_become_staging(driver):
    driver.killed_at = "promote"
    driver.killed()
    driver.shelf.promote("index", driver.shelf.register("index", 0.99, sweep="two"), "Staging")
    assert driver.train(resume="one") == 1
    assert [version for name, version in driver.shelf.staging if name == "index"] == [2]


def test_what_the_gate_refused_does_not_become_staging(driver):
    driver.shelf.passed, driver.killed_at = False, "report"
    driver.killed()
    assert driver.train(resume="one") == 1
    assert driver.shelf.staging == []


def test_a_run_whose_state_is_gone_cannot_be_resumed(driver):
    driver.train()
    shutil.rmtree(driver.workspace.settings.runs)
    with pytest.raises(ConfigError, match=r"no run to resume at .*/one: start a new one"):
        driver.train(resume="one")


def test_a_symbol_that_has_its_model_gets_no_second_one_where_its_state_is_gone(driver, capsys):
    driver.train()
    shutil.rmtree(Path(driver.workspace.settings.runs, "one.C"))
    assert driver.train(resume="one") == 1
    assert driver.began == [(name, False) for name in SWEEPS]
    assert "no model made of C alone: there is no run to resume" in " ".join(capsys.readouterr().out.split())


def test_a_symbol_that_could_not_have_a_model_is_tried_again(driver):
    driver.fails, driver.dies = "one.A", "one.C"
    driver.killed()
    driver.fails = ""
    driver.train(resume="one")
    assert [name for name, again in driver.began if again] == ["one.A", "one.C"]
    assert sorted(sweep for _, sweep, _ in driver.shelf.made) == sorted(SWEEPS)


@pytest.mark.parametrize("changed", ["rows", "symbols", "search", "gate"])
def test_a_run_goes_on_with_what_it_was_started_on_or_not_at_all(driver, changed):
    """Also where the model it was started with is made: the others would be judged by other rows, or less strictly."""
    driver.dies = "one.A"
    driver.killed()
    recipe = driver.workspace.recipe
    more = recipe.universe.model_copy(update={"symbols": (*SYMBOLS, "F")})
    update = {
        "symbols": {"universe": more},
        "search": {"search": recipe.search.model_copy(update={"trials": 2})},
        "gate": {"gate": recipe.gate.model_copy(update={"confidence": 0.9})},
    }
    driver.workspace = replace(driver.workspace, recipe=recipe.model_copy(update=update.get(changed, {})))
    driver.panel = rows(seed=1) if changed == "rows" else driver.panel
    with pytest.raises(ConfigError, match="other families, options, gate, symbols or rows"):
        driver.train(resume="one")
    assert [name for name, _ in driver.began] == SWEEPS[:2]


def test_a_symbol_made_alone_goes_on_under_the_name_of_its_run(driver):
    driver.dies = "one"
    driver.killed(symbol="C")
    assert driver.train(symbol="C", resume="one") == 1
    assert driver.train(symbol="C", resume="one") == 1  # it is made
    assert driver.began == [("one", False), ("one", True)]
    with pytest.raises(ConfigError, match="no run to resume"):
        driver.train(symbol="C", resume="two")


@pytest.mark.parametrize(
    ("symbol", "dies", "told"), [(None, "one.C", "--trials 1 --resume one"), ("C", "one", "--symbol C --resume one")]
)
def test_a_run_that_is_stopped_says_how_all_of_it_goes_on(driver, monkeypatch, capsys, symbol, dies, told):
    monkeypatch.setitem(globals(), "Killed", KeyboardInterrupt)
    driver.dies = dies
    with pytest.raises(KeyboardInterrupt):
        driver.train(symbol=symbol)
    said = " ".join(capsys.readouterr().out.split())
    assert f"{told}` goes on where it was" in said


def test_symbols_of_a_run_have_sweeps_of_their_own_whatever_they_are_called():
    names = [own_run("one", symbol) for symbol in ("BRK/B", "BRK-B", "BRK B", "S&P 500", "É", "..", "A/", "A~2F")]
    assert len(set(names)) == len(names)
    assert all(name.isascii() and not set(name) & set(" /&?#%'") for name in names)
