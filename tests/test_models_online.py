"""Learners that go on between retrains: the same rule as river's, resumed bit for bit."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from river import linear_model, optim, preprocessing

from bellwether.errors import BadFeatures, ModelError
from bellwether.models import family
from bellwether.models.base import Bundled, Task
from bellwether.models.bundle import Bundle
from bellwether.models.online import resume
from bellwether.models.standardised import LIMIT
from bellwether.models.training import Training, plain
from bellwether.models.updating import Updating

ROOT = Path(__file__).resolve().parents[1]
CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS
both_tasks = pytest.mark.parametrize("task", [CLASSIFY, REGRESS], ids=lambda task: task.value)
PARAMS = {"learning_rate": 0.1, "l2": 1e-3, "passes": 1, "balanced": False}


def market(task: Task, rows: int = 300, seed: int = 0, slope: float = 1.0) -> Training:
    rng = np.random.default_rng(seed)
    x = rng.normal([0.0, 5.0, -3.0], [1.0, 0.01, 100.0], size=(rows, 3)).astype(np.float32).astype(np.float64)
    outcome = slope * x[:, 0] + rng.normal(size=rows)
    weight = rng.uniform(0.5, 1.5, rows)
    rows_of = plain(x, 0.01 * outcome) if task is REGRESS else plain(x, np.digitize(outcome, [-0.6, 0.6]), classes=3)
    return replace(rows_of, weight=weight)


def fitted(rows: Training, **changes: object):
    return family("online").train(rows, PARAMS | changes)


def learned_by_river(rows: Training, model: object, scale: float) -> list[dict]:
    """Run river's scaler and model over the rows; returns the columns as they were when each row was learned."""
    scaler, seen = preprocessing.StandardScaler(), []
    for x, y, weight in zip(rows.x, rows.y, rows.weight, strict=True):
        row = dict(enumerate(x.tolist()))
        scaler.learn_one(row)
        z = {j: min(max(value, -LIMIT), LIMIT) for j, value in scaler.transform_one(row).items()} | {"one": 1.0}
        if rows.classes:
            model.loss.class_weight = defaultdict(lambda w=weight: w, dict.fromkeys(range(rows.classes), weight))
            model.learn_one(z, int(y))
        else:
            model.learn_one(z, float(y[0]) / scale, w=weight)
        seen.append(z)
    return seen


def test_classes_are_learned_as_river_learns_them():
    rows = market(CLASSIFY)
    river = linear_model.SoftmaxRegression(optim.SGD(0.1 / 4), l2=1e-3)
    last = learned_by_river(rows, river, 1.0)[-1]
    model = fitted(rows)
    for label in range(3):
        np.testing.assert_allclose(model.weights[label], [river.weights[label][j] for j in last], rtol=1e-9, atol=1e-12)
    expected = river.predict_proba_one(last)
    np.testing.assert_allclose(model.predict(rows.x[-1:])[0], [expected[label] for label in range(3)], rtol=1e-9)


def test_values_are_learned_as_river_learns_them():
    rows = market(REGRESS)
    model = fitted(rows)
    river = linear_model.LinearRegression(optim.SGD(0.1 / 4), l2=1e-3, intercept_lr=0.0)
    last = learned_by_river(rows, river, float(model.unit[0]))[-1]
    np.testing.assert_allclose(model.weights[0], [river.weights[j] for j in last], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict(rows.x[-1:])[0, 0], river.predict_one(last) * model.unit[0], rtol=1e-9)


@settings(max_examples=40)
@given(x=arrays(np.float32, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-1e4, 1e4, width=32)))
def test_the_running_moments_are_those_of_all_rows(x):
    model = fitted(plain(x.astype(float), np.zeros((len(x), 1))))
    np.testing.assert_allclose(model.mean, x.mean(axis=0, dtype=float), rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(model.variance, x.var(axis=0, dtype=float), rtol=1e-6, atol=1e-3)


@both_tasks
@settings(max_examples=15)
@given(cut=st.integers(1, 299))
def test_learning_in_two_goes_is_learning_in_one(task, cut):
    rows = market(task)
    blank = fitted(rows.at(np.arange(1)), passes=0)
    whole = blank.update(rows.x, rows.y, rows.weight)
    first = blank.update(rows.x[:cut], rows.y[:cut], rows.weight[:cut])
    second = resume(Bundle.parse(first.state().serialise())).update(rows.x[cut:], rows.y[cut:], rows.weight[cut:])
    assert second.state().serialise() == whole.state().serialise()
    assert second.graph() == whole.graph()


@both_tasks
def test_another_process_goes_on_where_this_one_stopped(task, tmp_path):
    rows, later = market(task), market(task, seed=1)
    model = fitted(rows)
    (tmp_path / "state").write_bytes(model.state().serialise())
    np.savez(tmp_path / "later.npz", x=later.x, y=later.y)
    code = (
        "import sys, numpy as np; from pathlib import Path; from bellwether.models import family; "
        "from bellwether.models.bundle import Bundle; here = Path(sys.argv[1]); "
        "model = family('online').restore(Bundle.parse((here / 'state').read_bytes())); "
        "later = np.load(here / 'later.npz'); "
        "(here / 'after').write_bytes(model.update(later['x'], later['y']).state().serialise())"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
    assert (tmp_path / "after").read_bytes() == model.update(later.x, later.y).state().serialise()


@both_tasks
def test_it_updates_and_is_still_served_as_a_graph(task):
    model = fitted(market(task))
    assert isinstance(model, Updating)
    assert not isinstance(model, Bundled)
    before, later = model.state().serialise(), market(task, seed=1)
    after = model.update(later.x, later.y)
    assert model.state().serialise() == before
    assert after.count == model.count + 300
    session = onnxruntime.InferenceSession(after.graph(), providers=["CPUExecutionProvider"])
    served = session.run(None, {"features": later.x.astype(np.float32)})[0]
    np.testing.assert_allclose(served, after.predict(later.x), rtol=0, atol=1e-6)
    assert np.abs(after.predict(later.x) - model.predict(later.x)).max() > 1e-3


def test_after_the_market_turned_an_updated_model_is_right_and_the_old_one_wrong():
    old, new, test = market(REGRESS), market(REGRESS, 2000, 1, slope=-1.0), market(REGRESS, 2000, 2, slope=-1.0)
    model = fitted(old)
    stale, fresh = (
        np.corrcoef(m.predict(test.x)[:, 0], test.y[:, 0])[0, 1] for m in (model, model.update(new.x, new.y))
    )
    assert stale < -0.5
    assert fresh > 0.5


def test_the_order_of_the_rows_matters_and_the_seed_does_not():
    rows = market(CLASSIFY)
    backwards = replace(rows, x=rows.x[::-1], y=rows.y[::-1], weight=rows.weight[::-1])
    assert fitted(rows).state().serialise() == fitted(replace(rows, seed=9)).state().serialise()
    assert np.abs(fitted(rows).weights - fitted(backwards).weights).max() > 1e-3


def test_a_class_has_no_probability_before_it_was_seen():
    rows = market(CLASSIFY)
    model = fitted(rows.at(rows.y != 1))
    assert not model.predict(rows.x)[:, 1].any()
    after = model.update(rows.x, rows.y)
    assert (after.predict(rows.x)[:, 1] > 0).all()
    assert not model.seen[1]


def test_balanced_classes_count_alike_also_in_updates():
    rng = np.random.default_rng(0)
    rows = plain(rng.normal(size=(5000, 2)), (rng.random(5000) < 0.1).astype(np.int64), classes=2)
    params = {"learning_rate": 0.02, "passes": 3, "l2": 1e-6}
    for balanced, rare in ((False, 0.1), (True, 0.5)):
        model = fitted(rows, balanced=balanced, **params)
        later = plain(rows.x[::-1].copy(), rows.y[::-1].copy(), classes=2)
        for found in (model, model.update(later.x, later.y)):
            assert found.predict(rows.x)[:, 1].mean() == pytest.approx(rare, abs=0.05)


def test_a_row_that_weighs_nothing_teaches_nothing_but_what_columns_look_like():
    rows = market(REGRESS)
    model = fitted(rows, l2=0.0)
    after = model.update(rows.x, rows.y, np.zeros(300))
    np.testing.assert_array_equal(after.weights, model.weights)


def test_a_freak_row_is_heard_as_one_at_the_limit():
    rows = market(REGRESS)
    model = fitted(rows)
    far, further = rows.x[:1].copy(), rows.x[:1].copy()
    far[0, 0], further[0, 0] = 1e3, 1e30
    assert model.predict(far) == model.predict(further)
    assert abs(model.predict(far)[0, 0]) < LIMIT * 3 * model.unit[0]


def test_the_step_does_not_depend_on_how_many_columns_there_are():
    rng = np.random.default_rng(0)
    for columns in (2, 200):
        x = rng.normal(size=(4000, columns))
        model = fitted(plain(x, (x[:, :1] + rng.normal(size=(4000, 1)))), learning_rate=0.3, passes=5)
        assert np.isfinite(model.weights).all()
        assert np.corrcoef(model.predict(x)[:, 0], x[:, 0])[0, 1] > 0.7


def test_a_step_that_is_too_long_is_refused():
    rows = market(REGRESS, rows=3000)
    with pytest.raises(ModelError, match="weights grew without bound at a step of 2: ask for a smaller one"):
        fitted(rows, learning_rate=8.0)


@both_tasks
def test_rows_of_another_kind_are_refused(task):
    rows = market(task)
    model = fitted(rows)
    with pytest.raises(ModelError, match=r"columns, outputs and weights to learn from are \(3, "):
        model.update(rows.x[:, :2], rows.y)
    with pytest.raises(ModelError, match="columns, outputs and weights to learn from"):
        model.update(rows.x, rows.y, np.ones(299))
    with pytest.raises(BadFeatures, match="feature 0 of row 0 is nan"):
        model.update(rows.x * np.nan, rows.y)
    if task is CLASSIFY:
        with pytest.raises(ModelError, match="class positions must be in 0 … 2; got 1 … 3"):
            model.update(rows.x, rows.y + 1)
    else:
        with pytest.raises(ModelError, match="columns, outputs and weights to learn from"):
            model.update(rows.x, np.hstack([rows.y, rows.y]))
        with pytest.raises(ModelError, match="values to fit to must be finite: row 0"):
            model.update(rows.x, rows.y * np.nan)


def test_the_state_of_something_else_is_refused():
    with pytest.raises(ModelError, match="an online model is the arrays mean, variance, weights, seen, unit; got beta"):
        resume(Bundle({"beta": np.ones(2)}))
