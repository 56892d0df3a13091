"""Which calibrator, if any: chosen on later rows than it was fitted on, and fitted on all of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from bellwether.calibration import calibrator, calibrator_names, restored
from bellwether.calibration.choose import choose, scores_of
from bellwether.errors import ConfigError, DataError, UnknownName

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def drawn(rng: np.random.Generator, p: Floats) -> Ints:
    """Classes that come with these probabilities (n, classes)."""
    return (rng.random((len(p), 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)


def world(seed: int, rows: int, temperature: float, classes: int = 3) -> tuple[Floats, Ints, Floats]:
    """Stated probabilities, what came, and the true probabilities, which are those stated at this temperature."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.normal(size=(rows, classes))
    true = softmax(logits / temperature, axis=1)
    return softmax(logits, axis=1), drawn(rng, true), true


def panel(rows: int) -> tuple[Ints, Ints]:
    """Four rows a timestamp, whose outcomes are known five timestamps later."""
    ts = np.repeat(np.arange(-(-rows // 4)), 4)[:rows]
    return ts, ts + 5


def test_the_choice_has_the_least_loss_on_later_rows_and_is_fitted_on_all():
    p, y, _ = world(seed=20, rows=4000, temperature=3.0)
    ts, t1 = panel(4000)
    found = choose(p, y, ts=ts, t1=t1)
    losses = {name: scores.log_loss for name, scores in found.scores.items()}
    assert set(losses) == set(calibrator_names())
    assert found.name == min(losses, key=lambda name: losses[name])
    assert losses[found.name] < losses["none"] - 0.2
    assert found.fitted.state() == calibrator(found.name).fit(p, y).state()
    after, before = found.scores[found.name], found.scores["none"]
    assert after.brier < before.brier
    assert after.calibration_error < 0.3 * before.calibration_error


def test_scores_are_those_of_a_fit_on_earlier_rows_whose_outcomes_are_known():
    p, y, _ = world(seed=21, rows=2000, temperature=2.0)
    ts, t1 = panel(2000)
    found = choose(p, y, ts=ts, t1=t1, share=0.3)
    start = 350  # of 500 timestamps
    early, late = t1 <= start, ts >= start
    for name in calibrator_names():
        alone = calibrator(name).fit(p[early], y[early]).apply(p[late])
        assert found.scores[name] == scores_of(alone, y[late], np.ones(late.sum()))
    assert (found.fitted_rows, found.compared_rows) == (early.sum(), late.sum()) == (346 * 4, 600)


def test_what_is_not_known_when_the_comparison_begins_does_not_count():
    p, y, _ = world(seed=22, rows=2000, temperature=2.0)
    ts, t1 = panel(2000)
    between = (ts < 250) & (t1 > 250)
    other = np.where(between, (y + 1) % 3, y)
    assert between.sum() == 16
    assert choose(p, other, ts=ts, t1=t1).scores == choose(p, y, ts=ts, t1=t1).scores


def test_rows_may_come_in_any_order():
    p, y, _ = world(seed=23, rows=1200, temperature=2.0)
    ts, t1 = panel(1200)
    mixed = np.random.default_rng(0).permutation(1200)
    one, other = choose(p, y, ts=ts, t1=t1), choose(p[mixed], y[mixed], ts=ts[mixed], t1=t1[mixed])
    assert one.name == other.name
    assert one.scores["isotonic"].log_loss == pytest.approx(other.scores["isotonic"].log_loss)


@pytest.mark.parametrize("p", [np.tile([0.25] * 4, (400, 1)), np.tile([1.0, 0.0, 0.0, 0.0], (400, 1))])
def test_none_wins_ties(p):
    """No temperature changes equal probabilities, or a lone one."""
    y, ts = np.zeros(400, np.int64), np.arange(400)
    found = choose(p, y, ts=ts, t1=ts + 1, names=("temperature",))
    assert found.scores["temperature"].log_loss == pytest.approx(found.scores["none"].log_loss, abs=1e-9)
    assert found.name == "none"


def test_a_gain_of_nothing_is_a_tie():
    p, y, ts = np.tile([0.5 + 1e-8, 0.5 - 1e-8], (400, 1)), np.zeros(400, np.int64), np.arange(400)
    found = choose(p, y, ts=ts, t1=ts + 1, names=("temperature",))
    assert 0.0 < found.scores["none"].log_loss - found.scores["temperature"].log_loss < 1e-6
    assert found.name == "none"


def test_calibrated_predictions_lose_little_to_the_search():
    """Whatever is chosen by chance, what it does to probabilities that were right is small."""
    for seed in range(3):
        p, y, true = world(seed=30 + seed, rows=3000, temperature=1.0)
        ts, t1 = panel(3000)
        found = choose(p, y, ts=ts, t1=t1)
        assert np.abs(found.fitted.apply(p) - true).mean() < 0.025


def test_weights_say_which_rows_count():
    p, y, _ = world(seed=24, rows=2000, temperature=1.0)
    sure, came, _ = world(seed=25, rows=2000, temperature=4.0)
    both, classes = np.vstack([p, sure]), np.append(y, came)
    ts = np.tile(np.arange(2000), 2)
    light = choose(both, classes, ts=ts, t1=ts + 1, weight=np.repeat([1.0, 0.0], 2000), names=("temperature",))
    heavy = choose(both, classes, ts=ts, t1=ts + 1, weight=np.repeat([0.0, 1.0], 2000), names=("temperature",))
    assert light.scores["none"].calibration_error < 0.05 < heavy.scores["none"].calibration_error
    assert heavy.fitted.state()["temperature"] == pytest.approx(4.0, rel=0.15)


def test_scores_are_the_usual_ones():
    p, y, _ = world(seed=26, rows=500, temperature=2.0)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, 500)
    found = scores_of(p, y, weight)
    assert found.log_loss == pytest.approx(log_loss(y, p, sample_weight=weight))
    assert found.brier == pytest.approx(brier_score_loss(y, p, sample_weight=weight, scale_by_half=False))
    slow, top, hit = 0.0, p.max(axis=1), p.argmax(axis=1) == y
    for lower in np.arange(10) / 10:
        inside = (top > lower) & (top <= lower + 0.1)
        if inside.any():
            gap = np.average(top[inside], weights=weight[inside]) - np.average(hit[inside], weights=weight[inside])
            slow += weight[inside].sum() / weight.sum() * abs(gap)
    assert found.calibration_error == pytest.approx(slow)


def test_the_report_is_json_and_restores_the_calibrator():
    p, y, _ = world(seed=27, rows=1200, temperature=3.0)
    ts, t1 = panel(1200)
    found = choose(p, y, ts=ts, t1=t1)
    report = json.loads(json.dumps(found.report(), allow_nan=False))
    assert report["scores"]["none"]["log_loss"] == found.scores["none"].log_loss
    np.testing.assert_array_equal(restored(report).apply(p), found.fitted.apply(p))


def test_a_choice_that_cannot_be_made_is_refused():
    p, y, _ = world(seed=28, rows=40, temperature=1.0)
    ts, t1 = panel(40)
    with pytest.raises(ConfigError, match=r"share is 1\.0: it must lie between 0 and 1"):
        choose(p, y, ts=ts, t1=t1, share=1.0)
    with pytest.raises(DataError, match="10 timestamps are too few"):
        choose(p, y, ts=ts, t1=ts + 100)
    with pytest.raises(DataError, match="40 rows have 39 timestamps"):
        choose(p, y, ts=ts[1:], t1=t1)
    with pytest.raises(UnknownName, match="no calibrator 'beta'"):
        choose(p, y, ts=ts, t1=t1, names=("beta",))
