"""Bayesian updating as a family: parts are the whole, states are resumed, what is old may fade."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bellwether.econometrics import conjugate
from bellwether.econometrics.naive_bayes import ClassPrior, nothing_seen, see
from bellwether.errors import DataError, ModelError
from bellwether.models import family
from bellwether.models.base import LEVELS, Fitted, Task
from bellwether.models.bayes_classes import BayesClasses
from bellwether.models.bundle import Bundle
from bellwether.models.graph import INPUT, OUTPUT, QUANTILES
from bellwether.models.predictor import session
from bellwether.models.training import Training, plain
from bellwether.models.updating import Updating

Floats = NDArray[np.float64]
CLASSIFY, REGRESS = Task.CLASSIFY, Task.REGRESS


def served(model: Fitted, x: NDArray[Any], result: str) -> NDArray[Any]:
    found: NDArray[Any] = session(model.graph()).run([result], {INPUT: x.astype(np.float32)})[0]
    return found


def train(name: str, training: Training, **changes: Any) -> Any:
    task = training.task
    return family(name).train(training, {**family(name).standard(task), **changes})


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
