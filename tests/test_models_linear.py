"""Linear models: the answers of scikit-learn, weights that count, scales that do not matter, graphs that are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from bellwether.models import family
from bellwether.models.base import Task
from bellwether.models.least_squares import Moments
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import value_rows
from bellwether.models.training import plain

VALUES = ("linear", "ridge", "elastic_net")
each_of_values = pytest.mark.parametrize("name", VALUES)


def data(rows=1000, columns=5, steps=1, seed=0):
    """Float32 columns that are correlated and off centre, values that depend on two of them, and weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns)) * 10.0 ** np.arange(columns) + 3.0
    x = x.astype(np.float32).astype(np.float64)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    y = z[:, [0]] * np.arange(1, steps + 1) - z[:, [1]] + rng.normal(size=(rows, steps)) + 0.5
    weight = rng.uniform(0.2, 1.8, rows)
    return x, y, weight / weight.mean()


def trained(name, x, y, weight=None, classes=0, **params):
    task = Task.CLASSIFY if classes else Task.REGRESS
    rows = plain(x, y, classes=classes)
    rows = rows if weight is None else replace(rows, weight=weight)
    return family(name).train(rows, family(name).standard(task) | params)


def served(model, x):
    session = onnxruntime.InferenceSession(model.graph(), providers=["CPUExecutionProvider"])
    return session.run(None, {"features": np.asarray(x, np.float32)})[0]


def standardised(x, weight):
    return StandardScaler().fit(x, sample_weight=weight).transform(x)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("rows", [200, 20_000])
def test_linear_is_least_squares(steps, rows):
    x, y, weight = data(rows, steps=steps)
    expected = LinearRegression().fit(x, y, weight).predict(x)
    np.testing.assert_allclose(trained("linear", x, y, weight).predict(x), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("alpha", [1e-4, 0.1, 100.0])
def test_ridge_is_that_of_scikit_learn_with_a_penalty_a_row(alpha):
    x, y, weight = data(steps=2)
    z = standardised(x, weight)
    expected = Ridge(alpha=alpha * weight.sum()).fit(z, y, weight)
    model = trained("ridge", x, y, weight, alpha=alpha)
    np.testing.assert_allclose(model.predict(x), expected.predict(z), rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.coefficients(), expected.coef_.T, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(1e-4, 0.05), (0.01, 0.5), (0.2, 1.0)])
def test_elastic_net_is_that_of_scikit_learn_on_all_rows(alpha, l1_ratio):
    x, y, weight = data(steps=2)
    z = standardised(x, weight)
    model = trained("elastic_net", x, y, weight, alpha=alpha, l1_ratio=l1_ratio)
    for step in range(2):
        mean = np.average(y[:, step], weights=weight)
        spread = np.sqrt(np.average((y[:, step] - mean) ** 2, weights=weight))
        net = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-10, max_iter=100_000)
        expected = net.fit(z, (y[:, step] - mean) / spread, sample_weight=weight).coef_ * spread
        np.testing.assert_allclose(model.coefficients()[:, step], expected, rtol=0, atol=2e-4)


def test_elastic_net_leaves_out_columns_that_say_nothing():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 20))
    y = x[:, 3] + rng.normal(size=2000)
    coef = trained("elastic_net", x, y, alpha=0.1, l1_ratio=1.0).coefficients()[:, 0]
    assert np.flatnonzero(coef).tolist() == [3]
    assert not trained("elastic_net", x, y, alpha=10.0, l1_ratio=1.0).coefficients().any()


def test_elastic_net_comes_to_its_end_on_prices_and_their_means():
    rng = np.random.default_rng(2)
    price = 1e5 * np.exp(np.cumsum(1e-4 * rng.normal(size=600)))
    means = [np.convolve(price, np.ones(m) / m, mode="full")[50:600] for m in (1, 2, 3, 5, 10, 20)]
    y = np.concatenate([np.diff(price[50:600]), [0.0]])
    model = trained("elastic_net", np.column_stack(means), y, alpha=1e-4, l1_ratio=0.05)
    assert np.isfinite(model.coefficients()).all()


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("balanced", [True, False])
def test_logistic_is_that_of_scikit_learn(classes, balanced):
    x, y, _ = data(3000)
    labels = np.digitize(y[:, 0], np.linspace(0, 2.5, classes + 1)[1:-1])
    weights = len(labels) / (classes * np.bincount(labels)) if balanced else np.ones(classes)
    each = weights[labels]
    expected = LogisticRegression(C=0.1, max_iter=1000).fit(standardised(x, each), labels, each)
    model = trained("logistic", x, labels, classes=classes, C=0.1, balanced=balanced)
    found = model.predict(x)
    np.testing.assert_allclose(found, expected.predict_proba(standardised(x, each)), rtol=0, atol=1e-4)
    np.testing.assert_allclose(served(model, x), found, rtol=0, atol=1e-6)


def test_balance_raises_the_rare_class():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3000, 2))
    labels = (x[:, 0] + rng.normal(size=3000) > 1.8).astype(int)
    plainly, fairly = (trained("logistic", x, labels, classes=2, balanced=b).predict(x) for b in (False, True))
    assert plainly[:, 1].mean() == pytest.approx(labels.mean(), abs=0.005)
    assert fairly[:, 1].mean() > 2 * labels.mean()


@pytest.mark.parametrize("name", [*VALUES, "logistic"])
def test_a_row_that_weighs_two_is_a_row_that_is_there_twice(name):
    x, y, _ = data(400)
    classes = 2 if name == "logistic" else 0
    y = (y[:, 0] > 0.5).astype(int) if classes else y
    weight = np.repeat([2.0, 1.0], 200)
    twice = np.concatenate([np.arange(200), np.arange(400)])
    one = trained(name, x, y, weight, classes).predict(x)
    two = trained(name, x[twice], y[twice], None, classes).predict(x)
    tolerance = 5e-3 if classes else 1e-6  # balance divides by a mean of weights, which the penalty sees
    np.testing.assert_allclose(one, two, rtol=0, atol=tolerance)


@each_of_values
@settings(max_examples=15)
@given(column=st.integers(-30, 30), value=st.integers(-30, 30))
def test_units_do_not_matter(name, column, value):
    x, y, _ = data(200)
    one = trained(name, x, y).predict(x)
    two = trained(name, x * 2.0**column, y * 2.0**value).predict(x * 2.0**column)
    np.testing.assert_allclose(two / 2.0**value, one, rtol=0, atol=1e-9)


@each_of_values
def test_a_column_that_never_changes_says_nothing(name):
    x, y, _ = data()
    with_it = np.column_stack([x, np.full(len(x), np.float32(0.1))])
    model = trained(name, with_it, y)
    np.testing.assert_allclose(model.predict(with_it), trained(name, x, y).predict(x), rtol=0, atol=1e-9)
    assert model.coefficients()[-1] == pytest.approx(0.0, abs=1e-12)


@each_of_values
def test_rows_that_are_all_alike_give_the_mean(name):
    y = np.array([[1.0], [2.0], [6.0]])
    np.testing.assert_allclose(trained(name, np.full((3, 2), 0.1), y).predict(np.zeros((2, 2))), 3.0)


@each_of_values
def test_values_that_are_all_alike_are_answered_with(name):
    x, _, _ = data()
    np.testing.assert_allclose(trained(name, x, np.full((len(x), 2), 7.0)).predict(x), 7.0)


@pytest.mark.parametrize("name", ["linear", "ridge"])
def test_columns_that_say_the_same_share_what_they_say(name):
    x, y, _ = data()
    model = trained(name, np.column_stack([x, x[:, 0]]), y)
    coef = model.coefficients()
    assert coef[0] == pytest.approx(coef[-1], rel=1e-6)
    if name == "linear":  # under a penalty, two halves cost less than a whole
        assert 2 * coef[0, 0] == pytest.approx(trained(name, x, y).coefficients()[0, 0], rel=1e-6)


def test_coefficients_are_what_was_planted():
    rng = np.random.default_rng(4)
    z = rng.normal(size=(5000, 3))
    x = z * np.array([1e5, 1e-4, 1.0]) + np.array([1e6, 0.0, -5.0])
    y = z @ np.array([[1.0, 0.0], [-2.0, 1.0], [0.0, 3.0]])
    found = trained("linear", x, y).coefficients() / z.std(axis=0)[:, None]
    np.testing.assert_allclose(found, [[1.0, 0.0], [-2.0, 1.0], [0.0, 3.0]], rtol=0, atol=1e-4)


def test_coefficients_of_classes_are_there_for_all_and_zero_for_absent_ones():
    x, y, _ = data()
    labels = np.where(y[:, 0] > 0.5, 3, 1)
    coef = trained("logistic", x, labels, classes=5).coefficients()
    assert coef.shape == (5, 5)
    assert not coef[:, [0, 2, 4]].any()
    np.testing.assert_allclose(coef[:, 1], -coef[:, 3])
    assert coef[0, 3] > 0 > coef[1, 3]


@pytest.mark.parametrize("name", [*VALUES, "logistic"])
@pytest.mark.parametrize("spread", [1e-2, 10.0, 1e3])
def test_what_is_served_of_prices_is_the_model(name, spread):
    rng = np.random.default_rng(5)
    steps = rng.normal(size=10_050)
    price = 1e5 + spread * np.cumsum(steps) / 100
    means = [np.convolve(price, np.ones(m) / m, mode="full")[50:10_050] for m in (1, 5, 20)]
    returns = np.diff(np.log(price))[49:10_049]
    x = np.column_stack([*means, returns, rng.normal(size=10_000)]).astype(np.float32)
    y = 1e-4 * (steps[50:10_050] + 0.3 * rng.normal(size=10_000))
    classes = 3 if name == "logistic" else 0
    y = np.digitize(y, [-5e-5, 5e-5]) if classes else y
    model = trained(name, x, y, classes=classes)
    scale = 1.0 if classes else y.std()
    np.testing.assert_allclose(served(model, x), model.predict(x), rtol=0, atol=1e-6 * scale)


def test_a_direction_without_variance_gets_no_coefficient_of_its_own():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(300, 2))
    nearly = np.column_stack([x, x[:, 0] + 1e-7 * rng.normal(size=300)]).astype(np.float32)
    y = rng.normal(size=300)
    assert np.abs(trained("linear", nearly, y).coefficients()).max() < 1.0
    kept = Moments.of(value_rows(plain(nearly, y))).spectrum
    assert len(kept) == 2


@given(st.integers(1, 40), st.floats(-1e5, 1e5, width=32))
def test_a_constant_column_is_only_centred(rows, value):
    scaler = Scaler.of(np.full((rows, 1), value, np.float32), np.ones(rows))
    assert scaler.scale.tolist() == [1.0]
    np.testing.assert_allclose(scaler(np.array([[value]])), 0.0, atol=1e-9)


def test_the_scaler_is_that_of_scikit_learn_over_more_rows_than_one_block():
    x, _, weight = data(20_000)
    expected = StandardScaler().fit(x, sample_weight=weight)
    found = Scaler.of(x.astype(np.float32), weight)
    np.testing.assert_allclose(found.mean, expected.mean_, rtol=1e-10)
    np.testing.assert_allclose(found.scale, expected.scale_, rtol=1e-10)
    np.testing.assert_allclose(found.rounded(x), expected.transform(x), rtol=0, atol=1e-6)
