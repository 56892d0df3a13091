"""ARMA-GARCH: the published benchmark, the arch package, slow oracles, and forecasts that hold on simulated futures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from arch import arch_model
from arch.univariate import Normal, StudentsT
from arch.univariate.volatility import GARCH
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t as student_t

from bellwether.econometrics.garch import Garch, conditional_variance, forecast, log_likelihood, quantiles
from bellwether.econometrics.garch_fit import _Problem, fit_garch, natural
from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def dmgbp() -> Floats:
    """Daily returns of the Deutschmark against the pound, in percent, 1984 to 1991."""
    text = (Path(__file__).parent / "bollerslev_ghysels_dmgbp.csv").read_text(encoding="utf-8")
    return np.array([float(line) for line in text.splitlines() if line[0] in "-0123456789"])


def simulated(model: Garch, n: int, seed: int) -> Floats:
    """One value after the other, with 500 thrown away."""
    rng, total = np.random.default_rng(seed), n + 500
    z = rng.standard_normal(total)
    if not math.isinf(model.nu):
        z = rng.standard_t(model.nu, total) * math.sqrt((model.nu - 2.0) / model.nu)
    y, e, h = np.zeros(total), np.zeros(total), model.long_run_variance
    p, q = len(model.ar), len(model.ma)
    for t in range(max(p, q), total):
        h = model.omega + model.alpha * e[t - 1] ** 2 + model.beta * h
        e[t] = math.sqrt(h) * z[t]
        past = sum(model.ar[i] * y[t - 1 - i] for i in range(p)) + sum(model.ma[j] * e[t - 1 - j] for j in range(q))
        y[t] = model.const + past + e[t]
    return y[500:]


def slow(model: Garch, y: Floats) -> tuple[Floats, Floats]:
    """Errors and variances written as in the books."""
    p = len(model.ar)
    e: list[float] = []
    for t in range(p, len(y)):
        ar = sum(model.ar[i] * y[t - 1 - i] for i in range(p))
        ma = sum(model.ma[j] * e[-1 - j] for j in range(len(model.ma)) if j < len(e))
        e.append(y[t] - model.const - ar - ma)
    before = float(np.mean(np.square(e)))
    h = [model.omega + (model.alpha + model.beta) * before]
    for error in e[:-1]:
        h.append(model.omega + model.alpha * error**2 + model.beta * h[-1])
    return np.array(e), np.array(h)


def test_the_series_is_the_published_one(dmgbp):
    assert len(dmgbp) == 1974
    assert dmgbp[[0, 1, 2, -1]] == pytest.approx([0.12533286, 0.028874268, 0.063461772, 0.52804687])
    figures = dmgbp.mean(), dmgbp.std(ddof=1), dmgbp.min(), dmgbp.max()
    assert figures == pytest.approx((-0.016427, 0.470244, -2.144295, 3.172595), abs=1e-6)


def test_the_fit_is_the_published_benchmark(dmgbp):
    """Fiorentini, Calzolari and Panattoni (1996): estimates, and standard errors from the Hessian."""
    found = fit_garch(dmgbp)
    model = found.model
    published = [-0.00619041, 0.0107614, 0.153134, 0.805974]
    assert [model.const, model.omega, model.alpha, model.beta] == pytest.approx(published, abs=5e-7)
    assert found.standard_errors == pytest.approx([0.00846212, 0.00285271, 0.0265228, 0.0335527], abs=5e-7)
    assert found.log_likelihood == pytest.approx(-1106.6079, abs=5e-5)


@pytest.mark.parametrize("nu", [math.inf, 5.0])
def test_the_likelihood_is_that_of_arch(dmgbp, nu):
    model = Garch(const=0.01, ar=np.array([0.05]), omega=0.01, alpha=0.12, beta=0.85, nu=nu)
    e = dmgbp[1:] - 0.01 - 0.05 * dmgbp[:-1]
    h, bounds = np.empty(len(e)), np.tile([1e-12, 1e12], (len(e), 1))
    GARCH(1, 0, 1).compute_variance(np.array([0.01, 0.12, 0.85]), e, h, np.mean(e**2), bounds)
    law, own = (Normal(), []) if math.isinf(nu) else (StudentsT(), [nu])
    assert log_likelihood(model, dmgbp) == pytest.approx(law.loglikelihood(np.array(own), e, h), abs=1e-8)


@pytest.mark.parametrize("student", [False, True])
def test_the_fit_is_that_of_arch(dmgbp, student):
    y = dmgbp[:900]
    ours = fit_garch(y, p=1, student=student)
    before = float(np.mean(conditional_variance(ours.model, y)[0] ** 2))
    theirs = arch_model(y, mean="AR", lags=1, dist="t" if student else "normal", rescale=False).fit(
        disp="off", backcast=before, tol=1e-10
    )
    # arch holds the start fixed while it searches; here it moves with the mean, which costs a little
    assert -1e-6 < theirs.loglikelihood - ours.log_likelihood < 1e-4
    model = ours.model
    values = [model.const, model.ar[0], model.omega, model.alpha, model.beta, *([model.nu] if student else [])]
    assert values == pytest.approx(theirs.params.to_numpy(), rel=2e-3, abs=2e-4)


coefficients = st.floats(-0.45, 0.45)


@settings(max_examples=40)
@given(
    ar=st.lists(coefficients, max_size=2),
    ma=st.lists(coefficients, max_size=2),
    alpha=st.floats(0.0, 0.5),
    beta=st.floats(0.0, 0.49),
    seed=st.integers(0, 99),
)
def test_the_recursion_is_the_slow_one(ar, ma, alpha, beta, seed):
    y = np.random.default_rng(seed).normal(size=30)
    model = Garch(const=0.1, ar=np.array(ar), ma=np.array(ma), omega=0.2, alpha=alpha, beta=beta)
    e, h = conditional_variance(model, y)
    slow_e, slow_h = slow(model, y)
    np.testing.assert_allclose(e, slow_e, atol=1e-12)
    np.testing.assert_allclose(h, slow_h, atol=1e-12)


@pytest.mark.parametrize("student", [False, True])
@pytest.mark.parametrize(("p", "q"), [(0, 0), (1, 0), (2, 1), (1, 2)])
def test_the_gradient_is_that_of_the_likelihood(dmgbp, p, q, student):
    problem = _Problem(dmgbp[:200], p, q, student)
    z = 0.5 * np.random.default_rng(p + q).normal(size=4 + p + q + student)
    numeric = [(problem(z + d)[0] - problem(z - d)[0]) / 2e-6 for d in 1e-6 * np.eye(len(z))]
    np.testing.assert_allclose(problem(z)[1], numeric, atol=1e-7)
    theta = natural(z, p, q)
    nu = float(theta[-1]) if student else math.inf
    ar, ma, (omega, alpha, beta) = theta[1 : 1 + p], theta[1 + p : 1 + p + q], theta[1 + p + q : 4 + p + q]
    model = Garch(const=theta[0], ar=ar, ma=ma, omega=omega, alpha=alpha, beta=beta, nu=nu)
    assert -problem(z)[0] * (200 - p) == pytest.approx(log_likelihood(model, dmgbp[:200]), rel=1e-12)


@settings(max_examples=60)
@given(z=st.lists(st.floats(-15.0, 15.0), min_size=9, max_size=9))
def test_the_transform_only_reaches_models_that_are_stationary_and_invertible(z):
    theta = natural(np.array(z), 2, 2)
    omega, alpha, beta, nu = theta[5:]
    assert omega > 0.0
    assert min(alpha, beta) >= 0.0
    assert alpha + beta < 1.0
    assert nu > 2.0
    for polynomial in ([1.0, -theta[1], -theta[2]], [1.0, theta[3], theta[4]]):
        assert (np.abs(np.roots(polynomial)) <= 1.0 + 1e-6).all()


TRUTH = Garch(const=0.02, ar=np.array([0.6]), ma=np.array([-0.3]), omega=0.05, alpha=0.1, beta=0.85, nu=6.0)


def test_what_was_simulated_is_found_within_its_standard_errors():
    """Over several worlds, errors in units of their standard errors scatter by about one."""
    truth, off = np.array([0.02, 0.6, -0.3, 0.05, 0.1, 0.85, 6.0]), []
    for world in range(12):
        found = fit_garch(simulated(TRUTH, 4000, seed=100 + world), p=1, q=1, student=True)
        model = found.model
        values = np.array([model.const, *model.ar, *model.ma, model.omega, model.alpha, model.beta, model.nu])
        off.append((values - truth) / found.standard_errors)
        assert (found.standard_errors < [0.015, 0.1, 0.1, 0.03, 0.03, 0.05, 1.5]).all()
    assert found.names == ("const", "ar1", "ma1", "omega", "alpha", "beta", "nu")
    scatter = np.sqrt(np.mean(np.square(off), axis=0))
    assert ((scatter > 0.4) & (scatter < 1.7)).all()
    assert np.sqrt(np.mean(np.square(off))) == pytest.approx(1.0, abs=0.25)
    assert (np.abs(np.mean(off, axis=0)) < 3.5 / math.sqrt(12)).all()


def test_the_unit_of_the_series_does_not_matter(dmgbp):
    y = dmgbp[:600]
    one, other = fit_garch(y, p=1), fit_garch(1e4 * y, p=1)
    assert other.model.omega == pytest.approx(1e8 * one.model.omega, rel=1e-3)
    assert [other.model.alpha, other.model.beta] == pytest.approx([one.model.alpha, one.model.beta], abs=1e-4)
    assert other.log_likelihood == pytest.approx(one.log_likelihood - 599 * math.log(1e4), abs=1e-5)


def test_a_level_far_from_zero_is_found(dmgbp):
    near, far = fit_garch(dmgbp[:600]), fit_garch(dmgbp[:600] + 1000.0)
    assert far.model.const == pytest.approx(1000.0 + near.model.const, abs=1e-5)
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-5)


def test_forecasts_are_those_of_arch(dmgbp):
    start = 0.25
    fitted = arch_model(dmgbp, mean="AR", lags=1, rescale=False).fit(disp="off", backcast=start)
    const, ar, omega, alpha, beta = fitted.params
    model = Garch(const=const, ar=np.array([ar]), omega=omega, alpha=alpha, beta=beta)
    ours, theirs = forecast(model, dmgbp[None], steps=6), fitted.forecast(horizon=6, reindex=False)
    np.testing.assert_allclose(ours.mean[0], theirs.mean.iloc[-1], rtol=1e-10)
    np.testing.assert_allclose(ours.variance[0], theirs.variance.iloc[-1], rtol=1e-8)
    np.testing.assert_allclose(ours.innovation_variance[0], theirs.residual_variance.iloc[-1], rtol=1e-8)


def test_forecasts_hold_on_simulated_futures():
    """Many continuations of one past, written out step by step."""
    past, paths, steps = simulated(TRUTH, 200, seed=5), 400_000, 4
    e, h = slow(TRUTH, past)
    rng = np.random.default_rng(0)
    z = rng.standard_t(6.0, (steps, paths)) * math.sqrt(4.0 / 6.0)
    value, error = np.full(paths, past[-1]), np.full(paths, e[-1])
    variance, total = np.full(paths, h[-1]), np.zeros(paths)
    ahead = forecast(TRUTH, past[None], steps=steps)
    for k in range(steps):
        variance = 0.05 + 0.1 * error**2 + 0.85 * variance
        shock = np.sqrt(variance) * z[k]
        value = 0.02 + 0.6 * value + shock - 0.3 * error
        error, total = shock, total + value
        noise = 4.0 * math.sqrt(ahead.total_variance[0, k] / paths)
        assert ahead.innovation_variance[0, k] == pytest.approx(variance.mean(), rel=0.01)
        assert ahead.mean[0, k] == pytest.approx(value.mean(), abs=noise)
        assert ahead.variance[0, k] == pytest.approx(value.var(), rel=0.02)
        assert ahead.total_mean[0, k] == pytest.approx(total.mean(), abs=noise)
        assert ahead.total_variance[0, k] == pytest.approx(total.var(), rel=0.02)


def test_quantiles_cover_what_they_promise():
    y = simulated(TRUTH, 4200, seed=7)
    windows = np.lib.stride_tricks.sliding_window_view(y, 200)[:-1]
    ahead = forecast(TRUTH, windows)
    levels = np.array([0.05, 0.25, 0.5, 0.95])
    bands = quantiles(TRUTH, ahead.mean[:, 0], ahead.variance[:, 0], levels)
    covered = (y[200:, None] <= bands).mean(axis=0)
    assert covered == pytest.approx(levels, abs=4.0 * 0.5 / math.sqrt(4000))


def test_quantiles_are_those_of_scipy():
    got = quantiles(TRUTH, np.array([1.0]), np.array([4.0]), np.array([0.01, 0.9]))
    assert got[0] == pytest.approx(1.0 + 2.0 * student_t.ppf([0.01, 0.9], 6.0) * math.sqrt(4.0 / 6.0))


def test_a_row_is_forecast_from_its_own_window_only():
    windows = np.random.default_rng(2).normal(size=(7, 50))
    together = forecast(TRUTH, windows, steps=3)
    for row in range(7):
        alone = forecast(TRUTH, windows[row : row + 1], steps=3)
        np.testing.assert_array_equal(alone.total_variance[0], together.total_variance[row])
        np.testing.assert_array_equal(alone.total_mean[0], together.total_mean[row])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"omega": 0.0}, "omega 0.0"),
        ({"alpha": -0.1}, "alpha -0.1"),
        ({"alpha": 0.2, "beta": 0.8}, "below 1"),
        ({"nu": 2.0}, "nu is 2.0"),
        ({"beta": math.nan}, "beta nan"),
    ],
)
def test_a_model_without_a_variance_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Garch(**({"omega": 0.1, "alpha": 0.1, "beta": 0.8} | wrong))


@pytest.mark.parametrize("y", [np.ones(100), np.zeros(5), np.r_[np.arange(50.0), np.nan], np.zeros((40, 2))])
def test_values_that_cannot_be_fitted_are_refused(y):
    with pytest.raises(DataError):
        fit_garch(y)


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ConfigError, match="p is -1"):
        fit_garch(np.arange(100.0), p=-1)
    with pytest.raises(ConfigError, match="steps is 0"):
        forecast(TRUTH, np.zeros((1, 5)), steps=0)
    with pytest.raises(DataError, match="more than 1"):
        forecast(TRUTH, np.zeros((1, 1)))
    with pytest.raises(DataError, match="finite"):
        forecast(TRUTH, np.full((1, 5), np.inf))
    with pytest.raises(ConfigError, match="levels"):
        quantiles(TRUTH, np.zeros(1), np.ones(1), np.array([1.0]))
