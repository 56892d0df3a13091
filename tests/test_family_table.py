"""The table of families, and what several of them share."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_limits

from bellwether.errors import ConfigError, ModelError, UnknownName
from bellwether.models import BASELINES, FAMILIES, family, family_names
from bellwether.models.base import Sampled, Task
from bellwether.models.rows import training_rows
from bellwether.models.training import Training, plain

ROOT = Path(__file__).resolve().parents[1]


def market(rows: int = 3000) -> Training:
    """Noise, and five classes of it."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 3))
    return plain(x, np.digitize(rng.normal(size=rows), [-0.842, -0.253, 0.253, 0.842]), classes=5)


def test_the_table_knows_its_baselines():
    assert {name for name in family_names() if family(name).baseline} == set(BASELINES)


def test_a_family_whose_library_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(FAMILIES, "dreamy", ("statsmodels.dreams", "DREAMY"))
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    with pytest.raises(ConfigError, match=r"dreamy needs statsmodels: pip install 'bellwether\[econometrics\]'"):
        family("dreamy")


@pytest.mark.parametrize(("name", "strategy"), [("majority", "most_frequent"), ("stratified", "prior")])
def test_baselines_are_those_of_scikit_learn(name, strategy):
    rows = market()
    rows = replace(rows, y=np.where(rows.y == 4, 2, rows.y))
    expected = DummyClassifier(strategy=strategy).fit(rows.x, rows.y).predict_proba(rows.x)
    np.testing.assert_allclose(family(name).train(rows, {}).predict(rows.x)[:, :4], expected)


def test_the_stratified_baseline_draws_its_labels():
    rows = market(20_000)
    rows = replace(rows, y=np.where(rows.y == 1, 2, rows.y))
    model = family("stratified").train(rows, {})
    assert isinstance(model, Sampled)
    labels = model.labels(rows.x, 5)
    np.testing.assert_array_equal(labels, model.labels(rows.x, 5))
    assert (labels != model.labels(rows.x, 6)).any()
    shares = np.bincount(labels, minlength=5) / len(labels)
    np.testing.assert_allclose(shares, np.bincount(rows.y, minlength=5) / len(rows.y), atol=0.015)
    assert shares[1] == 0
    assert not isinstance(family("majority").train(rows, {}), Sampled)


def test_balanced_weights_are_those_of_scikit_learn():
    rows = market()
    rows = replace(rows, y=np.where(rows.y == 1, 2, rows.y))
    weights = training_rows(rows).balanced
    np.testing.assert_allclose(weights, compute_sample_weight("balanced", rows.y))
    assert weights.mean() == pytest.approx(1.0)


def test_balanced_weights_keep_what_rows_count():
    rows = market()
    rows = replace(rows, weight=np.where(np.arange(len(rows.y)) < 1000, 2.0, 1.0))
    weights = training_rows(rows).balanced
    totals = np.bincount(rows.y, weights)
    np.testing.assert_allclose(totals, totals[0])
    same = np.flatnonzero(rows.y == 3)
    assert weights[same[0]] == pytest.approx(2 * weights[same[-1]])


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf])
def test_a_row_that_counts_for_nothing_is_refused(weight):
    rows = market(20)
    rows = replace(rows, weight=np.where(np.arange(20) == 7, weight, 1.0))
    with pytest.raises(ModelError, match="weights must be positive and finite; row 7 has"):
        family("majority").train(rows, {})
    with pytest.raises(ModelError, match=r"one weight for each of 20 rows; got shape \(19,\)"):
        family("majority").train(replace(rows, weight=np.ones(19)), {})


@pytest.mark.parametrize("name", ["ridge_window", "svc"])
def test_a_model_does_not_depend_on_how_many_threads_there_are(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 204))
    rows, kind = plain(x, x[:, :1] + rng.normal(size=(4000, 1))), family(name)
    graphs = []
    for threads in (1, 4):
        with threadpool_limits(threads):
            graphs.append(kind.train(rows, kind.standard(Task.REGRESS)).graph())
    assert graphs[0] == graphs[1]


def test_an_unknown_family_is_answered_with_the_known_ones():
    with pytest.raises(UnknownName, match=r"no model family 'catboost'; known: .*extra_trees, .*lightgbm"):
        family("catboost")


def test_the_table_imports_no_library_until_asked():
    heavy = {"lightgbm", "xgboost", "sklearn", "skl2onnx", "optuna", "mlflow", "torch", "arch", "statsmodels", "river"}
    code = (
        f"import sys, bellwether.models, bellwether.models.predictor, bellwether.registry; "
        f"print({heavy!r} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert len(FAMILIES) >= 7
