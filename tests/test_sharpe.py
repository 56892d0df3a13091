"""Sharpe ratios under scrutiny: the papers' own figures, and what follows from the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, stats

from bellwether.errors import ConfigError, DataError
from bellwether.validation.sharpe import (
    Track,
    deflated_sharpe,
    expected_maximum_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    track_of,
)

DAYS = 250
"""In a year, as the 2014 paper counts them."""


@st.composite
def tracks(draw: st.DrawFn) -> Track:
    skew = draw(st.floats(-3.0, 3.0))
    return Track(
        n=draw(st.integers(2, 5000)),
        sharpe=draw(st.floats(-0.5, 0.5)),
        skew=skew,
        kurtosis=skew**2 + 1.0 + draw(st.floats(0.1, 10.0)),
    )


def a_year(sharpe: float, per_year: int) -> Track:
    return Track(n=per_year, sharpe=sharpe / math.sqrt(per_year))


@pytest.mark.parametrize(
    ("skew", "kurtosis", "trials", "found"),
    [(-3.0, 10.0, 100, 0.9004), (-3.0, 10.0, 46, 0.9505), (0.0, 3.0, 88, 0.9505)],
)
def test_the_example_of_the_2014_paper(skew, kurtosis, trials, found):
    best = Track(n=1250, sharpe=2.5 / math.sqrt(DAYS), skew=skew, kurtosis=kurtosis)
    assert deflated_sharpe(best, trials=trials, variance=0.5 / DAYS) == pytest.approx(found, abs=5e-5)


def test_its_hundred_trials_are_expected_to_show_an_annual_ratio_of_1_79():
    assert expected_maximum_sharpe(trials=100, variance=0.5 / DAYS) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(("per_year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_years_until_a_ratio_of_2_is_above_1_as_in_the_2012_paper(per_year, years):
    track, benchmark = a_year(2.0, per_year), 1.0 / math.sqrt(per_year)
    assert minimum_track_record(track, benchmark=benchmark) / per_year == pytest.approx(years, abs=0.005)


@given(tracks(), st.floats(-0.6, 0.4), st.floats(0.55, 0.99))
def test_a_track_of_the_minimum_length_is_just_as_probable_as_asked(track, benchmark, confidence):
    assume(track.sharpe > benchmark + 1e-3)
    least = minimum_track_record(track, benchmark=benchmark, confidence=confidence)
    n = max(2, math.ceil(least))
    longer = Track(n=n, sharpe=track.sharpe, skew=track.skew, kurtosis=track.kurtosis)
    assert probabilistic_sharpe(longer, benchmark=benchmark) >= confidence - 1e-9
    if n > 2:
        shorter = Track(n=n - 1, sharpe=track.sharpe, skew=track.skew, kurtosis=track.kurtosis)
        assert probabilistic_sharpe(shorter, benchmark=benchmark) <= confidence + 1e-9


@given(tracks(), st.integers(1, 10_000), st.floats(0.0, 0.01))
def test_deflation_never_helps_and_more_trials_deflate_more(track, trials, variance):
    deflated = deflated_sharpe(track, trials=trials, variance=variance)
    assert deflated <= probabilistic_sharpe(track)
    assert deflated_sharpe(track, trials=trials + 1, variance=variance) <= deflated


def test_one_trial_is_not_deflated():
    track = a_year(1.0, DAYS)
    assert deflated_sharpe(track, trials=1, variance=0.3) == probabilistic_sharpe(track)


@pytest.mark.parametrize(("trials", "off"), [(2, 0.08), (5, 0.03), (10, 0.03), (100, 0.01), (1000, 0.005)])
def test_the_expected_maximum_is_near_that_of_normal_draws(trials, off):
    def density(x: float) -> float:
        return x * trials * stats.norm.pdf(x) * stats.norm.cdf(x) ** (trials - 1)

    exact = integrate.quad(density, -10.0, 10.0, points=[0.0, 3.0], limit=200)[0]
    assert expected_maximum_sharpe(trials=trials, variance=4.0) == pytest.approx(2.0 * exact, rel=off)


def test_losses_that_come_at_once_make_a_ratio_less_sure():
    normal, skewed = Track(n=24, sharpe=0.458), Track(n=24, sharpe=0.458, skew=-2.448, kurtosis=10.164)
    assert probabilistic_sharpe(skewed) < probabilistic_sharpe(normal)
    assert minimum_track_record(skewed) > minimum_track_record(normal)


def test_the_true_ratio_is_beaten_as_seldom_as_promised_on_skewed_returns():
    """At 95 %, 5 of 100 histories; a standard error for normal returns, √(1 + 0.5²/2), would let 10 of them pass."""
    draws = np.random.default_rng(3).gamma(4.0, size=(4000, 500))  # mean 4, deviation 2, skew 1
    passed = np.mean([probabilistic_sharpe(track_of(5.0 - history), benchmark=0.5) > 0.95 for history in draws])
    assert passed == pytest.approx(0.05, abs=0.015)


def test_a_track_is_measured_like_scipy_does():
    returns = np.random.default_rng(0).gamma(2.0, size=300) - 1.5
    track = track_of(returns)
    assert (track.n, track.sharpe) == (300, pytest.approx(returns.mean() / returns.std(ddof=1)))
    assert track.skew == pytest.approx(stats.skew(returns))
    assert track.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))


@given(st.lists(st.sampled_from([-0.01, 0.03]), min_size=2, max_size=60))
def test_two_valued_returns_lie_on_the_bound_of_the_kurtosis_and_are_taken(returns):
    assume(len(set(returns)) == 2)
    track = track_of(np.array(returns))
    assert track.kurtosis == pytest.approx(track.skew**2 + 1.0)
    assert track.spread >= 0.0


def test_a_ratio_below_its_benchmark_is_never_above_it():
    assert minimum_track_record(Track(n=100, sharpe=0.1), benchmark=0.1) == math.inf


@pytest.mark.parametrize(
    "returns", [np.array([0.01]), np.array([0.01, np.nan]), np.full(5, 0.1), np.zeros((3, 2)), np.array([])]
)
def test_returns_without_a_ratio_are_refused(returns):
    with pytest.raises(DataError, match="returns"):
        track_of(returns)


@pytest.mark.parametrize("shape", [{"n": 1}, {"sharpe": math.nan}, {"kurtosis": 0.9}, {"skew": -3.0, "kurtosis": 9.9}])
def test_moments_that_no_returns_have_are_refused(shape):
    with pytest.raises(DataError, match="kurtosis"):
        Track(**{"n": 10, "sharpe": 0.1} | shape)


def test_a_ratio_without_a_standard_error_is_refused():
    with pytest.raises(DataError, match="no standard error"):
        probabilistic_sharpe(Track(n=10, sharpe=2.0, skew=1.0, kurtosis=2.0))


@pytest.mark.parametrize(("trials", "variance"), [(0, 1.0), (5, -0.1), (5, math.nan), (5, math.inf)])
def test_trials_that_cannot_be_are_refused(trials, variance):
    with pytest.raises(ConfigError, match=f"trials is {trials}"):
        expected_maximum_sharpe(trials=trials, variance=variance)


@pytest.mark.parametrize("confidence", [0.5, 1.0, math.nan])
def test_a_confidence_out_of_bounds_is_refused(confidence):
    with pytest.raises(ConfigError, match="confidence"):
        minimum_track_record(Track(n=10, sharpe=0.1), confidence=confidence)
