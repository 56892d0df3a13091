"""Versions come back as they went in; an alias moves only past the gate and with a line in the ledger."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from bellwether.errors import ConfigError, GateRefused, NoChampion, RegistryError, UnknownName
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.constant import Constant
from bellwether.models.predictor import Predictor
from bellwether.registry import ALIASES, Ledger, Registry
from pipelines import leaderboard

ROOT = Path(__file__).resolve().parents[1]
START = datetime(2025, 6, 1, tzinfo=UTC)
PASSED = {"passed": True, "champion": 0.31, "baseline": 0.2, "lift": 0.11, "low": 0.05, "high": 0.17, "reason": "ok"}
REFUSED = PASSED | {"passed": False, "champion": 0.21, "lift": 0.01, "low": -0.0123, "reason": "not above 0"}


def artefact(verdict: dict[str, Any] = PASSED, share: float = 0.25) -> Artefact:
    graph = Constant(probabilities=np.array([share, 1 - share]), n_features=2).graph()
    contract = Contract(
        recipe="index-hourly", universe="u", symbols=("A",), interval="1h", family="constant", params={"C": 0.1},
        seed=3, feature_set="hourly", features=("rsi", "atr"), definition="d", warmup=20, target="action_5", horizon=1,
        overnight="keep", classes=("down", "up"), edges=(0.0,), buy=0.5, sell=-0.5, train_start=START, train_end=START,
        train_rows=100, metrics={}, baselines={}, verdict=verdict, versions={}, created_at=START,
        sha256=hashlib.sha256(graph).hexdigest(),
    )  # fmt: skip
    return Artefact(content=graph, contract=contract)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database for the file, because its schema takes seconds; each test has a model name of its own."""
    return tmp_path_factory.mktemp("of models") / "below" / "mlflow.db"


@pytest.fixture
def registry(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.chdir(tmp_path)
    ticks = count()
    ledger = Ledger(str(tmp_path / "promotions.jsonl"))
    return Registry(f"sqlite:///{store}", ledger, clock=lambda: START + timedelta(seconds=next(ticks)))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).translate({ord("["): "-", ord("]"): None})


def registered(registry: Registry, name: str, versions: int = 1) -> None:
    for version in range(1, versions + 1):
        made = artefact(share=version / 10)
        assert registry.register(name, made, files={}, metrics={"macro_f1": 0.3}) == version


def promoted(registry: Registry, name: str, *versions: int, alias: str = "Production") -> None:
    for version in versions:
        registry.promote(name, version, alias, who="ada", why="better")


def lines(registry: Registry) -> list[tuple[str, int | None, int | None]]:
    return [(e.action, e.version, e.previous) for e in registry.ledger.entries()]


def run_of(registry: Registry, name: str, version: int) -> Any:
    client = registry._backend.client
    return client.get_run(client.get_model_version(name, str(version)).run_id)


def test_what_is_registered_is_loaded(registry, name):
    assert registry.versions(name) == []
    assert registry.register(name, artefact(), files={"leaderboard.json": "[1, 2]"}, metrics={"macro_f1": 0.31}) == 1
    assert registry.register(name, artefact(REFUSED, share=0.5), metrics={}) == 2
    version, loaded = registry.load(name, 1)
    assert (version, loaded) == (1, artefact())
    assert registry.contract(name, 2) == artefact(REFUSED, share=0.5).contract
    assert Predictor(loaded).predict(np.zeros((1, 2))).tolist() == [[0.25, 0.75]]
    assert registry.read(name, 1, "leaderboard.json") == "[1, 2]"


def test_a_version_knows_the_sweep_that_made_it(registry, name):
    assert registry.made_by(name, "one") is None
    for sweep in ("one", "two", ""):
        registry.register(name, artefact(), metrics={}, sweep=sweep)
    assert [v.sweep for v in registry.versions(name)] == ["", "two", "one"]
    assert [registry.made_by(name, sweep) for sweep in ("two", "three")] == [registry.versions(name)[1], None]


def test_versions_are_listed_newest_first(registry, name):
    registry.register(name, artefact(), metrics={})
    registry.register(name, artefact(REFUSED), metrics={})
    promoted(registry, name, 1)
    promoted(registry, name, 1, alias="Staging")
    second, first = registry.versions(name)
    assert (first.version, first.aliases, first.passed) == (1, ("Production", "Staging"), True)
    assert (second.version, second.aliases, second.passed) == (2, (), False)
    assert (first.family, first.score, second.score) == ("constant", 0.31, 0.21)
    assert abs(first.created_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_more_versions_than_a_page_are_all_listed(registry, name, monkeypatch):
    registered(registry, name, 3)
    ask = registry._backend.client.search_model_versions
    small = lambda query, page_token: ask(query, max_results=2, page_token=page_token)  # noqa: E731
    monkeypatch.setattr(registry._backend.client, "search_model_versions", small)
    assert [v.version for v in registry.versions(name)] == [3, 2, 1]


def test_a_version_is_an_mlflow_run_beside_the_database(registry, name, store, tmp_path):
    registry.register(name, artefact(), files={"leaderboard.json": "[]"}, metrics={"macro_f1": 0.31, "lift": 0.11})
    run = run_of(registry, name, 1)
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"macro_f1": 0.31, "lift": 0.11}
    assert run.data.params == {"family": "constant", "seed": "3", "horizon": "1", "C": "0.1"}
    assert registry._backend.client.get_experiment(run.info.experiment_id).name == "bellwether"
    place = store.parent / "artifacts" / run.info.run_id / "artifacts"
    files = sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file())
    assert files == ["leaderboard.json", "model/MLmodel", "model/contract.json", "model/model.onnx"]
    assert list(tmp_path.iterdir()) == []  # the working directory


def test_other_tools_find_an_mlflow_onnx_model(registry, name):
    import mlflow.onnx

    registered(registry, name)
    source = registry._backend.client.get_model_version(name, "1").source
    assert mlflow.onnx.load_model(source) == onnx.load_from_string(registry.load(name, 1)[1].content)


def test_mlflows_global_state_is_left_alone(registry, name):
    import mlflow

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri(), mlflow.active_run()
    registered(registry, name)
    promoted(registry, name, 1)
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), mlflow.active_run()) == before


def test_an_alias_is_followed(registry, name):
    registered(registry, name, 2)
    promoted(registry, name, 1)
    assert registry.load(name, "Production")[0] == 1
    promoted(registry, name, 2)
    promoted(registry, name, 1, alias="Staging")
    assert (registry.resolve(name, "Production"), registry.resolve(name, "Staging")) == (2, 1)


def test_the_ledger_tells_who_when_what_and_why(registry, name):
    registered(registry, name, 2)
    promoted(registry, name, 1)
    registry.promote(name, 2, "Production", who="grace", why="more data")
    last = registry.ledger.entries()[-1]
    assert (last.who, last.why, last.name, last.alias) == ("grace", "more data", name, "Production")
    assert (last.action, last.version, last.previous) == ("promote", 2, 1)
    assert last.ts == START + timedelta(seconds=1)
    assert last.gate == PASSED


def test_promoting_the_holder_again_writes_nothing(registry, name):
    registered(registry, name)
    promoted(registry, name, 1, 1)
    assert lines(registry) == [("promote", 1, None)]


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("verdict", [REFUSED, {}, {"passed": "yes"}])
def test_what_the_gate_refused_gets_no_alias(registry, name, alias, verdict):
    registry.register(name, artefact(verdict), metrics={})
    with pytest.raises(GateRefused, match=f"version 1 .constant. cannot become {alias}") as raised:
        registry.promote(name, 1, alias, who="ada", why="hope")
    if verdict is REFUSED:
        assert "not above 0 (champion 0.2100, baseline 0.2000, lift 0.0100, low -0.0123" in str(raised.value)
    assert registry.versions(name)[0].aliases == ()
    assert registry.ledger.entries() == ()


def test_rollbacks_undo_promotions_one_by_one(registry, name):
    registered(registry, name, 3)
    promoted(registry, name, 3, 1, 2)
    back = [registry.rollback(name, "Production", who="ada", why="worse") for _ in range(2)]
    assert back == [1, 3]
    assert registry.resolve(name, "Production") == 3
    with pytest.raises(RegistryError, match="version 3 is the first the ledger knows as Production"):
        registry.rollback(name, "Production", who="ada", why="worse")
    assert lines(registry)[3:] == [("rollback", 1, 2), ("rollback", 3, 1)]
    assert [registry.given(name, alias) for alias in ("Production", "Staging")] == [(3, 1, 2, 1, 3), ()]


def test_a_rollback_to_a_version_that_is_gone_is_refused(registry, name):
    registered(registry, name, 2)
    promoted(registry, name, 1, 2)
    registry._backend.client.delete_model_version(name, "1")
    with pytest.raises(RegistryError, match="has no version 1: it has 2"):
        registry.rollback(name, "Production", who="ada", why="worse")
    assert registry.resolve(name, "Production") == 2
    assert registry.unsettled(name) == ()


@pytest.mark.parametrize("action", ["promote", "rollback"])
def test_a_crash_between_ledger_and_alias_is_seen_and_made_good(registry, name, monkeypatch, action):
    registered(registry, name, 3)
    promoted(registry, name, 1, 2)

    def move() -> None:
        if action == "promote":
            registry.promote(name, 3, "Production", who="ada", why="again")
        else:
            registry.rollback(name, "Production", who="ada", why="again")

    with monkeypatch.context() as patch:
        patch.setattr(registry._backend.client, "set_registered_model_alias", lambda *a: sys.exit("killed"))
        with pytest.raises(SystemExit):
            move()
    target = 3 if action == "promote" else 1
    assert registry.resolve(name, "Production") == 2
    assert registry.unsettled(name) == (
        f"Production of {name} is on 2, the ledger says {target}: a move was not finished, or made elsewhere",
    )
    move()
    assert registry.resolve(name, "Production") == target
    assert registry.unsettled(name) == ()
    assert lines(registry)[2:] == [(action, target, 2), ("settle", 2, target), (action, target, 2)]


def test_an_alias_moved_elsewhere_is_seen_and_settled(registry, name):
    registered(registry, name, 3)
    promoted(registry, name, 1)
    registry._backend.client.set_registered_model_alias(name, "Production", "2")
    assert len(registry.unsettled(name)) == 1
    promoted(registry, name, 3)
    assert lines(registry) == [("promote", 1, None), ("settle", 2, 1), ("promote", 3, 2)]
    assert registry.rollback(name, "Production", who="ada", why="worse") == 2


def test_a_rollback_never_goes_to_a_version_its_gate_refused(registry, name):
    for verdict in (PASSED, REFUSED, PASSED):
        registry.register(name, artefact(verdict), metrics={})
    promoted(registry, name, 1)
    registry._backend.client.set_registered_model_alias(name, "Production", "2")
    promoted(registry, name, 3)
    before = registry.ledger.entries()
    with pytest.raises(
        GateRefused, match=r"version 2 .* its gate refused it: not above 0 .* Promote a version that passed"
    ):
        registry.rollback(name, "Production", who="ada", why="worse")
    assert registry.resolve(name, "Production") == 3
    assert registry.ledger.entries() == before


def test_two_stores_may_share_a_ledger_and_follow_only_their_own_lines(registry, name, tmp_path):
    other = Registry(f"sqlite:///{tmp_path / 'other' / 'mlflow.db'}", registry.ledger)
    registered(registry, name, 3)
    registered(other, name, 3)
    promoted(registry, name, 1)
    promoted(other, name, 3)
    promoted(registry, name, 2)
    assert (registry.unsettled(name), other.unsettled(name)) == ((), ())
    assert registry.rollback(name, "Production", who="ada", why="worse") == 1
    assert other.resolve(name, "Production") == 3
    with pytest.raises(RegistryError, match="version 3 is the first the ledger knows"):
        other.rollback(name, "Production", who="ada", why="worse")
    assert [e.action for e in registry.ledger.entries()] == ["promote", "promote", "promote", "rollback"]


def test_the_leaderboard_warns_of_each_alias_the_ledger_disagrees_with(registry, name, capsys):
    registry.register(name, artefact(), files={"leaderboard.json": "[]"}, metrics={})
    workspace = SimpleNamespace(recipe=SimpleNamespace(name=name), registry=registry)
    promoted(registry, name, 1)
    leaderboard.run(workspace)
    assert "warning" not in capsys.readouterr().out
    registry._backend.client.set_registered_model_alias(name, "Staging", "1")
    leaderboard.run(workspace)
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert warnings == [f"warning: {line}" for line in registry.unsettled(name)]
    assert len(warnings) == 1


def test_a_broken_ledger_stops_promotions(registry, name):
    registered(registry, name, 2)
    promoted(registry, name, 1)
    registry.ledger.path.write_bytes(registry.ledger.path.read_bytes()[:-5])
    with pytest.raises(RegistryError, match="line 1 is incomplete"):
        promoted(registry, name, 2)
    assert registry.resolve(name, "Production") == 1


def test_nobody_moves_an_alias_without_saying_who_and_why(registry, name):
    registered(registry, name)
    with pytest.raises(RegistryError, match="needs to know why"):
        registry.promote(name, 1, "Production", who="ada", why=" ")
    with pytest.raises(RegistryError, match="needs to know who"):
        registry.rollback(name, "Production", who="", why="worse")


def test_what_is_not_there_is_said(registry, name):
    with pytest.raises(NoChampion, match=f"no version of {name} carries Production: train with `bellwether train"):
        registry.load(name, "Production")
    with pytest.raises(RegistryError, match="has no version 1: it has none yet"):
        registry.load(name, 1)
    registered(registry, name, 2)
    with pytest.raises(NoChampion):
        registry.rollback(name, "Staging", who="ada", why="worse")
    with pytest.raises(RegistryError, match="has no version 7: it has 1, 2"):
        promoted(registry, name, 7)
    with pytest.raises(UnknownName, match="no alias 'production'; known: Production, Staging"):
        promoted(registry, name, 1, alias="production")
    with pytest.raises(RegistryError, match=r"cannot read nothing\.txt of"):
        registry.read(name, 1, "nothing.txt")
    assert registry.ledger.entries() == ()


def test_a_changed_graph_is_not_loaded(registry, name, store):
    registered(registry, name)
    run = run_of(registry, name, 1).info.run_id
    graph = store.parent / "artifacts" / run / "artifacts" / "model" / "model.onnx"
    graph.write_bytes(artefact(share=0.9).content)
    with pytest.raises(RegistryError, match="version 1 cannot be used: the model's sha256 is"):
        registry.load(name, 1)


def test_a_failed_upload_makes_no_version(registry, name, monkeypatch):
    client = registry._backend.client
    monkeypatch.setattr(client, "log_artifacts", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(RegistryError, match=f"cannot register {name}: .*No space left"):
        registry.register(name, artefact(), metrics={})
    assert registry.versions(name) == []
    (run,) = client.search_runs([registry._backend.experiment], f"run_name = '{name} constant'")
    assert run.info.status == "FAILED"


@pytest.mark.parametrize("bad", ["a/b", "it's", ""])
def test_names_that_mlflow_cannot_hold_are_refused(registry, bad):
    with pytest.raises(RegistryError, match="a model cannot be called"):
        registry.register(bad, artefact(), metrics={})


@pytest.mark.parametrize("file", ["../x", "a/b", "model"])
def test_files_outside_the_run_are_refused(registry, name, file):
    with pytest.raises(RegistryError, match="is no plain file name"):
        registry.register(name, artefact(), files={file: ""}, metrics={})


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_that_is_no_file_is_refused(tmp_path, uri):
    with pytest.raises(ConfigError, match="is no file"):
        Registry(uri, Ledger(str(tmp_path / "l"))).versions("m")


@pytest.mark.parametrize("uri", ["sqlite:///{}/mlflow.db", "sqlite:///{}"])
def test_a_store_that_cannot_be_opened_is_one_line(tmp_path, uri):
    (tmp_path / "file").write_text("no database\n" * 100)
    with pytest.raises(RegistryError, match=r"cannot open the MLflow store: .*file") as raised:
        Registry(uri.format(tmp_path / "file"), Ledger(str(tmp_path / "l"))).versions("m")
    assert "\n" not in str(raised.value)


FIRST_USE = """
import socket, sys
def refuse(self, address): raise SystemExit(f"went out to {address}")
socket.socket.connect = refuse
sys.path.insert(0, "tests")
from test_registry import artefact
from bellwether.models.predictor import Predictor
from bellwether.registry import Ledger, Registry
home = sys.argv[1]
registry = Registry(f"sqlite:///{home}/mlflow.db", Ledger(f"{home}/l.jsonl"))
version = registry.register("race", artefact(), metrics={})
Predictor(registry.load("race", version)[1])
print(version)
"""


def test_two_processes_may_be_the_first_quietly_and_without_a_network(tmp_path):
    quiet = {
        k: v
        for k, v in os.environ.items()
        if k not in ("CI", "PYTEST_CURRENT_TEST", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
    }
    quiet |= {"HOME": str(tmp_path / "user"), "XDG_CONFIG_HOME": str(tmp_path / "user")}
    command = [sys.executable, "-c", FIRST_USE, str(tmp_path)]
    both = [
        subprocess.Popen(command, cwd=ROOT, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    assert sorted(said) == [("1\n", ""), ("2\n", "")]
    assert not (tmp_path / "user").exists()  # where MLflow and onnxruntime would keep the id they report under
