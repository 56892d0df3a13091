"""Families made of models of the order flow: intensities that excite themselves, queues that empty."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bellwether.econometrics.birth_death import Queue, balanced_chance, depletion_table
from bellwether.econometrics.hawkes import Hawkes, excitation, next_type, share_of_intensity, simulate
from bellwether.errors import ModelError
from bellwether.models import family
from bellwether.models.base import Fitted, Task
from bellwether.models.graph import INPUT, OUTPUT
from bellwether.models.hawkes import BUY, SELL, Intensities, likeliest
from bellwether.models.predictor import session
from bellwether.models.queue_depletion import Depletion
from bellwether.models.training import Training, plain
from data.features.microstructure import microstructure

Floats = NDArray[np.float64]
CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS


def served(model: Fitted, x: NDArray[Any], result: str) -> NDArray[Any]:
    found: NDArray[Any] = session(model.graph()).run([result], {INPUT: x.astype(np.float32)})[0]
    return found


def train(name: str, training: Training, **changes: Any) -> Any:
    task = training.task
    return family(name).train(training, {**family(name).standard(task), **changes})


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


@settings(max_examples=50)
@given(correlation=st.floats(-0.9, 0.9), imbalance=st.floats(-0.98, 0.98))
def test_correlated_queues_have_the_chance_that_was_published(correlation, imbalance):
    steep = np.sqrt((1 + correlation) / (1 - correlation))
    published = 0.5 + np.arctan(steep * imbalance) / (2 * np.arctan(steep))
    one = np.ones(1)
    assert empties_first(np.array([imbalance]), one, one, correlation)[0] == pytest.approx(published, abs=1e-5)


@settings(max_examples=50)
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
