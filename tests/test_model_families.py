"""What the table runs on every family: nobody writes these again for a new one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_sample_weight

from bellwether.errors import BadFeatures, ModelError, TaskRefused, UnknownName
from bellwether.models import FAMILIES, family, family_names
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import Family, Fitted, Sampled, Task
from bellwether.models.predictor import Predictor
from bellwether.models.rows import training_rows

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("return", "volatility", "rsi", "hour", "ulp", "noise")
CLASSES = ("strong_sell", "sell", "hold", "buy", "strong_buy")

every_family = pytest.mark.parametrize("name", family_names())
every_searched_family = pytest.mark.parametrize("name", [n for n in family_names() if not family(n).baseline])


def market(signal: float, rows: int = 3000, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Features on the scales that real ones have, and five equally frequent classes.

    ``signal`` is the share of the outcome that the features explain. ``rsi`` and ``hour`` take few values, so that
    they fall on split points; ``ulp`` takes neighbouring float32 values, between which float32 has nothing.
    """
    rng = np.random.default_rng(seed)
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
    outcome = np.sqrt(signal) * drive + np.sqrt(1 - signal) * rng.normal(size=rows)
    return x, np.digitize(outcome, [-0.842, -0.253, 0.253, 0.842])


def drawn(name: str, seed: int = 7) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters from a family's space, and the names and values that Optuna recorded."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)).ask()
    return family(name).space(trial), trial.params


def fitted(name: str, x: np.ndarray, y: np.ndarray, point: int = 7) -> Fitted:
    return family(name).fit(x, y, drawn(name, point)[0], len(CLASSES), 0)


def artefact(model: Fitted, **changes: object) -> Artefact:
    graph, now = model.graph(), datetime(2025, 6, 1, tzinfo=UTC)
    fields: dict[str, Any] = {
        "recipe": "r", "universe": "u", "symbols": ("A",), "interval": "1h", "family": "f", "params": {}, "seed": 0,
        "feature_set": "s", "features": NAMES, "definition": "d", "warmup": 1, "target": "action_5", "horizon": 1,
        "overnight": "keep", "classes": CLASSES, "edges": (-2.0, -1.0, 1.0, 2.0), "buy": 0.5, "sell": -0.5,
        "train_start": now, "train_end": now, "train_rows": 1, "metrics": {}, "baselines": {}, "verdict": {},
        "versions": {}, "graph_sha256": hashlib.sha256(graph).hexdigest(), "created_at": now,
    }  # fmt: skip
    return Artefact(graph=graph, contract=Contract(**fields | changes))


def best_score(name: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Macro-F1 of the best of three points of the space, as a sweep would find: one draw may be a poor one."""
    answers = (fitted(name, *train, point).predict(test[0]).argmax(axis=1) for point in range(3))
    return max(float(f1_score(test[1], answer, average="macro", zero_division=0.0)) for answer in answers)


@every_family
def test_the_table_is_the_name(name):
    found = family(name)
    assert isinstance(found, Family)
    assert found.name == name


@every_family
def test_the_same_arguments_give_the_same_model(name):
    x, y = market(0.3)
    one, two = fitted(name, x, y), fitted(name, x, y)
    np.testing.assert_array_equal(one.predict(x), two.predict(x))
    assert one.graph() == two.graph()


@every_family
def test_probabilities_are_probabilities(name):
    x, y = market(0.3)
    p = fitted(name, x, y).predict(x)
    assert p.shape == (len(x), len(CLASSES))
    assert p.min() >= 0
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-6)


@every_family
@pytest.mark.parametrize("point", range(3))
def test_the_served_graph_equals_the_native_model(name, point):
    x, y = market(0.3, rows=6000)
    model = fitted(name, x, y, point)
    rows = np.vstack([x, market(0.3, rows=4000, seed=9)[0]])
    served = Predictor(artefact(model)).predict(rows)
    assert served.dtype == np.float32
    assert len(rows) == 10_000
    np.testing.assert_allclose(served, model.predict(rows), rtol=0, atol=1e-5)


@every_family
def test_one_row_is_served_as_in_a_batch(name):
    x, y = market(0.3)
    predictor = Predictor(artefact(fitted(name, x, y)))
    batch = predictor.predict(x[:50])
    one_by_one = np.vstack([predictor.predict(x[i : i + 1]) for i in range(50)])
    np.testing.assert_allclose(one_by_one, batch, rtol=0, atol=1e-6)
    assert predictor.predict(x[:0]).shape == (0, len(CLASSES))


@every_family
def test_saved_and_loaded_predicts_the_same(name, tmp_path):
    x, y = market(0.3)
    made = artefact(fitted(name, x, y))
    made.save(tmp_path / "model")
    read = Artefact.load(tmp_path / "model")
    np.testing.assert_array_equal(Predictor(read).predict(x), Predictor(made).predict(x))


@every_family
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_a_bad_feature_is_named(name, value):
    x, y = market(0.3, rows=400)
    predictor = Predictor(artefact(fitted(name, x, y)))
    x[4, 2] = value
    with pytest.raises(BadFeatures, match="feature rsi of row 4 is"):
        predictor.predict(x)
    with pytest.raises(BadFeatures, match="feature 2 of row 4 is"):
        fitted(name, x, y)


@every_searched_family
def test_planted_signal_is_found_and_shuffled_labels_teach_nothing(name):
    train, test = market(0.6, rows=4000, seed=1), market(0.6, rows=4000, seed=2)
    shuffled = train[0], np.random.default_rng(0).permutation(train[1])
    assert best_score(name, train, test) > max(0.35, best_score(name, shuffled, test) + 0.12)


@every_family
def test_nothing_is_found_in_noise(name):
    train, test = market(0.0, rows=4000, seed=1), market(0.0, rows=4000, seed=2)
    assert best_score(name, train, test) < 1 / len(CLASSES) + 0.03


@every_family
@pytest.mark.parametrize("present", [(2,), (1, 4), (0, 2, 3)])
def test_absent_classes_get_nothing_and_the_columns_keep_their_order(name, present):
    x, y = market(0.9)
    x, y = x[np.isin(y, present)], y[np.isin(y, present)]
    model = fitted(name, x, y)
    native, served = model.predict(x), Predictor(artefact(model)).predict(x)
    absent = [c for c in range(len(CLASSES)) if c not in present]
    assert not native[:, absent].any()
    assert not served[:, absent].any()
    np.testing.assert_allclose(served, native, rtol=0, atol=1e-5)
    if not family(name).baseline:
        assert np.mean(served.argmax(axis=1) == y) > 0.7


@every_family
@pytest.mark.parametrize("seed", range(5))
def test_a_family_draws_only_below_its_name(name, seed):
    params, recorded = drawn(name, seed)
    assert {f"{name}.{key}": value for key, value in params.items()} == recorded
    assert json.loads(json.dumps(params)) == params


@every_family
def test_other_tasks_are_refused(name):
    family(name).check(Task.CLASSIFY)
    with pytest.raises(TaskRefused, match=f"{name} cannot regress; it can: classify"):
        family(name).check(Task.REGRESS)


@every_family
def test_wrong_training_rows_are_refused(name):
    x, y = market(0.3, rows=50)
    with pytest.raises(ModelError, match="at least one row; got 0 rows, 0 classes"):
        fitted(name, x[:0], y[:0])
    with pytest.raises(ModelError, match="got 50 rows, 49 classes"):
        fitted(name, x, y[:-1])
    with pytest.raises(ModelError, match="must be in 0 … 4; got"):
        fitted(name, x, y + 1)
    with pytest.raises(BadFeatures, match=r"shape \(n, features\); got \(50,\)"):
        fitted(name, x[:, 0], y)


@pytest.mark.parametrize(("name", "strategy"), [("majority", "most_frequent"), ("stratified", "prior")])
def test_baselines_are_those_of_scikit_learn(name, strategy):
    x, y = market(0.3)
    y = np.where(y == 4, 2, y)
    expected = DummyClassifier(strategy=strategy).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(fitted(name, x, y).predict(x)[:, :4], expected)


def test_the_stratified_baseline_draws_its_labels():
    x, y = market(0.3, rows=20_000)
    y = np.where(y == 1, 2, y)
    model = fitted("stratified", x, y)
    assert isinstance(model, Sampled)
    labels = model.labels(x, 5)
    np.testing.assert_array_equal(labels, model.labels(x, 5))
    assert (labels != model.labels(x, 6)).any()
    shares = np.bincount(labels, minlength=5) / len(labels)
    np.testing.assert_allclose(shares, np.bincount(y, minlength=5) / len(y), atol=0.015)
    assert shares[1] == 0
    assert not isinstance(fitted("majority", x, y), Sampled)


def test_balanced_weights_are_those_of_scikit_learn():
    x, y = market(0.3)
    y = np.where(y == 1, 2, y)
    weights = training_rows(x, y, 5).balanced
    np.testing.assert_allclose(weights, compute_sample_weight("balanced", y))
    assert weights.mean() == pytest.approx(1.0)


def test_an_unknown_family_is_answered_with_the_known_ones():
    with pytest.raises(UnknownName, match="no model family 'catboost'; known: extra_trees, lightgbm"):
        family("catboost")


def test_the_table_imports_no_library_until_asked():
    heavy = {"lightgbm", "xgboost", "sklearn", "skl2onnx", "optuna", "mlflow"}
    code = (
        f"import sys, bellwether.models, bellwether.models.predictor, bellwether.registry; "
        f"print({heavy!r} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert len(FAMILIES) >= 7
