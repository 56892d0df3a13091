"""What the table runs on every family, for every task it can do: nobody writes these again for a new one.

Fits are what takes time: most tests ask the one that `standard` keeps, of its market, and the others fit few rows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sklearn.metrics import f1_score

from bellwether.errors import BadFeatures, ModelError, TaskRefused
from bellwether.models import family, family_names
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import Bundled, Epoch, Family, Fitted, Ranged, Reads, Task
from bellwether.models.predictor import Predictor
from bellwether.models.training import Training, plain

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("return", "volatility", "rsi", "hour", "ulp", "noise")
CLASSES = ("strong_sell", "sell", "hold", "buy", "strong_buy")
CUTS = (-0.842, -0.253, 0.253, 0.842)
CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS

every_family = pytest.mark.parametrize("name", family_names())
every_task = pytest.mark.parametrize(
    ("name", "task"),
    [pytest.param(n, t, id=f"{n}-{t.value}") for n in family_names() for t in sorted(family(n).tasks, key=str)],
)
every_searched_task = pytest.mark.parametrize(
    ("name", "task"),
    [
        pytest.param(n, t, id=f"{n}-{t.value}")
        for n in family_names()
        for t in sorted(family(n).tasks, key=str)
        if not family(n).baseline
    ],
)
SIZE = 0.01
"""Standard deviation of a value: of the order of an hour's return."""

ROWS = 1200
"""Rows of the market that `standard` fits."""


def columns(name: str) -> tuple[str, ...]:
    """Names of one row of what a family reads."""
    if family(name).needs:
        return family(name).needs
    return {Reads.FEATURES: NAMES, Reads.PRICES: ("who", "a", "b")}.get(family(name).reads, ("outcome",))


def market(
    name: str, task: Task, signal: float, rows: int = ROWS, seed: int = 3, lookback: int | None = None
) -> Training:
    """Rows of one symbol in the shape a family reads, of whose outcome ``signal`` is the share that can be foreseen.

    Features are on the scales that real ones have: ``rsi`` and ``hour`` take few values, so that they fall on split
    points; ``ulp`` takes neighbouring float32 values, between which float32 has nothing. A family that reads outcomes
    gets an autoregressive series, one that reads prices two that are tied together.
    """
    lookback = lookback or family(name).standard(task).get("lookback", 1)
    rng = np.random.default_rng(seed)
    read = {Reads.FEATURES: features, Reads.PRICES: prices}.get(family(name).reads, outcomes)
    x, outcome = read(name, rng, signal, rows, lookback)
    if family(name).reads is Reads.LABELS:
        x = np.digitize(x, CUTS).astype(float)
    y = np.digitize(outcome, CUTS) if task is CLASSIFY else SIZE * outcome[:, None]
    if family(name).reads is Reads.OUTCOMES:
        x = SIZE * x
    classes = len(CLASSES) if task is CLASSIFY else 0
    return plain(x, y, classes=classes, lookback=lookback, names=columns(name))


def features(name: str, rng: np.random.Generator, signal: float, rows: int, lookback: int) -> tuple[Any, Any]:
    drive = rng.normal(size=rows)
    ulp = np.float32(0.1).view(np.int32) + rng.integers(0, 16, rows).astype(np.int32)
    x = np.column_stack(
        [
            1e-3 * drive,
            np.exp(rng.normal(-7, 1, rows)),
            (50 + 10 * rng.normal(size=rows)).round(1),
            rng.integers(10, 17, rows),
            ulp.view(np.float32),
            rng.normal(size=rows),
        ]
    )
    if needs := family(name).needs:
        x = 1 / (1 + np.exp(-np.column_stack([drive, *rng.normal(size=(len(needs) - 1, rows))])))  # shares
    outcome = np.sqrt(signal) * drive + np.sqrt(1 - signal) * rng.normal(size=rows)
    back = np.maximum(np.arange(rows)[:, None] + np.arange(1 - lookback, 1), 0)
    return x[back].reshape(rows, -1), outcome


def outcomes(name: str, rng: np.random.Generator, signal: float, rows: int, lookback: int) -> tuple[Any, Any]:
    series = np.zeros(rows + lookback + 100)
    for k in range(1, len(series)):
        series[k] = np.sqrt(signal) * series[k - 1] + np.sqrt(1 - signal) * rng.normal()
    at = np.arange(len(series) - rows, len(series))
    return series[at[:, None] + np.arange(-lookback, 0)], series[at]


def prices(name: str, rng: np.random.Generator, signal: float, rows: int, lookback: int) -> tuple[Any, Any]:
    leader = np.cumsum(0.3 * SIZE * rng.normal(size=rows + 1))
    gap = np.zeros(rows + 1)
    for k in range(rows):
        gap[k + 1] = (1 - signal) * gap[k] + SIZE * rng.normal()
    follower = leader + gap if signal else np.cumsum(SIZE * rng.normal(size=rows + 1))
    x = np.column_stack([np.zeros(rows), 3 + follower[:-1], 4 + leader[:-1]])
    moved = np.diff(follower)
    return x, moved / moved.std()


def drawn(name: str, task: Task, seed: int = 7) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters from a family's space, and the names and values that Optuna recorded."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    return family(name).space(trial, task), trial.params


@cache
def standard(name: str, task: Task, signal: float = 0.6) -> tuple[Fitted, Training]:
    """A family with its defaults on the market above, or on fewer rows of noise; fitted once a session."""
    rows = market(name, task, signal, ROWS if signal else ROWS // 2)
    return family(name).train(rows, family(name).standard(task)), rows


@cache
def again(name: str, task: Task) -> tuple[Fitted, list[Epoch]]:
    """The same fit once more, epoch by epoch."""
    walk, epochs = family(name).walk(standard(name, task)[1], family(name).standard(task)), []
    while True:
        try:
            epochs.append(next(walk))
        except StopIteration as end:
            return end.value, epochs


@cache
def opened(name: str, task: Task) -> Predictor:
    """The standard model as it is served."""
    return Predictor(artefact(name, task, *standard(name, task)))


def artefact(name: str, task: Task, model: Fitted, rows: Training, **changes: object) -> Artefact:
    return made_artefact(
        model, family=name, features=columns(name), lookback=rows.lookback, classes=CLASSES if rows.classes else (),
        **changes,
    )  # fmt: skip


def made_artefact(model: Fitted, **changes: object) -> Artefact:
    bundled = isinstance(model, Bundled)
    content, now = model.bundle().serialise() if bundled else model.graph(), datetime(2025, 6, 1, tzinfo=UTC)
    fields: dict[str, Any] = {
        "recipe": "r", "universe": "u", "symbols": ("A",), "interval": "1h", "family": "f", "params": {}, "seed": 0,
        "feature_set": "s", "features": NAMES, "definition": "d", "warmup": 1, "target": "action_5", "horizon": 1,
        "overnight": "keep", "classes": CLASSES, "edges": (-2.0, -1.0, 1.0, 2.0), "buy": 0.5, "sell": -0.5,
        "train_start": now, "train_end": now, "train_rows": 1, "metrics": {}, "baselines": {}, "verdict": {},
        "versions": {}, "format": "bundle" if bundled else "onnx", "ranged": isinstance(model, Ranged),
        "sha256": hashlib.sha256(content).hexdigest(), "created_at": now,
    }  # fmt: skip
    return Artefact(content=content, contract=Contract(**fields | changes))


def score(model: Fitted, rows: Training) -> float:
    """Macro-F1, or the share of the variance about zero that is explained."""
    answer = model.predict(rows.x)
    if rows.classes:
        return float(f1_score(rows.y, answer.argmax(axis=1), average="macro", zero_division=0.0))
    return float(1 - np.mean((rows.y - answer) ** 2) / np.mean(rows.y**2))


@every_family
def test_the_table_is_the_name(name):
    found = family(name)
    assert isinstance(found, Family)
    assert found.name == name
    assert found.tasks


@every_task
def test_the_same_arguments_give_the_same_model(name, task):
    one, rows = standard(name, task)
    two, _ = again(name, task)
    np.testing.assert_array_equal(one.predict(rows.x), two.predict(rows.x))
    if isinstance(one, Bundled):
        assert one.bundle().serialise() == two.bundle().serialise()
    else:
        assert one.graph() == two.graph()


@every_task
def test_an_answer_is_probabilities_or_finite_values(name, task):
    model, rows = standard(name, task)
    answer = model.predict(rows.x)
    if task is REGRESS:
        assert answer.shape == (len(rows.x), 1)
        assert np.isfinite(answer).all()
        return
    assert answer.shape == (len(rows.x), len(CLASSES))
    assert answer.min() >= 0
    np.testing.assert_allclose(answer.sum(axis=1), 1.0, atol=1e-6)


def assert_served(predictor: Predictor, model: Fitted, x: np.ndarray, task: Task) -> None:
    """Answers and quantiles behind onnxruntime are the native ones."""
    size = 1e-5 * (1.0 if task is CLASSIFY else SIZE)
    np.testing.assert_allclose(predictor.predict(x), model.predict(x), rtol=0, atol=size)
    if isinstance(model, Ranged):
        ranges = predictor.quantiles(x)
        np.testing.assert_allclose(ranges, model.quantiles(x), rtol=0, atol=size)
        assert (np.diff(ranges, axis=-1) >= 0).all()


@every_task
def test_what_is_served_equals_the_native_model_on_ten_thousand_rows(name, task):
    model, rows = standard(name, task)
    many = np.vstack([rows.x, market(name, task, 0.6, rows=10_000 - len(rows.x), seed=8).x])
    assert len(many) == 10_000
    for some in np.array_split(many, 10):  # an open session keeps the memory of its largest run
        assert_served(opened(name, task), model, some, task)


@every_task
@pytest.mark.parametrize("point", [0, 1])
def test_what_is_served_equals_the_native_model_wherever_a_search_may_go(name, task, point):
    params = drawn(name, task, point)[0]
    rows = market(name, task, 0.6, rows=300, lookback=params.get("lookback"))
    model = family(name).train(rows, params)
    assert_served(Predictor(artefact(name, task, model, rows)), model, rows.x, task)


@every_task
def test_one_row_is_served_as_in_a_batch(name, task):
    rows, predictor = standard(name, task)[1], opened(name, task)
    batch = predictor.predict(rows.x[:50])
    one_by_one = np.vstack([predictor.predict(rows.x[i : i + 1]) for i in range(50)])
    np.testing.assert_allclose(one_by_one, batch, rtol=0, atol=1e-6)
    assert predictor.predict(rows.x[:0]).shape == (0, batch.shape[1])


@every_task
def test_saved_and_loaded_predicts_the_same(name, task, tmp_path):
    model, rows = standard(name, task)
    made = artefact(name, task, model, rows)
    made.save(tmp_path / "model")
    read = Artefact.load(tmp_path / "model")
    np.testing.assert_array_equal(Predictor(read).predict(rows.x), opened(name, task).predict(rows.x))


@every_task
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_a_bad_feature_is_named(name, task, value):
    rows = standard(name, task)[1]
    column = min(2, len(rows.names) - 1)
    x = rows.x[:400].copy()
    place = x.shape[1] - len(rows.names) + column
    x[4, place] = value
    with pytest.raises(BadFeatures, match=f"feature {rows.names[column]}.* of row 4 is"):
        opened(name, task).predict(x)
    bad = replace(rows.at(np.arange(400)), x=x)
    with pytest.raises(BadFeatures, match=rf"feature ({place}|{rows.names[column]}.*) of row 4 is"):
        family(name).train(bad, family(name).standard(task))


@every_searched_task
def test_planted_signal_is_found_and_more_than_in_noise(name, task):
    found, nothing = (score(standard(name, task, s)[0], market(name, task, s, 3000, seed=2)) for s in (0.6, 0.0))
    if task is CLASSIFY:
        assert found > max(0.33, nothing + 0.1)
    else:
        assert found > max(0.2, nothing + 0.2)


@every_task
def test_nothing_is_found_in_noise(name, task):
    found = score(standard(name, task, 0.0)[0], market(name, task, 0.0, 3000, seed=2))
    if task is CLASSIFY:
        assert found < 1 / len(CLASSES) + 0.035
    elif name != "last_return":  # which stakes all on the last outcome, whatever it is worth
        assert -0.3 < found < 0.03


@pytest.mark.parametrize("name", [n for n in family_names() if CLASSIFY in family(n).tasks])
@pytest.mark.parametrize("present", [(2,), (1, 4)])
def test_absent_classes_get_nothing_and_the_columns_keep_their_order(name, present):
    rows = market(name, CLASSIFY, 0.9, rows=2000)
    rows = rows.at(np.isin(rows.y, present))
    model = family(name).train(rows, family(name).standard(CLASSIFY))
    native, served = model.predict(rows.x), Predictor(artefact(name, CLASSIFY, model, rows)).predict(rows.x)
    absent = [c for c in range(len(CLASSES)) if c not in present]
    if family(name).reads is not Reads.LABELS:  # there, a class may have been seen before the rows were cut
        assert not native[:, absent].any()
        assert not served[:, absent].any()
    np.testing.assert_allclose(served, native, rtol=0, atol=1e-5)
    if not family(name).baseline and family(name).reads is Reads.FEATURES:
        assert np.mean(served.argmax(axis=1) == rows.y) > 0.65


@every_task
@pytest.mark.parametrize("seed", range(4))
def test_a_family_draws_only_below_its_name_and_its_defaults_are_in_its_space(name, task, seed):
    params, recorded = drawn(name, task, seed)
    assert {f"{name}.{key}": value for key, value in params.items() if f"{name}.{key}" in recorded} == recorded
    assert json.loads(json.dumps(params)) == params
    assert set(family(name).standard(task)) >= {key.removeprefix(f"{name}.") for key in recorded} or not recorded


@every_family
def test_other_tasks_are_refused(name):
    kind = family(name)
    for task in Task:
        if task in kind.tasks:
            kind.check(task)
        else:
            with pytest.raises(TaskRefused, match=f"{name} cannot {task.value}; it can: "):
                kind.check(task)
    if kind.steps:
        kind.check(REGRESS, steps=3)
    elif REGRESS in kind.tasks:
        with pytest.raises(TaskRefused, match=f"{name} predicts one step and the target has 3"):
            kind.check(REGRESS, steps=3)
    if kind.needs:
        with pytest.raises(TaskRefused, match=f"{name} needs the features {kind.needs[0]}"):
            kind.check(next(iter(kind.tasks)), names=())


@pytest.mark.parametrize("name", [n for n in family_names() if family(n).steps])
def test_several_steps_are_predicted_at_once(name):
    rows = market(name, REGRESS, 0.6, rows=400)
    rows = replace(rows, y=np.hstack([rows.y, -2 * rows.y]))
    model = family(name).train(rows, family(name).standard(REGRESS))
    native = model.predict(rows.x)
    assert native.shape == (len(rows.x), 2)
    served = Predictor(artefact(name, REGRESS, model, rows, steps=2)).predict(rows.x)
    np.testing.assert_allclose(served, native, rtol=0, atol=2e-5 * SIZE)
    if not family(name).baseline:
        assert np.corrcoef(native[:, 0], native[:, 1])[0, 1] < -0.9


@every_task
def test_a_family_that_reports_comes_to_its_end(name, task):
    epochs = again(name, task)[1]
    assert [e.done for e in epochs] == sorted(e.done for e in epochs)
    assert all(0 <= e.done <= 1 and np.isfinite([e.loss, e.validation, e.rate]).all() for e in epochs)


@every_task
def test_wrong_training_rows_are_refused(name, task):
    rows, params = market(name, task, 0.3, rows=50), family(name).standard(task)
    what = "class" if task is CLASSIFY else "value"
    with pytest.raises(ModelError, match=f"fit needs one {what} for each row, and at least one row; got 0 rows"):
        family(name).train(rows.at(np.arange(0)), params)
    with pytest.raises(BadFeatures, match=r"shape \(n, features\); got \(50,\)"):
        family(name).train(replace(rows, x=rows.x[:, 0]), params)
    if task is CLASSIFY:
        with pytest.raises(ModelError, match="must be in 0 … 4; got"):
            family(name).train(replace(rows, y=rows.y + 1), params)
    else:
        with pytest.raises(ModelError, match="values to fit to must be finite"):
            family(name).train(replace(rows, y=rows.y * np.nan), params)
    for weight in (0.0, -1.0, np.nan):
        with pytest.raises(ModelError, match="weights must be positive and finite; row 7 has"):
            family(name).train(replace(rows, weight=np.where(np.arange(50) == 7, weight, 1.0)), params)
