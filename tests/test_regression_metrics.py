"""Scores of values agree with scikit-learn; what has no reference is not a number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)

from bellwether.errors import DataError
from bellwether.validation.regression_metrics import mae, mape, mse, r2, r2_sums, rmse, rmse_sums, skill, skill_sums

scales = st.sampled_from([1e-120, 1e-4, 1.0, 1e5])
seeds = st.integers(0, 10_000)


def rows(seed: int, scale: float = 1.0, n: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Timestamps, changes that came and changes that were predicted."""
    rng = np.random.default_rng(seed)
    y = scale * rng.normal(size=n)
    return rng.integers(0, 12, n), y, 0.5 * y + scale * rng.normal(size=n)


@given(seeds, scales)
def test_scores_of_values_equal_scikit_learn(seed, scale):
    _, y, predicted = rows(seed, scale)
    level = y + 100.0 * scale
    assert mse(y, predicted) == pytest.approx(mean_squared_error(y, predicted), rel=1e-12)
    assert rmse(y, predicted) == pytest.approx(root_mean_squared_error(y, predicted), rel=1e-12)
    assert mae(y, predicted) == pytest.approx(mean_absolute_error(y, predicted), rel=1e-12)
    if scale > 1e-100:  # scikit-learn divides by no less than 2e-16
        expected = mean_absolute_percentage_error(level, level - y + predicted)
        assert mape(y, predicted, level) == pytest.approx(expected, rel=1e-9)
    assert r2(y, predicted) == pytest.approx(r2_score(y, predicted), rel=1e-9)


@given(seeds, scales)
def test_skill_is_one_less_the_share_of_the_error_of_no_change(seed, scale):
    _, y, predicted = rows(seed, scale)
    expected = 1.0 - mean_squared_error(y, predicted) / mean_squared_error(y, np.zeros_like(y))
    assert skill(y, predicted) == pytest.approx(expected, rel=1e-9)
    assert skill(y, np.zeros_like(y)) == 0.0
    assert skill(y, y) == 1.0
    assert skill(y, -y) == pytest.approx(-3.0)


@given(seeds, scales)
def test_sums_over_timestamps_give_the_same_scores(seed, scale):
    ts, y, predicted = rows(seed, scale)
    for of, sums in ((rmse, rmse_sums), (r2, r2_sums), (skill, skill_sums)):
        assert sums(ts, y, predicted).value == pytest.approx(of(y, predicted), rel=1e-9)
        assert len(sums(ts, y, predicted).each) == len(np.unique(ts))


def test_r2_does_not_depend_on_where_zero_is():
    ts, y, predicted = rows(3)
    assert r2_sums(ts, y + 1e6, predicted + 1e6).value == pytest.approx(r2(y, predicted), rel=1e-6)


def test_what_has_no_reference_is_not_a_number():
    y, flat = np.array([1.0, -2.0]), np.array([3.0, 3.0])
    assert np.isnan(mape(y, y, None))
    assert np.isnan(mape(y, y, np.array([0.0, 1.0])))
    assert np.isnan(r2(flat, y))
    assert np.isnan(skill(np.zeros(2), y))
    assert np.isnan(skill_sums(np.arange(2), np.zeros(2), y).value)
    assert np.isnan(r2_sums(np.arange(2), flat, y).value)


def test_rows_that_do_not_match_are_refused():
    with pytest.raises(DataError, match=r"values have shape \(2,\) and predictions \(3,\)"):
        mse(np.zeros(2), np.zeros(3))
    with pytest.raises(DataError, match="at least one"):
        skill(np.zeros(0), np.zeros(0))
