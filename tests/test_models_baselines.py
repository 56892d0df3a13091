"""The references to beat: what was, will be; and a window of rows under a ridge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from bellwether.errors import ModelError
from bellwether.models import family
from bellwether.models.base import Reads, Task
from bellwether.models.ewma import HALF_LIVES, LOOKBACK, decaying
from bellwether.models.ridge_window import PENALTIES
from bellwether.models.training import plain

RNG = np.random.default_rng(0)


def served(model, x):
    session = onnxruntime.InferenceSession(model.graph(), providers=["CPUExecutionProvider"])
    return session.run(None, {"features": np.asarray(x, np.float32)})[0]


def window(series, length):
    """The values before each, oldest first; 0 before the first."""
    padded = np.concatenate([np.zeros(length), series])
    return np.lib.stride_tricks.sliding_window_view(padded, length)[: len(series)].copy()


@pytest.mark.parametrize("name", ["persistence", "last_return", "ewma", "ridge_window"])
def test_a_baseline_has_nothing_to_tune(name):
    found = family(name)
    assert found.baseline
    assert found.defaults == {}
    assert all(set(found.space(FixedTrial({}), task)) <= {"lookback"} for task in found.tasks)


def test_persistence_says_the_last_class_again():
    last = RNG.integers(0, 4, 50)
    model = family("persistence").train(plain(last[:, None].astype(float), RNG.integers(0, 4, 50), classes=4), {})
    np.testing.assert_array_equal(model.predict(last[:, None].astype(float)), np.eye(4)[last])
    assert family("persistence").reads is Reads.LABELS


@given(st.floats(-1e6, 1e6, width=32))
def test_a_position_that_is_no_class_counts_as_the_nearest(position):
    rows = plain(np.zeros((2, 1)), np.array([0, 2]), classes=3)
    native = family("persistence").train(rows, {}).predict(np.array([[position]]))[0]
    assert np.abs(np.argmax(native) - position) <= max(0.5, position - 2, -position)
    assert native.sum() == 1.0


def test_the_graph_of_persistence_agrees_between_and_beyond_the_classes():
    model = family("persistence").train(plain(np.zeros((2, 1)), np.array([0, 2]), classes=3), {})
    x = np.array([[-1e30], [-1.0], [0.5], [1.5], [1.49], [2.0], [7.0]])
    np.testing.assert_array_equal(served(model, x), model.predict(x))


@pytest.mark.parametrize("steps", [1, 3])
def test_persistence_of_values_is_no_change_whatever_the_last_one_was(steps):
    rows = plain(RNG.normal(size=(20, 1)), 1.0 + RNG.normal(size=(20, steps)))
    model = family("persistence").train(rows, {})
    np.testing.assert_array_equal(model.predict(rows.x), np.zeros((20, steps)))
    np.testing.assert_array_equal(served(model, rows.x), np.zeros((20, steps)))


def test_the_next_change_is_the_last_one():
    last = 1e-4 * RNG.normal(size=(20, 1)).astype(np.float32)
    model = family("last_return").train(plain(last.astype(float), RNG.normal(size=20)), {})
    np.testing.assert_array_equal(model.predict(last), last)
    np.testing.assert_array_equal(served(model, last), last)


@pytest.mark.parametrize("half_life", HALF_LIVES)
def test_decaying_weights_are_those_of_pandas(half_life):
    series = RNG.normal(size=LOOKBACK)
    expected = pd.Series(series).ewm(halflife=half_life).mean().iloc[-1]
    assert series @ decaying(half_life, LOOKBACK) == pytest.approx(expected, rel=1e-12)


@given(st.floats(0.1, 100.0), st.integers(1, 60))
def test_decaying_weights_are_a_mean_that_favours_the_newest(half_life, length):
    weights = decaying(half_life, length)
    assert weights.sum() == pytest.approx(1.0)
    assert (np.diff(weights) >= 0).all()


def half_life_of(series, weight=None):
    rows = plain(window(series, LOOKBACK), series, lookback=LOOKBACK)
    rows = replace(rows, weight=np.ones(len(series)) if weight is None else weight)
    weights = family("ewma").train(rows, {"lookback": LOOKBACK}).coefficients()[:, 0]
    return min(HALF_LIVES, key=lambda h: np.abs(decaying(h, LOOKBACK) - weights).max())


def test_ewma_forgets_slowly_what_hardly_moves_and_at_once_what_moves_much():
    noise = RNG.normal(size=2000)
    assert half_life_of(0.05 * np.cumsum(RNG.normal(size=2000)) + noise) >= 8.0
    assert half_life_of(np.cumsum(RNG.normal(size=2000))) == 1.0


def test_ewma_chooses_by_the_rows_that_count():
    noise, walk = RNG.normal(size=1000), np.cumsum(RNG.normal(size=1000))
    series = np.concatenate([noise, walk])
    count = np.repeat([1.999, 0.001], 1000)
    assert half_life_of(series, count) == max(HALF_LIVES)
    assert half_life_of(series, 2.0 - count) == 1.0


def test_ridge_window_finds_what_only_an_old_row_says():
    drive = RNG.normal(size=3000)
    x = window(drive, 12)
    y = 1e-4 * (x[:, 2] + 0.5 * RNG.normal(size=3000))
    model = family("ridge_window").train(plain(x, y, lookback=12), {"lookback": 12})
    coef = model.coefficients()[:, 0]
    assert coef[2] == pytest.approx(1e-4, rel=0.05)
    assert np.abs(np.delete(coef, 2)).max() < 5e-6


def test_ridge_window_leaves_out_what_did_not_hold_in_the_newest_rows():
    x = RNG.normal(size=(2000, 12))
    sign = np.where(np.arange(2000) < 1600, 1.0, -1.0)
    y = sign * x[:, 0] + RNG.normal(size=2000)
    steady = plain(x, np.abs(sign) * x[:, 0] + RNG.normal(size=2000), lookback=12)
    turned = family("ridge_window").train(plain(x, y, lookback=12), {"lookback": 12})
    held = family("ridge_window").train(steady, {"lookback": 12})
    assert np.abs(turned.coefficients()).max() < 2 / max(PENALTIES)
    assert held.coefficients()[0, 0] > 0.9


def test_ridge_window_foretells_the_change_of_a_price_from_returns_though_it_sees_levels_too():
    returns = np.zeros(4012)
    for k in range(1, len(returns)):
        returns[k] = 0.4 * returns[k - 1] + 1e-4 * RNG.normal()
    price = 1e5 * np.exp(np.cumsum(returns))
    both = np.column_stack([returns, price])[:-1]
    back = np.arange(11, 4011)[:, None] + np.arange(-11, 1)
    x, y = both[back].reshape(4000, -1), np.diff(price)[11:]
    model = family("ridge_window").train(plain(x[:3000], y[:3000], lookback=12), {"lookback": 12})
    answer = model.predict(x[3000:])[:, 0]
    assert 1 - np.mean((y[3000:] - answer) ** 2) / np.mean(y[3000:] ** 2) > 0.1
    np.testing.assert_allclose(served(model, x)[:, 0], model.predict(x)[:, 0], rtol=0, atol=1e-5 * y.std())


def test_ridge_window_never_sees_its_tail_before_the_penalty_is_chosen():
    x, y = RNG.normal(size=(500, 12)), RNG.normal(size=(500, 1))
    rows = plain(x, y, lookback=12)
    overlapping = replace(rows, t1=rows.ts + 500)  # every outcome is known after the last row
    with pytest.raises(ModelError, match="500 timestamps are too few to stop on the last 20%"):
        family("ridge_window").train(overlapping, {"lookback": 12})


def test_tasks_of_the_baselines():
    both = {Task.CLASSIFY, Task.REGRESS}
    found = {name: set(family(name).tasks) for name in ("persistence", "last_return", "ewma", "ridge_window")}
    assert found == {
        "persistence": both,
        "last_return": {Task.REGRESS},
        "ewma": {Task.REGRESS},
        "ridge_window": {Task.REGRESS},
    }
