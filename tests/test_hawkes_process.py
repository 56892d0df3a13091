"""Hawkes processes: what is simulated is found again, and time changed by the right model is Poisson."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import kstest

from bellwether.econometrics.hawkes import (
    Events,
    Hawkes,
    excitation,
    log_likelihood,
    next_type,
    residuals,
    score,
    share_of_intensity,
    simulate,
)
from bellwether.econometrics.hawkes_fit import fit_hawkes
from bellwether.errors import ConfigError, DataError

PLAIN = Hawkes(mu=np.array([0.5]), alpha=np.array([[0.8]]), beta=1.2)
BOTH = Hawkes(mu=np.array([0.3, 0.2]), alpha=np.array([[0.6, 0.2], [0.1, 0.5]]), beta=1.5)


@pytest.fixture(scope="module")
def plain() -> Events:
    return simulate(PLAIN, end=20_000.0, seed=0)


@pytest.fixture(scope="module")
def both() -> Events:
    return simulate(BOTH, end=15_000.0, seed=1)


def few(seed: int, n: int = 25) -> Events:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0.0, 10.0, n))
    return Events(times=times, types=rng.integers(2, size=n), end=12.0)


def slow_intensity(model: Hawkes, events: Events, t: float, kind: int) -> float:
    """λ_kind(t), summed over all events before t."""
    before = events.times < t
    jumps = model.alpha[kind, events.types[before]] * np.exp(-model.beta * (t - events.times[before]))
    return float(model.mu[kind] + jumps.sum())


def test_the_parameters_are_found_within_their_standard_errors(plain):
    found = fit_hawkes(plain)
    assert abs(found.model.mu[0] - 0.5) < 2.5 * found.mu_error[0]
    assert abs(found.model.alpha[0, 0] - 0.8) < 2.5 * found.alpha_error[0, 0]
    assert abs(found.model.beta - 1.2) < 2.5 * found.beta_error
    assert found.model.branching == pytest.approx(2.0 / 3.0, abs=0.02)
    assert max(found.mu_error[0], found.alpha_error[0, 0], found.beta_error) < 0.03
    assert found.log_likelihood >= log_likelihood(PLAIN, plain)


def test_standard_errors_are_what_estimates_scatter_by():
    fits = [fit_hawkes(simulate(PLAIN, end=1500.0, seed=seed)) for seed in range(60)]
    for value, error in (("mu", "mu_error"), ("alpha", "alpha_error"), ("beta", "beta_error")):
        scatter = np.std([np.ravel(getattr(f.model, value)) for f in fits])
        assert scatter == pytest.approx(np.mean([np.ravel(getattr(f, error)) for f in fits]), rel=0.35)


def test_the_number_of_events_is_the_long_run_rate(plain):
    """Variance of the count of a plain process: rate * T / (1 - branching)²."""
    expected = 1.5 * 20_000.0
    assert abs(len(plain.times) - expected) < 4.0 * math.sqrt(expected) * 3.0
    assert PLAIN.rates() == pytest.approx([1.5])


def test_time_changed_by_the_right_model_is_exponential_and_by_a_poisson_process_is_not(plain):
    waits = residuals(PLAIN, plain)
    assert kstest(waits, "expon").pvalue > 0.01
    assert np.corrcoef(waits[1:], waits[:-1])[0, 1] == pytest.approx(0.0, abs=4.0 / math.sqrt(len(waits)))
    poisson = Hawkes(mu=np.array([1.5]), alpha=np.zeros((1, 1)), beta=1.0)
    assert kstest(residuals(poisson, plain), "expon").pvalue < 1e-12


def test_both_types_are_found_and_exponential_in_changed_time(both):
    found = fit_hawkes(both, types=2)
    assert (np.abs(found.model.mu - BOTH.mu) < 3.0 * found.mu_error).all()
    assert (np.abs(found.model.alpha - BOTH.alpha) < 3.0 * found.alpha_error).all()
    assert abs(found.model.beta - BOTH.beta) < 3.0 * found.beta_error
    for kind in (0, 1):
        assert kstest(residuals(found.model, both)[both.types == kind], "expon").pvalue > 0.01


def test_events_that_nothing_excites_are_fitted_at_the_bound():
    poisson = Hawkes(mu=np.array([1.0]), alpha=np.zeros((1, 1)), beta=1.0)
    found = fit_hawkes(simulate(poisson, end=3000.0, seed=4))
    assert found.model.branching < 0.1
    assert found.model.rates() == pytest.approx([1.0], abs=0.08)


@pytest.mark.parametrize("seed", range(5))
def test_the_likelihood_is_the_slow_one(seed):
    events = few(seed)
    logs = [math.log(slow_intensity(BOTH, events, t, k)) for t, k in zip(events.times, events.types, strict=True)]
    breaks = [0.0, *events.times, events.end]
    spent = sum(
        quad(lambda t, kind=kind: slow_intensity(BOTH, events, t, kind), a, b)[0]
        for kind in (0, 1)
        for a, b in pairwise(breaks)
    )
    assert log_likelihood(BOTH, events) == pytest.approx(sum(logs) - spent, abs=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_slopes_are_those_of_the_likelihood(seed):
    events, step = few(seed), 1e-6
    _, by_mu, by_alpha, by_beta = score(events.times, events.types, events.end, BOTH.mu, BOTH.alpha, BOTH.beta)

    def slope(direction: np.ndarray) -> float:
        mu, alpha, beta = direction[:2], direction[2:6].reshape(2, 2), direction[6]
        up = Hawkes(mu=BOTH.mu + step * mu, alpha=BOTH.alpha + step * alpha, beta=BOTH.beta + step * beta)
        down = Hawkes(mu=BOTH.mu - step * mu, alpha=BOTH.alpha - step * alpha, beta=BOTH.beta - step * beta)
        return (log_likelihood(up, events) - log_likelihood(down, events)) / (2.0 * step)

    exact = np.concatenate([by_mu, by_alpha.ravel(), [by_beta]])
    np.testing.assert_allclose([slope(axis) for axis in np.eye(7)], exact, atol=1e-6)


def test_residuals_are_integrals_of_the_events_own_intensity():
    events = few(9, n=12)
    last = [0.0, 0.0]
    for at, (t, kind) in enumerate(zip(events.times, events.types, strict=True)):
        inner = [s for s in events.times if last[kind] < s < t]
        spent = quad(lambda s, k=kind: slow_intensity(BOTH, events, s, k), last[kind], t, points=inner or None)[0]
        assert residuals(BOTH, events)[at] == pytest.approx(spent, abs=1e-6)
        last[kind] = float(t)


def test_excitation_is_the_slow_intensity_and_reads_no_later_event():
    events = few(4)
    at = np.linspace(0.05, 11.95, 40)
    got = BOTH.mu + excitation(BOTH, events, at)
    want = [[slow_intensity(BOTH, events, t, kind) for kind in (0, 1)] for t in at]
    np.testing.assert_allclose(got, want, atol=1e-12)
    known = events.times <= at[20]
    past = Events(times=events.times[known], types=events.types[known], end=12.0)
    np.testing.assert_array_equal(excitation(BOTH, past, at[:21]), excitation(BOTH, events, at)[:21])


@settings(max_examples=50)
@given(
    mu=st.lists(st.floats(0.01, 5.0), min_size=2, max_size=2),
    excited=st.lists(st.floats(0.0, 20.0), min_size=2, max_size=2),
    beta=st.floats(0.1, 20.0),
)
def test_the_next_type_is_the_integral_over_the_waiting_time(mu, excited, beta):
    model = Hawkes(mu=np.array(mu), alpha=np.zeros((2, 2)), beta=beta)
    got = next_type(model, np.array([excited]))[0]
    base, jump = sum(mu), sum(excited)

    def density(s: float) -> float:
        survives = math.exp(-base * s + jump * math.expm1(-beta * s) / beta)
        return (mu[0] + excited[0] * math.exp(-beta * s)) * survives

    knots = [0.0, *np.geomspace(1e-3, 60.0, 12) / base, math.inf]
    assert got[0] == pytest.approx(sum(quad(density, a, b)[0] for a, b in pairwise(knots)), abs=1e-6)
    assert got.sum() == pytest.approx(1.0, abs=1e-10)
    now, later = share_of_intensity(model, np.array([excited]))[0, 0], mu[0] / base
    assert min(now, later) - 1e-12 <= got[0] <= max(now, later) + 1e-12


def test_chances_of_the_next_type_come_true(both):
    """Right after each event: of those given a chance near p, a share p is followed by a buy."""
    excited = excitation(BOTH, both, both.times)[:-1]
    chance, bought = next_type(BOTH, excited)[:, 0], both.types[1:] == 0
    for low, high in ((0.3, 0.5), (0.5, 0.7), (0.7, 0.9)):
        chosen = (chance >= low) & (chance < high)
        noise = 4.0 * 0.5 / math.sqrt(chosen.sum())
        assert chosen.sum() > 300
        assert bought[chosen].mean() == pytest.approx(chance[chosen].mean(), abs=noise)


def test_a_seed_gives_the_same_events():
    one, same, other = (simulate(BOTH, end=50.0, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.times, same.times)
    np.testing.assert_array_equal(one.types, same.types)
    assert len(one.times) != len(other.times) or not np.array_equal(one.times, other.times)


def test_no_events_are_a_path_too():
    nothing = Events(times=np.zeros(0), types=np.zeros(0, np.int64), end=4.0)
    assert log_likelihood(BOTH, nothing) == pytest.approx(-2.0)
    np.testing.assert_array_equal(excitation(BOTH, nothing, np.array([1.0])), [[0.0, 0.0]])


def test_a_process_that_explodes_is_not_simulated():
    critical = Hawkes(mu=np.array([1.0]), alpha=np.array([[1.0]]), beta=1.0)
    assert critical.rates() == [np.inf]
    with pytest.raises(ConfigError, match="branching is 1"):
        simulate(critical, end=10.0, seed=0)
    with pytest.raises(ConfigError, match="more than 5 events"):
        simulate(PLAIN, end=1000.0, seed=0, most=5)


@pytest.mark.parametrize(
    ("mu", "alpha", "beta"),
    [([0.1], [[0.1, 0.1]], 1.0), ([-0.1], [[0.1]], 1.0), ([0.1], [[-0.1]], 1.0), ([0.1], [[0.1]], 0.0), ([], [], 1.0)],
)
def test_rates_below_zero_and_wrong_shapes_are_refused(mu, alpha, beta):
    with pytest.raises(ConfigError):
        Hawkes(mu=np.array(mu), alpha=np.array(alpha), beta=beta)


@pytest.mark.parametrize(
    ("times", "types"), [([2.0, 1.0], [0, 0]), ([1.0], [0, 0]), ([9.0], [0]), ([np.nan], [0]), ([1.0], [-1])]
)
def test_events_out_of_order_are_refused(times, types):
    with pytest.raises(DataError):
        Events(times=np.array(times), types=np.array(types), end=5.0)


def test_what_does_not_fit_is_refused(both):
    with pytest.raises(DataError, match="type 1"):
        log_likelihood(PLAIN, both)
    with pytest.raises(DataError, match="ascending"):
        excitation(BOTH, both, np.array([2.0, 1.0]))
    with pytest.raises(DataError, match="at least 10"):
        fit_hawkes(few(0), types=3)
    with pytest.raises(ConfigError, match="mu is zero"):
        next_type(Hawkes(mu=np.zeros(2), alpha=BOTH.alpha, beta=1.5), np.ones((1, 2)))
