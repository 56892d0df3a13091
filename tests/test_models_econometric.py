"""Families made of time-series models: what each computes is the textbook's, what it answers is fitted."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bellwether.econometrics.cointegration import engle_granger
from bellwether.econometrics.garch import Garch, forecast
from bellwether.errors import ModelError
from bellwether.models import family
from bellwether.models.arma_garch import LOOKBACK, ForecastValues, fitted
from bellwether.models.base import Fitted, Task
from bellwether.models.graph import INPUT, OUTPUT, QUANTILES, VALUES
from bellwether.models.outcome_series import outcome_series
from bellwether.models.outlook import Outlook
from bellwether.models.predictor import session
from bellwether.models.training import Training, plain
from data.inputs import inputs

Floats = NDArray[np.float64]
CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS


def served(model: Fitted, x: NDArray[Any], result: str) -> NDArray[Any]:
    found: NDArray[Any] = session(model.graph()).run([result], {INPUT: x.astype(np.float32)})[0]
    return found


def train(name: str, training: Training, **changes: Any) -> Any:
    task = training.task
    return family(name).train(training, {**family(name).standard(task), **changes})


# outcomes


def garch_path(n: int, seed: int, *, ma: float = 0.0, alpha: float = 0.15, beta: float = 0.8) -> tuple[Floats, Floats]:
    """Values of long-run variance one, and the standard deviation each was drawn with."""
    rng = np.random.default_rng(seed)
    y, deviation, e, h = np.empty(n), np.empty(n), 0.0, 1.0
    for t in range(n):
        h = 1.0 - alpha - beta + alpha * e * e + beta * h
        before, e = e, np.sqrt(h) * rng.normal()
        y[t], deviation[t] = e + ma * before, np.sqrt(h)
    return y, deviation


def windowed(y: Floats, first: int = 0) -> tuple[Floats, Floats]:
    """Windows of the past of each value, zero before the first; and the values."""
    padded = np.concatenate([np.zeros(LOOKBACK), y])
    at = np.arange(first, len(y))
    return padded[at[:, None] + np.arange(LOOKBACK)], y[first:]


def outcome_rows(*series: Floats) -> Training:
    """Rows of several symbols, in time order."""
    x, y = zip(*(windowed(values) for values in series), strict=True)
    n = len(series[0])
    order = np.argsort(np.tile(np.arange(n), len(series)), kind="stable")
    rows = plain(np.vstack(x)[order], np.concatenate(y)[order], lookback=LOOKBACK)
    ts = np.repeat(np.arange(n), len(series))
    return replace(rows, ts=ts, t1=ts + 1, who=np.tile(np.arange(len(series)), n))


@pytest.mark.parametrize("horizon", [1, 4])
def test_series_of_outcomes_are_those_the_sweep_delivers_without_overlap(horizon):
    rng, n = np.random.default_rng(horizon), 200
    ts = np.repeat(np.arange(n), 2)
    panel = SimpleNamespace(
        x=np.zeros((2 * n, 1)), outcome=rng.normal(size=2 * n), value=np.ones(2 * n), ts=ts, t1=ts + horizon,
        who=np.tile([0, 1], n), features=("f",), symbols=("A", "B"),
    )  # fmt: skip
    rows = np.arange(2 * n)
    known = inputs(panel, False)  # type: ignore[arg-type]
    x = known.read(family("arma_garch"), {"lookback": 5}, rows)
    training = replace(plain(x, np.zeros(2 * n), lookback=5), ts=ts, t1=panel.t1, who=panel.who)
    found = outcome_series(training)
    assert len(found) == 2
    for who, series in enumerate(found):
        at = np.array([int(np.flatnonzero(panel.outcome == value)[0]) for value in series])
        assert (panel.who[at] == who).all()
        np.testing.assert_array_equal(np.diff(ts[at]), horizon)
        assert len(series) == (n - 1) // horizon


@pytest.mark.parametrize(("p", "q"), [(0, 0), (1, 0), (0, 1), (2, 2)])
def test_the_unrolled_model_is_the_recursion(p, q):
    model = Garch(const=0.1, ar=np.array([0.4, -0.3])[:p], ma=np.array([0.5, 0.2])[:q], omega=0.1, alpha=0.1, beta=0.8)
    y = (0.01 * np.random.default_rng(0).normal(size=(20, 30))).astype(np.float32).astype(float)
    mean, deviation = Outlook(model=model, window=30, unit=0.01).moments(y)
    scale = np.sqrt(((y * y).sum(axis=1) + 0.01**2) / 31)
    expected = forecast(model, y / scale[:, None])
    np.testing.assert_allclose(mean, scale * expected.mean[:, 0], rtol=1e-9)
    np.testing.assert_allclose(deviation, scale * np.sqrt(expected.variance[:, 0]), rtol=1e-9)


def test_a_window_without_outcomes_is_foreseen_as_the_training_rows_were():
    model = Garch(ma=np.array([0.5]), omega=0.1, alpha=0.1, beta=0.8)
    mean, deviation = Outlook(model=model, window=50, unit=0.02).moments(np.zeros((1, 50)))
    assert mean[0] == 0.0
    assert deviation[0] == pytest.approx(0.02 * np.sqrt(model.long_run_variance), rel=0.01)


def test_one_model_is_found_for_symbols_of_different_size():
    rows = outcome_rows(garch_path(4000, 1, ma=0.4)[0], 1e-3 * garch_path(4000, 2, ma=0.4)[0])
    model = fitted(rows, {"order": "0,1", "student": False}).model
    assert model.ma[0] == pytest.approx(0.4, abs=0.04)
    assert (model.alpha, model.beta) == (pytest.approx(0.15, abs=0.05), pytest.approx(0.8, abs=0.07))


@pytest.mark.parametrize("student", [True, False])
def test_ranges_cover_what_comes_in_calm_and_in_wild_times(student):
    model = train("arma_garch", outcome_rows(0.01 * garch_path(3000, 3, ma=0.3)[0]), order="0,1", student=student)
    values, deviation = garch_path(6000, 4, ma=0.3)
    x, y = windowed(0.01 * values, first=LOOKBACK)
    low, middle, high = model.quantiles(x)[:, 0].T
    inside, wild = (low <= y) & (y <= high), deviation[LOOKBACK:] > np.median(deviation)
    assert inside[wild].mean() == pytest.approx(0.9, abs=0.03)
    assert inside[~wild].mean() == pytest.approx(0.9, abs=0.03)
    np.testing.assert_allclose(middle, model.predict(x)[:, 0], atol=1e-12)
    np.testing.assert_allclose(served(model, x, QUANTILES)[:, 0], np.stack([low, middle, high], axis=1), atol=1e-7)


@settings(max_examples=20)
@given(factor=st.sampled_from([2.0**-20, 0.25, 8.0, 2.0**20]), seed=st.integers(0, 100))
def test_a_window_k_times_as_large_is_foreseen_k_times_as_large(factor, seed):
    model = Garch(ar=np.array([0.2]), omega=0.1, alpha=0.1, beta=0.8)
    outlook, y = Outlook(model=model, window=40, unit=1e-12), np.random.default_rng(seed).normal(size=(3, 40))
    for one, other in zip(outlook.moments(y), outlook.moments(factor * y), strict=True):
        np.testing.assert_allclose(factor * one, other, rtol=1e-9)


def test_a_mean_that_foretells_nothing_gets_no_slope():
    rows = outcome_rows(garch_path(3000, 5, ma=0.8)[0])
    outlook = fitted(rows, {"order": "0,1", "student": False})
    shuffled = replace(rows, y=np.random.default_rng(0).permutation(rows.y))
    slopes = [train("arma_garch", r, order="0,1", student=False).slope for r in (rows, shuffled)]
    assert slopes == [pytest.approx(1.0, abs=0.07), pytest.approx(0.0, abs=0.07)]
    assert isinstance(train("arma_garch", rows), ForecastValues)
    assert outlook.unit == pytest.approx(float(np.sqrt(np.mean(rows.y**2))), rel=0.01)


def test_outer_classes_are_likelier_after_wild_outcomes():
    values, _ = garch_path(4000, 6, alpha=0.3, beta=0.65)
    rows = outcome_rows(values)
    rows = replace(rows, y=np.digitize(rows.y[:, 0], [-1.0, 1.0]), classes=3)
    model = train("arma_garch", rows, order="0,0", balanced=False)
    calm = np.tile(np.where(np.arange(LOOKBACK) % 2, 1.0, -1.0), (2, 1))
    calm[:, -10:] *= np.array([[0.2], [3.0]])
    outer = model.predict(calm)[:, [0, 2]].sum(axis=1)
    assert outer[1] > outer[0] + 0.2
    np.testing.assert_allclose(served(model, calm, OUTPUT), model.predict(calm), atol=1e-6)


def test_too_few_outcomes_are_refused():
    with pytest.raises(ModelError, match=r"29 known outcomes: a GARCH takes 60"):
        train("arma_garch", outcome_rows(np.random.default_rng(0).normal(size=30)))


# prices


def tied_prices(n: int, seed: int) -> Floats:
    """Log prices of four symbols: 2 follows 0, 1 and 3 wander alone."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(0.01 * rng.normal(size=(n, 4)), axis=0) + 4.0
    gap = np.zeros(n)
    for t in range(1, n):
        gap[t] = 0.8 * gap[t - 1] + 0.01 * rng.normal()
    walks[:, 2] = 1.0 + 0.7 * walks[:, 0] + gap
    return walks


def price_rows(logs: Floats) -> Training:
    """A row of each symbol at each moment; its outcome is the log return that comes."""
    n, symbols = len(logs) - 1, logs.shape[1]
    who, ts = np.tile(np.arange(symbols), n), np.repeat(np.arange(n), symbols)
    rows = plain(np.column_stack([who, logs[ts]]), np.diff(logs, axis=0).ravel(), names=("who", *"abcd"[:symbols]))
    return replace(rows, ts=ts, t1=ts + 1, who=who)


@pytest.fixture(scope="module")
def pairs() -> tuple[Any, Training]:
    rows = price_rows(tied_prices(1500, 1))
    return train("pairs", rows), rows


def test_only_tied_symbols_are_foreseen(pairs):
    model, rows = pairs
    found = model.predict(rows.x)[:, 0]
    assert not found[np.isin(rows.who, [1, 3])].any()
    follower = rows.who == 2
    gain = 1 - np.mean((rows.y[follower, 0] - found[follower]) ** 2) / np.mean(rows.y[follower] ** 2)
    assert gain > 0.05


def test_the_spread_is_that_of_engle_and_granger(pairs):
    model, rows = pairs
    logs = rows.x[rows.who == 0, 1:].astype(np.float32).astype(float)
    (pair,) = model.outputs.weights.T
    y, x = (2, 0) if pair[2] > pair[0] and np.isclose(pair[2], np.abs(pair).max()) else (0, 2)
    either = [
        engle_granger(np.exp(logs[:, a]), np.exp(logs[:, b])).zscore(np.exp(logs[:, a]), np.exp(logs[:, b]))
        for a, b in ((y, x), (x, y))
    ]
    ours = model.outputs.scores(rows.x[rows.who == 0])[:, 0]
    assert min(np.abs(np.clip(z, -4, 4) - ours).max() for z in either) < 1e-3


def test_a_stretched_spread_is_expected_to_close(pairs):
    model, _ = pairs
    wide = np.array([[2.0, 4.0, 4.0, 1.0 + 0.7 * 4.0 + gap, 4.0] for gap in (-0.03, 0.03)])
    up, down = model.predict(wide)[:, 0]
    assert down < 0.0 < up


def test_a_partner_without_a_price_is_no_partner(pairs):
    model, rows = pairs
    x = rows.x[rows.who == 2][:50].copy()
    x[:, 1] = 0.0
    assert not model.predict(x).any()
    everything = np.vstack([x, rows.x])
    np.testing.assert_allclose(served(model, everything, VALUES), model.predict(everything), atol=1e-8)


def test_walks_that_are_not_tied_are_not_foreseen():
    logs = np.cumsum(0.01 * np.random.default_rng(2).normal(size=(800, 3)), axis=0) + 4.0
    rows = price_rows(logs)
    assert not train("pairs", rows).predict(rows.x).any()


def test_a_symbol_that_came_late_does_not_keep_the_others_from_being_paired():
    logs = tied_prices(1500, 1)
    logs[:1000, 3], logs[:200, 1] = 0.0, 0.0
    rows = price_rows(logs)
    assert train("pairs", rows).predict(rows.x[rows.who == 2]).any()
