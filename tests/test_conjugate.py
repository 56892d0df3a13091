"""Conjugate Bayes: learning row by row is learning at once, and predictions cover what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import invgamma, norm
from scipy.stats import t as student_t
from sklearn.naive_bayes import GaussianNB

from bellwether.econometrics.conjugate import Regression, forget, learn, predict, vague
from bellwether.econometrics.naive_bayes import ClassPrior, class_chances, nothing_seen, predictive, see
from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]


def line(n: int, seed: int, d: int = 3) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, d - 1))])
    return x, x @ np.arange(1.0, d + 1.0) + 0.5 * rng.normal(size=n)


def proper(seed: int, d: int = 3) -> Regression:
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(d, d))
    return Regression(mean=rng.normal(size=d), precision=half @ half.T + np.eye(d), shape=2.0, scale=1.5)


def same(one: Regression, other: Regression) -> None:
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(one.precision, other.precision, rtol=1e-10)
    assert (one.shape, one.scale) == pytest.approx((other.shape, other.scale), rel=1e-10)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 40))
def test_row_by_row_in_parts_and_at_once_are_the_same(seed, cut):
    x, y = line(40, seed)
    at_once = learn(proper(seed), x, y)
    same(learn(learn(proper(seed), x[:cut], y[:cut]), x[cut:], y[cut:]), at_once)
    one_by_one = proper(seed)
    for row in range(40):
        one_by_one = learn(one_by_one, x[row : row + 1], y[row : row + 1])
    same(one_by_one, at_once)


def test_the_posterior_is_the_textbook_one():
    prior, (x, y) = proper(1), line(30, 1)
    precision = prior.precision + x.T @ x
    mean = np.linalg.inv(precision) @ (prior.precision @ prior.mean + x.T @ y)
    scale = prior.scale + 0.5 * (y @ y + prior.mean @ prior.precision @ prior.mean - mean @ precision @ mean)
    same(learn(prior, x, y), Regression(mean=mean, precision=precision, shape=2.0 + 15.0, scale=scale))


def test_a_large_offset_does_not_cost_the_noise_its_digits():
    """The textbook's difference of squares loses them: of 1e14 a row, sixteen digits leave little of 0.25."""
    x, y = line(2000, 2)
    found = learn(vague(3, strength=1e-17), x, y + 1e7)
    assert found.scale / found.shape == pytest.approx(0.25, rel=0.1)


def test_with_little_prior_it_is_least_squares():
    x, y = line(500, 3)
    found, (solved, squares, *_) = learn(vague(3, strength=1e-9), x, y), np.linalg.lstsq(x, y)
    np.testing.assert_allclose(found.mean, solved, atol=1e-8)
    assert 2.0 * (found.scale - 1.0) == pytest.approx(squares[0], rel=1e-6)


def test_the_prediction_is_the_integral_over_weights_and_noise():
    known, row = Regression(mean=np.array([0.4]), precision=np.array([[2.0]]), shape=3.0, scale=2.0), 1.5
    told = predict(known, np.array([[row]]))
    at = 1.2

    w, log_s2 = np.meshgrid(np.linspace(-9.0, 9.0, 1200), np.linspace(-7.0, 7.0, 800), indexing="ij")
    s2 = np.exp(log_s2)
    weighed = (
        norm.pdf(at, row * w, np.sqrt(s2)) * norm.pdf(w, 0.4, np.sqrt(s2 / 2.0)) * invgamma.pdf(s2, 3.0, scale=2.0)
    )
    density = np.sum(weighed * s2) * (18.0 / 1199) * (14.0 / 799)
    assert student_t.pdf(at, told.dof, told.location[0], told.scale[0]) == pytest.approx(density, rel=1e-4)


def test_intervals_cover_what_they_promise_from_few_rows():
    """Eight rows for three weights: a normal interval with plug-in noise would cover far less."""
    covered, plugged, worlds = 0, 0, 2000
    for world in range(worlds):
        x, y = line(9, world)
        known = learn(vague(3, noise=1e-3, strength=1e-6), x[:8], y[:8])
        # an improper prior has shape -d / 2; taking back what `vague` adds makes the coverage exact
        known = Regression(mean=known.mean, precision=known.precision, shape=known.shape - 2.5, scale=known.scale)
        told = predict(known, x[8:])
        low, high = told.quantiles(np.array([0.05, 0.95]))[0]
        covered += low <= y[8] <= high
        noise = math.sqrt(np.mean((y[:8] - x[:8] @ known.mean) ** 2))
        plugged += abs(y[8] - told.location[0]) <= 1.645 * noise
    assert covered / worlds == pytest.approx(0.9, abs=4.0 * math.sqrt(0.09 / worlds))
    assert plugged / worlds < 0.75


def test_forgetting_weighs_rows_by_their_age():
    """Equal to learning at once with rows scaled by the root of their weight (and the noise's share alike)."""
    prior, (x, y), keep = proper(4), line(25, 4), 0.9
    known = prior
    for row in range(25):
        known = learn(forget(known, prior, keep=keep), x[row : row + 1], y[row : row + 1])
    weight = keep ** np.arange(24, -1, -1.0)
    root = np.sqrt(weight)
    at_once = learn(prior, x * root[:, None], y * root)
    shape = prior.shape + 0.5 * weight.sum()
    same(known, Regression(mean=at_once.mean, precision=at_once.precision, shape=shape, scale=at_once.scale))


def test_keeping_everything_forgets_nothing_and_forgetting_long_leaves_the_prior():
    prior, known = proper(5), learn(proper(5), *line(50, 5))
    same(forget(known, prior, keep=1.0), known)
    for _ in range(200):
        known = forget(known, prior, keep=0.8)
    same(known, prior)


def test_forgetting_follows_weights_that_change():
    rng = np.random.default_rng(6)
    x = np.column_stack([np.ones(400), rng.normal(size=400)])
    y = np.where(np.arange(400) < 200, 1.0, -1.0) * x[:, 1] + 0.1 * rng.normal(size=400)
    fading, stiff, prior = vague(2), vague(2), vague(2)
    for row in range(400):
        fading = learn(forget(fading, prior, keep=0.95), x[row : row + 1], y[row : row + 1])
        stiff = learn(stiff, x[row : row + 1], y[row : row + 1])
    assert fading.mean[1] == pytest.approx(-1.0, abs=0.05)
    assert abs(stiff.mean[1]) < 0.3


def classes(n: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    return rng.normal(size=(n, 2)) * [1.0, 2.0] + np.array([[0.0, 0.0], [2.0, 1.0], [-1.0, 4.0]])[y], y


PRIOR = ClassPrior(
    counts=np.array([1.0, 1.0, 2.0]),
    mean=np.array([0.3, 1.0]),
    variance=np.array([2.0, 3.0]),
    mean_rows=0.7,
    variance_rows=3.0,
)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), cut=st.integers(0, 60), keep=st.sampled_from([1.0, 0.97, 0.5]))
def test_moments_in_parts_and_at_once_are_those_of_weighted_rows(seed, cut, keep):
    x, y = classes(60, seed)
    at_once = see(nothing_seen(PRIOR), x, y, keep=keep)
    parts = see(see(nothing_seen(PRIOR), x[:cut], y[:cut], keep=keep), x[cut:], y[cut:], keep=keep)
    np.testing.assert_array_equal(parts.squares, at_once.squares)
    weight = keep ** np.arange(59, -1, -1.0)
    for c in range(3):
        w, rows = weight[y == c], x[y == c]
        if len(rows):
            mean = w @ rows / w.sum()
            assert at_once.rows[c] == pytest.approx(w.sum(), rel=1e-10)
            np.testing.assert_allclose(at_once.mean[c], mean, rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(at_once.squares[c], w @ (rows - mean) ** 2, rtol=1e-10, atol=1e-10)


def test_a_single_weight_is_the_same_posterior_as_the_regression():
    """One class, one feature, a column of ones: both files answer with one Student-t."""
    y = np.array([0.2, 1.4, 0.9, 2.2])
    prior = ClassPrior(
        counts=np.ones(1), mean=np.array([0.5]), variance=np.array([2.0]), mean_rows=0.7, variance_rows=3.0
    )
    one = predictive(prior, see(nothing_seen(prior), y[:, None], np.zeros(4, np.int64)))
    start = Regression(mean=np.array([0.5]), precision=np.array([[0.7]]), shape=1.5, scale=3.0)
    told = predict(learn(start, np.ones((4, 1)), y), np.ones((1, 1)))
    assert (one.location[0, 0], one.scale[0, 0]) == pytest.approx((told.location[0], told.scale[0]), rel=1e-12)
    assert one.dof[0] == told.dof


def test_chances_are_products_of_student_densities_and_smoothed_counts():
    x, y = classes(40, 7)
    seen = see(nothing_seen(PRIOR), x, y)
    known, rows = predictive(PRIOR, seen), classes(5, 8)[0]
    weights = PRIOR.counts + np.bincount(y, minlength=3)
    density = student_t.pdf(rows[:, None, :], known.dof[:, None], known.location, known.scale).prod(axis=2) * weights
    np.testing.assert_allclose(class_chances(known, rows), density / density.sum(axis=1, keepdims=True), rtol=1e-10)


def test_with_many_rows_it_is_gaussian_naive_bayes():
    x, y = classes(20_000, 9)
    rows = classes(200, 10)[0]
    ours = class_chances(predictive(PRIOR, see(nothing_seen(PRIOR), x, y)), rows)
    np.testing.assert_allclose(ours, GaussianNB().fit(x, y).predict_proba(rows), atol=5e-3)


def test_chances_come_true():
    x, y = classes(8000, 11)
    chance = class_chances(predictive(PRIOR, see(nothing_seen(PRIOR), x[:4000], y[:4000])), x[4000:])
    np.testing.assert_allclose(chance.sum(axis=1), 1.0)
    for c in range(3):
        for low, high in ((0.1, 0.4), (0.4, 0.7), (0.7, 0.95)):
            chosen = (chance[:, c] >= low) & (chance[:, c] < high)
            noise = 4.0 * 0.5 / math.sqrt(chosen.sum())
            assert (y[4000:][chosen] == c).mean() == pytest.approx(chance[chosen, c].mean(), abs=noise)


def test_nothing_seen_answers_with_the_prior_and_a_far_row_does_not_break_it():
    known = predictive(PRIOR, nothing_seen(PRIOR))
    np.testing.assert_allclose(class_chances(known, np.array([[1e150, -1e150], [0.0, 0.0]])), [[0.25, 0.25, 0.5]] * 2)


def test_forgetting_follows_classes_that_change_places():
    rng = np.random.default_rng(12)
    y = rng.integers(2, size=2000)
    sign = np.where(np.arange(2000) < 1000, 1.0, -1.0)
    x = (sign * (2.0 * y - 1.0) + 0.5 * rng.normal(size=2000))[:, None]
    prior = ClassPrior(counts=np.ones(2), mean=np.zeros(1), variance=np.ones(1))
    fading = predictive(prior, see(nothing_seen(prior), x, y, keep=0.98))
    assert fading.location[:, 0] == pytest.approx([1.0, -1.0], abs=0.2)


def test_what_cannot_be_used_is_refused():
    x, y = line(5, 0)
    with pytest.raises(DataError, match="finite"):
        learn(vague(3), x, np.full(5, np.nan))
    with pytest.raises(DataError, match="shapes"):
        learn(vague(2), x, y)
    with pytest.raises(DataError, match="rows"):
        predict(vague(2), x)
    with pytest.raises(ConfigError, match="positive definite"):
        Regression(mean=np.zeros(2), precision=np.zeros((2, 2)), shape=1.0, scale=1.0)
    with pytest.raises(ConfigError, match="shape 0"):
        Regression(mean=np.zeros(1), precision=np.eye(1), shape=0.0, scale=1.0)
    with pytest.raises(ConfigError, match="keep is 0"):
        forget(vague(1), vague(1), keep=0.0)
    with pytest.raises(ConfigError, match="levels"):
        predict(vague(3), x).quantiles(np.array([1.5]))
    with pytest.raises(ConfigError, match="strength"):
        vague(1, strength=0.0)
    with pytest.raises(ConfigError, match="positive"):
        ClassPrior(counts=np.zeros(2), mean=np.zeros(1), variance=np.ones(1))
    with pytest.raises(ConfigError, match="one shape"):
        ClassPrior(counts=np.ones(2), mean=np.zeros(1), variance=np.ones(2))
    with pytest.raises(ConfigError, match="keep is 2"):
        see(nothing_seen(PRIOR), np.zeros((1, 2)), np.zeros(1, np.int64), keep=2.0)
    with pytest.raises(DataError, match="0 … 2"):
        see(nothing_seen(PRIOR), np.zeros((1, 2)), np.array([3]))
    with pytest.raises(DataError, match="x finite"):
        see(nothing_seen(PRIOR), np.full((1, 2), np.inf), np.array([0]))
    with pytest.raises(DataError, match="finite rows"):
        class_chances(predictive(PRIOR, nothing_seen(PRIOR)), np.zeros((1, 3)))
