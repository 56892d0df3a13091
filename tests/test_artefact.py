"""An artefact is two files that belong together: what is saved is what is loaded, or an error that says why not."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bellwether.errors import BadFeatures, ModelError
from bellwether.models import FAMILIES
from bellwether.models.artefact import CONTRACT, FILES, Artefact, Contract
from bellwether.models.base import Family, Task
from bellwether.models.bundle import Bundle
from bellwether.models.constant import Constant
from bellwether.models.predictor import Predictor

MODEL = Constant(probabilities=np.array([0.25, 0.75]), n_features=3)


def contract(graph: bytes, **changes: object) -> Contract:
    now = datetime(2025, 6, 1, 12, 30, 0, 123456, tzinfo=UTC)
    fields: dict[str, Any] = {
        "recipe": "index-hourly", "universe": "u", "symbols": ("A", "B"), "interval": "1h", "family": "constant",
        "params": {"C": 0.1}, "seed": 3, "feature_set": "hourly", "features": ("rsi", "atr", "hour"),
        "definition": "d", "warmup": 20, "target": "action_5", "horizon": 1, "overnight": "keep",
        "classes": ("down", "up"), "edges": (0.1,), "buy": 0.5, "sell": -0.5, "train_start": now, "train_end": now,
        "train_rows": 100, "metrics": {"macro_f1": 0.1 + 0.2}, "baselines": {}, "verdict": {"passed": True},
        "versions": {"numpy": "2"}, "sha256": hashlib.sha256(graph).hexdigest(), "created_at": now,
    }  # fmt: skip
    return Contract(**fields | changes)


def artefact(**changes: object) -> Artefact:
    graph = MODEL.graph()
    return Artefact(content=graph, contract=contract(graph, **changes))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    artefact().save(tmp_path / "model")
    return tmp_path / "model"


def edit(directory: Path, **changes: object) -> None:
    path = directory / CONTRACT
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def test_what_is_saved_is_loaded(saved):
    assert Artefact.load(saved) == artefact()
    assert sorted(p.name for p in saved.iterdir()) == [CONTRACT, FILES["onnx"]]


numbers = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
moments = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]))


@given(
    params=st.dictionaries(st.text(), plain, max_size=3),
    edges=st.lists(numbers).map(tuple),
    buy=numbers,
    created_at=moments,
)
def test_a_contract_survives_json_exactly(params, edges, buy, created_at):
    made = contract(b"", params=params, edges=edges, buy=buy, created_at=created_at)
    read = Contract.parse(made.model_dump_json())
    assert read == made
    assert read.params == params
    assert read.edges == edges


def test_mappings_hold_what_json_gives_back():
    made = contract(b"", metrics={"folds": (0.1, np.float64(0.2)), 3: "three"})
    assert made.metrics == {"folds": [0.1, 0.2], "3": "three"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.int64(3), {1, 2}])
@pytest.mark.parametrize("field", ["params", "metrics", "baselines", "verdict"])
def test_what_json_cannot_say_is_refused_by_name(field, value):
    with pytest.raises(ValidationError, match=rf"{field}\n.*use numbers that are finite"):
        contract(b"", **{field: {"x": value}})


@pytest.mark.parametrize("changes", [{"edges": (float("nan"),)}, {"features": ()}, {"sha256": "abc"}, {"surprise": 1}])
def test_a_contract_that_makes_no_sense_is_refused(changes):
    with pytest.raises(ValidationError, match=next(iter(changes))):
        contract(b"", **changes)


def test_a_contract_is_not_changed_in_place():
    with pytest.raises(ValidationError, match="frozen"):
        contract(b"").seed = 4


def test_another_graph_under_the_same_contract_is_refused(saved):
    other = Constant(probabilities=np.array([0.5, 0.5]), n_features=3).graph()
    (saved / FILES["onnx"]).write_bytes(other)
    with pytest.raises(ModelError, match="do not belong together"):
        Artefact.load(saved)


def test_a_graph_that_is_no_onnx_is_refused(saved):
    (saved / FILES["onnx"]).write_bytes(b"junk")
    edit(saved, sha256=hashlib.sha256(b"junk").hexdigest())
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        Artefact.load(saved)


def test_a_contract_of_another_schema_is_refused_before_its_fields_are_read(saved):
    edit(saved, schema_version=3, something_new=True)
    with pytest.raises(ModelError, match="schema version 3 and this Bellwether reads 2"):
        Artefact.load(saved)


@pytest.mark.parametrize(
    ("changes", "said"), [({"surprise": 1}, "surprise: Extra inputs"), ({"warmup": "many"}, "warmup: Input should")]
)
def test_a_damaged_contract_names_the_field(saved, changes, said):
    edit(saved, **changes)
    with pytest.raises(ModelError, match=f"contract.json is damaged: {said}"):
        Artefact.load(saved)


@pytest.mark.parametrize("text", ["", "[]", "{}", "no json", "[" * 100_000])
def test_a_file_that_is_no_contract_is_refused(saved, text):
    (saved / CONTRACT).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="is not a contract"):
        Artefact.load(saved)


@pytest.mark.parametrize("name", [FILES["onnx"], CONTRACT])
def test_a_missing_file_is_reported(saved, name):
    (saved / name).unlink()
    with pytest.raises(ModelError, match="holds no artefact"):
        Artefact.load(saved)


def test_saving_does_not_overwrite(saved):
    with pytest.raises(ModelError, match=r"cannot save to .*choose a new directory"):
        artefact(seed=9).save(saved)
    assert Artefact.load(saved) == artefact()
    assert list(saved.parent.iterdir()) == [saved]


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    synced = []

    def fail_at_the_second(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail_at_the_second)
    with pytest.raises(ModelError, match="No space left on device"):
        artefact().save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_mismatched_parts_are_not_saved(tmp_path):
    made = artefact()
    with pytest.raises(ModelError, match="do not belong together"):
        Artefact(content=made.content + b"\0", contract=made.contract).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_predictor_answers_in_the_contracts_order():
    predictor = Predictor(artefact())
    assert predictor.classes == ("down", "up")
    np.testing.assert_array_equal(predictor.predict(np.ones((2, 3))), np.float32([[0.25, 0.75]] * 2))


@pytest.mark.parametrize("changes", [{"classes": ("down", "same", "up")}, {"features": ("rsi", "atr")}])
def test_a_predictor_refuses_a_graph_of_another_shape(changes):
    with pytest.raises(ModelError, match="they do not belong together"):
        Predictor(artefact(**changes))


def test_a_predictor_refuses_what_onnxruntime_cannot_load():
    with pytest.raises(ModelError, match="onnxruntime cannot load the graph"):
        Predictor(Artefact(content=b"junk", contract=contract(b"junk")))


def test_a_graph_reads_no_other_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.array([0.5, 0.5], np.float32).tofile("elsewhere")
    graph = onnx.load_from_string(MODEL.graph())
    fixed = next(tensor for tensor in graph.graph.initializer if tensor.name == "fixed")
    fixed.ClearField("raw_data")
    fixed.data_location = onnx.TensorProto.EXTERNAL
    fixed.external_data.add(key="location", value="elsewhere")
    content = graph.SerializeToString()
    with pytest.raises(ModelError, match="onnxruntime cannot load the graph"):
        Predictor(Artefact(content=content, contract=contract(content)))


@dataclass
class Wide:
    """A restored model with as many answers as its bundle says."""

    outputs: int

    def predict(self, x: Any) -> Any:
        return np.full((len(x), self.outputs), 1 / self.outputs)

    def graph(self) -> bytes:
        raise ModelError("no graph")


WIDE = Family(
    name="wide", tasks=frozenset(Task), space=lambda trial, task: {}, fit=lambda rows, params: Wide(1),
    restore=lambda bundle: Wide(bundle.facts["outputs"]),
)  # fmt: skip


def test_a_predictor_refuses_a_bundle_of_another_shape(monkeypatch):
    monkeypatch.setitem(FAMILIES, "wide", (__name__, "WIDE"))
    for outputs in (2, 3):
        content = Bundle({}, {"outputs": outputs}).serialise()
        made = Artefact(content=content, contract=contract(content, format="bundle", family="wide"))
        made.check()
        if outputs == 2:
            np.testing.assert_array_equal(Predictor(made).predict(np.ones((1, 3))), [[0.5, 0.5]])
            continue
        with pytest.raises(ModelError, match=r"the bundle's model gives \(3,\), the contract wants 2 columns"):
            Predictor(made)


@pytest.mark.parametrize("shape", [(3,), (1, 2), (1, 4), (1, 1, 3)])
def test_a_predictor_refuses_other_columns(shape):
    with pytest.raises(BadFeatures, match=r"shape \(n, 3\): rsi, atr, hour; got"):
        Predictor(artefact()).predict(np.ones(shape))
