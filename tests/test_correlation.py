"""Information coefficients equal scipy's correlations; a cross-section is used where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bellwether.errors import DataError
from bellwether.validation.correlation import (
    group_ics,
    grouped_ranks,
    ic,
    ic_sums,
    icir,
    icir_sums,
    is_cross_section,
    pearson,
    rank_ic,
    rank_ic_sums,
    ranks,
    spearman,
    time_blocks,
)

seeds = st.integers(0, 10_000)
values = st.lists(st.integers(-5, 5), min_size=0, max_size=40)


def panel(seed: int, times: int = 40, symbols: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Timestamps, symbols, predictions (with ties) and outcomes that they tell something of."""
    rng = np.random.default_rng(seed)
    ts, who = np.repeat(np.arange(times) * 10, symbols), np.tile(np.arange(symbols), times)
    predicted = np.round(rng.normal(size=len(ts)), 1)
    return ts, who, predicted, 0.3 * predicted + rng.normal(size=len(ts))


@given(values)
def test_ranks_equal_scipy(x):
    np.testing.assert_array_equal(ranks(np.array(x, float)), stats.rankdata(x))


@given(values, st.integers(1, 5))
def test_ranks_in_groups_equal_those_of_each_group_alone(x, groups):
    x, group = np.array(x, float), np.arange(len(x)) % groups
    got = grouped_ranks(group, x)
    for k in range(groups):
        np.testing.assert_array_equal(got[group == k], stats.rankdata(x[group == k]))


@settings(max_examples=40)
@given(seeds, st.sampled_from([1e-160, 1e-4, 1.0, 1e9]))
def test_correlations_equal_scipy(seed, scale):
    _, _, x, y = panel(seed)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert pearson(scale * x, y) == pytest.approx(stats.pearsonr(x, y).statistic)


def test_a_constant_or_too_few_rows_have_no_correlation():
    x = np.array([0.1, 0.2, 0.3])
    assert np.isnan(pearson(np.full(3, 0.1), x))
    assert np.isnan(spearman(x, np.full(3, 0.1)))
    assert np.isnan(pearson(x[:2], x[:2]))
    assert pearson(x, x) == 1.0
    with pytest.raises(DataError, match="3 predictions and 2 outcomes"):
        pearson(x, x[:2])


@settings(max_examples=30)  # scipy is slow a timestamp at a time
@given(seeds)
def test_the_rank_coefficient_is_the_mean_of_those_at_each_timestamp(seed):
    ts, who, x, y = panel(seed)
    each = [stats.spearmanr(x[ts == t], y[ts == t]).statistic for t in np.unique(ts)]
    np.testing.assert_allclose(group_ics(ts, x, y), each, atol=1e-12)
    assert rank_ic(ts, who, x, y) == pytest.approx(np.mean(each))
    assert icir(ts, who, x, y) == pytest.approx(np.mean(each) / np.std(each, ddof=1))


@given(seeds)
def test_sums_over_timestamps_give_the_same_coefficients(seed):
    ts, who, x, y = panel(seed)
    assert ic_sums(ts, x, y).value == pytest.approx(ic(x, y))
    assert rank_ic_sums(ts, who, x, y).value == pytest.approx(rank_ic(ts, who, x, y))
    assert icir_sums(ts, who, x, y).value == pytest.approx(icir(ts, who, x, y))


@given(seeds)
def test_the_order_of_rows_does_not_matter(seed):
    ts, who, x, y = rows = panel(seed)
    mixed = [a[np.random.default_rng(seed).permutation(len(ts))] for a in rows]
    assert rank_ic(*mixed) == pytest.approx(rank_ic(ts, who, x, y))
    assert icir(*mixed) == pytest.approx(icir(ts, who, x, y))
    assert ic(*mixed[2:]) == pytest.approx(ic(x, y))


def test_timestamps_at_which_nothing_differs_are_left_out():
    ts, who, x, y = panel(0)
    flat = np.where(ts < 200, 1.0, x)
    assert rank_ic(ts, who, flat, y) == pytest.approx(
        rank_ic(ts[ts >= 200], who[ts >= 200], x[ts >= 200], y[ts >= 200])
    )
    assert np.isnan(rank_ic(ts, who, np.ones_like(x), y))
    assert np.isnan(rank_ic_sums(ts, who, np.ones_like(x), y).value)
    assert np.isnan(icir(ts, who, np.ones_like(x), y))


def test_few_symbols_are_pooled():
    ts, who, x, y = panel(0, times=100, symbols=2)
    assert not is_cross_section(ts, who)
    assert rank_ic(ts, who, x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert rank_ic_sums(ts, who, x, y) is None
    assert icir_sums(ts, who, x, y) is None
    blocks = [stats.spearmanr(x[b], y[b]).statistic for b in np.array_split(np.arange(200), 20)]
    assert icir(ts, who, x, y) == pytest.approx(np.mean(blocks) / np.std(blocks, ddof=1))


def test_a_cross_section_is_of_different_symbols_and_of_most_rows():
    ts = np.array([0, 0, 0, 1, 2, 3])
    assert is_cross_section(ts, np.array([0, 1, 2, 0, 0, 0]))
    assert not is_cross_section(ts, np.array([0, 1, 1, 0, 0, 0]))  # three rows of two symbols
    assert not is_cross_section(np.append(ts, 4), np.array([0, 1, 2, 0, 0, 0, 0]))


def test_short_histories_have_fewer_blocks():
    assert time_blocks(np.arange(9)).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert time_blocks(np.arange(2)).tolist() == [0, 0]
    x = np.arange(4.0)
    assert np.isnan(icir(np.arange(4), np.zeros(4, int), x, x))  # one block
