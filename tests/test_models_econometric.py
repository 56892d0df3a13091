"""Families made of econometric models: what each computes is the textbook's, what it answers is fitted."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bellwether.econometrics import conjugate
from bellwether.econometrics.birth_death import Queue, balanced_chance, depletion_table
from bellwether.econometrics.cointegration import engle_granger
from bellwether.econometrics.garch import Garch, forecast
from bellwether.econometrics.hawkes import Hawkes, excitation, next_type, share_of_intensity, simulate
from bellwether.econometrics.naive_bayes import ClassPrior, nothing_seen, see
from bellwether.errors import DataError, ModelError
from bellwether.models import family
from bellwether.models.arma_garch import LOOKBACK, ForecastValues, fitted
from bellwether.models.base import LEVELS, Fitted, Task
from bellwether.models.bayes_classes import BayesClasses
from bellwether.models.bundle import Bundle
from bellwether.models.graph import INPUT, OUTPUT, QUANTILES, VALUES
from bellwether.models.hawkes import BUY, SELL, Intensities, likeliest
from bellwether.models.outcome_series import outcome_series
from bellwether.models.outlook import Outlook
from bellwether.models.predictor import session
from bellwether.models.queue_depletion import Depletion
from bellwether.models.training import Training, plain
from bellwether.models.updating import Updating
from data.features.microstructure import microstructure
from tune.inputs import inputs

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


@settings(max_examples=20, deadline=None)
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


# order flow


def test_the_needed_features_are_those_of_the_order_book():
    outputs = microstructure().outputs
    assert {*family("hawkes").needs, *family("queue_depletion").needs} <= set(outputs)


def test_log_odds_are_those_of_the_share_of_intensity():
    h = np.random.default_rng(0).gamma(2.0, size=(50, 2)).astype(np.float32)
    model = Hawkes(mu=np.full(2, 0.3), alpha=np.eye(2), beta=1.0)
    share = share_of_intensity(model, h.astype(float))[:, 0]
    flow = Intensities(columns=2, buy=0, sell=1, unit=1.0, mu=0.3)
    np.testing.assert_allclose(flow(h)[:, 0], np.log(share / (1 - share)), atol=1e-9)


@pytest.mark.parametrize("slope", [1.0, 0.3])
def test_the_base_rate_is_found_however_much_directions_follow_the_flow(slope):
    rng = np.random.default_rng(1)
    h = rng.gamma(0.5, 2.0, size=(60_000, 2)).astype(np.float32)
    truth = Intensities(columns=2, buy=0, sell=1, unit=1.0, mu=0.4)
    up = (rng.random(len(h)) < 1 / (1 + np.exp(-slope * truth(h)[:, 0]))).astype(float)
    found = likeliest(h, up, np.ones(len(h)), (BUY, SELL))
    assert found.mu * found.unit == pytest.approx(0.4, abs=0.15)


def test_the_next_trade_is_foreseen_nearly_as_well_as_by_the_true_process():
    truth = Hawkes(mu=np.full(2, 0.2), alpha=np.array([[0.8, 0.1], [0.1, 0.8]]), beta=1.5)
    events = simulate(truth, end=12_000.0, seed=2)
    excited = excitation(truth, events, events.times)[:-1]
    seen = np.linalg.solve(truth.alpha, excited.T).T  # of each side alone, as the features have it
    features, sell = 0.1 + 0.5 * np.maximum(seen, 0.0), events.types[1:]
    rows = plain(features, 1 - sell, classes=2, names=(BUY, SELL))
    half = len(sell) // 2
    model = train("hawkes", rows.at(np.arange(half)), balanced=False)
    ours = model.predict(features[half:])[np.arange(len(sell) - half), 1 - sell[half:]]
    best = next_type(truth, excited[half:])[np.arange(len(sell) - half), sell[half:]]
    losses = -np.log(ours).mean(), -np.log(best).mean()
    assert losses[1] < losses[0] < losses[1] + 0.004
    assert losses[0] < np.log(2.0) - 0.05


def test_intensities_that_are_not_positive_are_refused():
    with pytest.raises(ModelError, match="hawkes_buy and hawkes_sell are -1 on average"):
        train("hawkes", plain(np.full((100, 2), -1.0), np.arange(100) % 2, classes=2, names=(BUY, SELL)))


# queues


def empties_first(imbalance: Floats, bid_rate: Floats, ask_rate: Floats, correlation: float = 0.0) -> Floats:
    queues = Depletion(columns=3, places=(0, 1, 2), typical=1e-9, measured=True, correlation=correlation)
    odds = np.exp(queues(np.column_stack([imbalance, bid_rate, ask_rate])))[:, 0]
    return np.asarray(odds / (1 + odds))


def test_the_limit_is_close_to_the_exact_chance_from_the_first_order_on():
    bid, ask = (sizes.ravel() for sizes in np.meshgrid(np.arange(1.0, 31.0), np.arange(1.0, 31.0)))
    one = np.ones(len(bid))
    apart = np.abs(empties_first((bid - ask) / (bid + ask), one, one) - balanced_chance(bid, ask))
    assert 0.001 < apart.max() < 0.008


def test_a_queue_that_goes_four_times_as_fast_is_like_one_half_as_long():
    table = depletion_table(Queue(arrival=1.0, departure=1.0), Queue(arrival=4.0, departure=4.0), largest=16, grid=200)
    ours = empties_first(np.array([0.0]), np.array([1.0]), np.array([4.0]))[0]
    assert ours == pytest.approx(2 / np.pi * np.arctan(2.0), abs=1e-6)
    assert ours == pytest.approx(table[16, 16], abs=0.01)


@settings(max_examples=50, deadline=None)
@given(correlation=st.floats(-0.9, 0.9), imbalance=st.floats(-0.98, 0.98))
def test_correlated_queues_have_the_chance_that_was_published(correlation, imbalance):
    steep = np.sqrt((1 + correlation) / (1 - correlation))
    published = 0.5 + np.arctan(steep * imbalance) / (2 * np.arctan(steep))
    one = np.ones(1)
    assert empties_first(np.array([imbalance]), one, one, correlation)[0] == pytest.approx(published, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(imbalance=st.floats(-1, 1), bid=st.floats(0, 1e6), ask=st.floats(0, 1e6), correlation=st.floats(-0.9, 0.9))
def test_the_other_side_has_the_other_chance(imbalance, bid, ask, correlation):
    queues = Depletion(columns=3, places=(0, 1, 2), typical=1.0, measured=True, correlation=correlation)
    one, other = queues(np.array([[imbalance, bid, ask], [-imbalance, ask, bid]]))[:, 0]
    assert np.isfinite(one)
    assert one == pytest.approx(-other, abs=1e-5)


def book_rows(n: int, seed: int) -> Training:
    """Books whose next move is the side that empties first, among other features."""
    rng = np.random.default_rng(seed)
    imbalance, rates, other = rng.uniform(-1, 1, n), rng.gamma(2.0, 50.0, size=(n, 2)), 1e6 * rng.normal(size=n)
    up = rng.random(n) < empties_first(imbalance, *rates.T)
    names = ("other", "ask_depletion", "imbalance_1", "bid_depletion")
    return plain(
        np.column_stack([other, rates[:, 1], imbalance, rates[:, 0]]), 2 * up.astype(int), classes=3, names=names
    )


def test_features_are_found_by_name_and_the_served_answer_is_the_same():
    rows, later = book_rows(4000, 1), book_rows(4000, 2)
    model = train("queue_depletion", rows)
    chance = empties_first(later.x[:, 2], later.x[:, 3], later.x[:, 1])
    found = model.predict(later.x)
    assert np.corrcoef(found[:, 2], chance)[0, 1] > 0.97
    assert not found[:, 1].any()
    np.testing.assert_allclose(served(model, later.x, OUTPUT), found, atol=1e-6)


def test_rates_that_are_not_read_change_nothing():
    rows = book_rows(1000, 3)
    other = replace(rows, x=rows.x * np.array([1.0, 7.0, 1.0, 0.1]))
    one, two = (train("queue_depletion", r, measured=False).predict(rows.x) for r in (rows, other))
    np.testing.assert_array_equal(one, two)


# Bayes


def labelled(n: int, seed: int, flip: bool = False) -> tuple[Floats, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * np.array([1.0, 100.0, 1e-4])
    drive = x[:, 0] * (-1 if flip else 1) + 0.5 * rng.normal(size=n)
    return x, drive


def bayes(task: Task, n: int = 400, seed: int = 0, **changes: Any) -> tuple[Any, Floats, Any]:
    x, drive = labelled(n, seed)
    y: Any = np.digitize(drive, [-0.5, 0.5]) if task is CLASSIFY else 0.01 * drive[:, None]
    return train("bayes", plain(x, y, classes=3 if task is CLASSIFY else 0), **changes), x, y


@pytest.mark.parametrize("task", [CLASSIFY, REGRESS])
@pytest.mark.parametrize("keep", [1.0, 0.99])
def test_rows_learned_in_parts_or_at_once_are_one_posterior(task, keep):
    model, x, y = bayes(task, keep=keep)
    parts = model
    for row in range(0, 60, 7):
        parts = parts.update(x[row : min(row + 7, 60)], y[row : min(row + 7, 60)])
    at_once = model.update(x[:60], y[:60])
    np.testing.assert_allclose(parts.predict(x), at_once.predict(x), rtol=1e-8, atol=1e-10)
    assert np.abs(at_once.predict(x) - model.predict(x)).max() > 1e-6


@pytest.mark.parametrize("task", [CLASSIFY, REGRESS])
def test_a_model_goes_on_from_its_state_bit_for_bit(task):
    model, x, y = bayes(task, keep=0.999)
    assert isinstance(model, Updating)
    restore = family("bayes").restore
    assert restore is not None
    again: Any = restore(Bundle.parse(model.state().serialise()))
    np.testing.assert_array_equal(again.update(x, y).predict(x), model.update(x, y).predict(x))
    assert again.update(x, y).graph() == model.update(x, y).graph()


def test_values_that_fade_are_those_of_forgetting_before_every_row():
    model, x, y = bayes(REGRESS, keep=0.9, strength=3.0)
    z = np.clip((x.astype(np.float32) - model.scaler.mean) / model.scaler.scale, -5, 5)
    design, target = np.column_stack([z, np.ones(len(x))]), y[:, 0] / model.unit
    prior = conjugate.vague(4, strength=3.0)
    known = prior
    for row in range(len(x)):
        known = conjugate.forget(known, prior, keep=0.9)
        known = conjugate.learn(known, design[row : row + 1], target[row : row + 1])
    np.testing.assert_allclose(model.known.mean, known.mean, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(model.known.precision, known.precision, rtol=1e-8, atol=1e-10)
    assert (model.known.shape, model.known.scale) == pytest.approx((known.shape, known.scale), rel=1e-8)


@pytest.mark.parametrize("task", [CLASSIFY, REGRESS])
def test_a_row_that_counts_twice_is_two_rows(task):
    model, x, y = bayes(task)
    once = model.update(np.repeat(x[:9], 2, axis=0), np.repeat(y[:9], 2, axis=0))
    np.testing.assert_allclose(model.update(x[:9], y[:9], np.full(9, 2.0)).predict(x), once.predict(x), rtol=1e-9)
    nothing = model.update(x[:9], y[:9], np.zeros(9))
    np.testing.assert_allclose(nothing.predict(x), model.predict(x), rtol=1e-9)


def test_negative_weights_are_refused():
    prior = ClassPrior(counts=np.ones(2), mean=np.zeros(1), variance=np.ones(1))
    with pytest.raises(DataError, match="none negative"):
        see(nothing_seen(prior), np.ones((1, 1)), np.array([0]), weight=np.array([-1.0]))
    with pytest.raises(DataError, match="none negative"):
        conjugate.learn(conjugate.vague(1), np.ones((1, 1)), np.ones(1), weight=np.array([-1.0]))


def test_ranges_of_values_cover_what_they_promise():
    model, _, _ = bayes(REGRESS, n=300)
    x, drive = labelled(4000, 9)
    quantiles = model.quantiles(x)[:, 0]
    below = (0.01 * drive[:, None] <= quantiles).mean(axis=0)
    np.testing.assert_allclose(below, LEVELS, atol=0.03)
    np.testing.assert_allclose(served(model, x, QUANTILES)[:, 0], quantiles, atol=1e-8)


@pytest.mark.parametrize("task", [CLASSIFY, REGRESS])
def test_a_model_that_forgets_follows_a_market_that_turned(task):
    kept, faded = (bayes(task, n=2000, keep=keep)[0] for keep in (1.0, 0.99))
    x, drive = labelled(800, 5, flip=True)
    y: Any = np.digitize(drive, [-0.5, 0.5]) if task is CLASSIFY else 0.01 * drive[:, None]

    def right(model: Any) -> float:
        answer = model.update(x[:500], y[:500]).predict(x[500:])
        if task is CLASSIFY:
            return float(np.mean(answer.argmax(axis=1) == y[500:]))
        return float(1 - np.mean((answer - y[500:]) ** 2) / np.mean(y[500:] ** 2))

    assert right(faded) > 0.6
    assert right(kept) < 0.3


def test_a_class_that_is_met_later_is_learned():
    x, drive = labelled(600, 6)
    y = np.digitize(drive, [-0.5, 0.5])
    early = np.isin(y, [0, 2])
    model = train("bayes", plain(x[early], y[early], classes=3))
    assert isinstance(model, BayesClasses)
    assert not model.predict(x)[:, 1].any()
    later = model.update(x, y)
    assert later.predict(x)[:, 1].max() > 0.5
    np.testing.assert_allclose(served(later, x, OUTPUT), later.predict(x), atol=1e-6)


def test_what_does_not_fit_is_refused():
    model, x, y = bayes(REGRESS)
    with pytest.raises(ModelError, match="fitted on 3 columns; rows have 2"):
        model.update(x[:, :2], y)
    with pytest.raises(ModelError, match="predicts one step; the rows to learn have 2"):
        model.update(x, np.hstack([y, y]))
    restore = family("bayes").restore
    assert restore is not None
    with pytest.raises(ModelError, match="a Bayes model's state has 'column_mean'; got beta"):
        restore(Bundle({"beta": np.ones(1)}))
