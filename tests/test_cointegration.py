"""Cointegration: ties are found with their numbers, and independent walks no more often than the level says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests
from statsmodels.tsa.stattools import adfuller, coint
from statsmodels.tsa.vector_ar.vecm import VECM, coint_johansen

from bellwether.econometrics.cointegration import _adjusted, engle_granger, half_life, johansen, select_pairs
from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]


def walks(n: int, series: int, seed: int) -> Floats:
    """Prices of independent geometric random walks."""
    steps = 0.01 * np.random.default_rng(seed).standard_normal((n, series))
    return np.exp(np.cumsum(steps, axis=0))


def tied(n: int, seed: int, *, hedge: float = 0.7, rho: float = 0.9) -> tuple[Floats, Floats]:
    """Two prices with ``log y = 0.3 + hedge * log x + spread``, the spread an AR(1) with ``rho``."""
    rng = np.random.default_rng(seed)
    x, spread, noise = np.cumsum(0.01 * rng.standard_normal(n)), np.zeros(n), 0.01 * rng.standard_normal(n)
    for t in range(1, n):
        spread[t] = rho * spread[t - 1] + noise[t]
    return np.exp(0.3 + hedge * x + spread), np.exp(x)


def test_a_tie_is_found_with_its_numbers():
    y, x = tied(4000, seed=1)
    found = engle_granger(y, x)
    assert found.p_value < 1e-6
    assert found.hedge == pytest.approx(0.7, abs=0.02)
    assert found.const == pytest.approx(0.3, abs=0.02)
    assert found.half_life == pytest.approx(math.log(0.5) / math.log(0.9), rel=0.2)
    assert found.spread_std == pytest.approx(0.01 / math.sqrt(1.0 - 0.9**2), rel=0.15)
    # all of the correction is y's: x is a random walk of its own
    assert found.speed_y == pytest.approx(-0.1, abs=0.03)
    assert found.speed_x == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("lags", [0, 2])
def test_figures_are_those_of_statsmodels(lags):
    y, x = tied(500, seed=2)
    found = engle_granger(y, x, lags=lags)
    theirs = coint(np.log(y), np.log(x), maxlag=lags, autolag=None, return_results=False)
    assert (found.statistic, found.p_value) == pytest.approx(tuple(theirs)[:2])
    slope, const = np.polyfit(np.log(x), np.log(y), 1)
    assert (found.hedge, found.const) == pytest.approx((slope, const))
    spread = np.log(y) - const - slope * np.log(x)
    tested = adfuller(spread, maxlag=lags, autolag=None, regression="n", result_object=False)
    assert found.statistic == pytest.approx(tested[0])


def test_the_error_correction_is_that_of_a_vector_model():
    y, x = tied(3000, seed=3)
    found, logs = engle_granger(y, x), np.log(np.column_stack([y, x]))
    fitted = VECM(logs, k_ar_diff=1, coint_rank=1, deterministic="ci").fit()
    assert [found.speed_y, found.speed_x] == pytest.approx(fitted.alpha[:, 0].tolist(), abs=0.01)
    assert -found.hedge == pytest.approx(float(fitted.beta[1, 0]), abs=0.02)


def test_independent_walks_are_tied_as_often_as_the_level_says():
    """Engle and Granger at 5 % on 400 pairs; four standard errors are 4.4 points."""
    finds = [engle_granger(*walks(250, 2, seed).T).p_value < 0.05 for seed in range(400)]
    assert np.mean(finds) == pytest.approx(0.05, abs=0.044)


def test_johansen_counts_the_ties():
    y, x = tied(1500, seed=4)
    alone = walks(1500, 1, seed=5)
    found = johansen(np.column_stack([y, x, alone]))
    assert found.rank == 1
    assert found.weights[:, 0] == pytest.approx([1.0, -0.7, 0.0], abs=0.05)
    theirs = coint_johansen(np.log(np.column_stack([y, x, alone])), 0, 1)
    np.testing.assert_allclose(found.trace, theirs.trace_stat)
    np.testing.assert_array_equal(found.critical, theirs.trace_stat_crit_vals[:, 1])
    assert johansen(np.column_stack([y, x, alone]), level=0.01).critical[0] > found.critical[0]


def test_johansen_finds_ties_among_independent_walks_as_often_as_the_level_says_if_they_drift():
    """Without a drift its critical values are too small, which the docstring says."""
    drift = np.exp(0.01 * np.arange(400.0))[:, None]
    with_drift, without = (
        np.mean([johansen(shape * walks(400, 2, seed)).rank > 0 for seed in range(400)]) for shape in (drift, 1.0)
    )
    assert with_drift == pytest.approx(0.05, abs=0.044)
    assert 0.06 < without < 0.15


def test_the_zscore_is_that_of_the_rows_it_was_fitted_on():
    y, x = tied(600, seed=6)
    found = engle_granger(y[:400], x[:400])
    z = found.zscore(y, x)
    assert (z[:400].mean(), z[:400].std()) == pytest.approx((0.0, 1.0), abs=1e-9)
    assert found.zscore(y[500:501], x[500:501]) == pytest.approx(z[500:501])
    other = y.copy()
    other[400:] *= 3.0
    assert engle_granger(other[:400], x[:400]) == found


@pytest.mark.parametrize(("rho", "want"), [(0.5, 1.0), (0.9, 6.5788), (-0.4, 0.0), (1.1, math.inf)])
def test_half_lives(rho, want):
    assert half_life(rho ** np.arange(30.0)) == pytest.approx(want, abs=1e-4)


def test_only_the_planted_pair_is_selected():
    y, x = tied(1000, seed=7, rho=0.8)
    prices = np.column_stack([walks(1000, 4, seed=8), x, y])
    (found,) = select_pairs(prices)
    assert {found.y, found.x} == {4, 5}
    assert found.p_value < 0.001
    assert found.relation == engle_granger(prices[:, found.y], prices[:, found.x])


def test_trying_many_pairs_does_not_find_more_than_the_level_says():
    """Five independent walks, 10 pairs, 40 worlds: uncorrected many worlds have a find, corrected about 5 % do."""
    worlds = [walks(250, 5, 1000 + seed) for seed in range(40)]
    corrected = [len(select_pairs(prices)) > 0 for prices in worlds]
    uncorrected = [len(select_pairs(prices, correction="none")) for prices in worlds]
    assert np.mean(corrected) <= 0.05 + 4.0 * math.sqrt(0.05 * 0.95 / 40)
    assert np.mean(np.array(uncorrected) > 0) > 0.2
    assert np.mean(uncorrected) / 10.0 < 0.1


def test_corrections_are_ordered():
    y, x = tied(300, seed=9, rho=0.8)
    prices = np.column_stack([y, x, walks(300, 3, seed=10)])
    found = {name: len(select_pairs(prices, level=0.3, correction=name)) for name in ("none", "fdr_by", "holm")}
    assert found["none"] >= found["holm"] >= 1
    plain, holm = (select_pairs(prices, level=0.3, correction=name)[0].p_value for name in ("none", "holm"))
    assert holm == pytest.approx(10.0 * plain)


@pytest.mark.parametrize("correction", ["holm", "fdr_by"])
def test_corrections_are_those_of_statsmodels(correction):
    p = np.array([0.001, 0.5, 0.01, 0.04, 0.01, 0.9])
    np.testing.assert_allclose(_adjusted(p, correction), multipletests(p, method=correction)[1])


def test_what_cannot_be_tested_is_refused():
    y, x = tied(100, seed=11)
    with pytest.raises(DataError, match="one series up to scale"):
        engle_granger(3.0 * x, x)
    with pytest.raises(DataError, match="combination"):
        johansen(np.column_stack([y, x, x * y]))
    with pytest.raises(DataError, match="row 3, column 1"):
        engle_granger(y, np.where(np.arange(100) == 3, -1.0, x))
    with pytest.raises(DataError, match="row 0, column 0"):
        engle_granger(np.full(100, np.nan), x)
    with pytest.raises(DataError, match="at least 33 rows"):
        engle_granger(y[:20], x[:20])
    with pytest.raises(DataError, match="column 1 never moves"):
        engle_granger(y, np.ones(100))
    with pytest.raises(DataError, match="one series has no pairs"):
        select_pairs(y[:, None])
    with pytest.raises(DataError, match="2 to 12"):
        johansen(walks(100, 13, seed=0))
    with pytest.raises(ConfigError, match=r"level is 0\.2"):
        johansen(np.column_stack([y, x]), level=0.2)
    with pytest.raises(ConfigError, match="level 2"):
        select_pairs(np.column_stack([y, x]), level=2.0)
    with pytest.raises(ConfigError, match="lags is -1"):
        engle_granger(y, x, lags=-1)
