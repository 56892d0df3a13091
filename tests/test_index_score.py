"""Scoring a signal against the index: known answers, and honesty where nothing was said."""

import numpy as np
import pytest

from bellwether.validation.index_score import score_index

RNG = np.random.default_rng(5)
MOVED = RNG.normal(0, 0.01, 800)


def test_correlation_is_numpys():
    signal = MOVED + RNG.normal(0, 0.03, 800)
    score = score_index("noisy", signal, MOVED, buy=0.01, sell=-0.01)
    assert score.ic.value == pytest.approx(np.corrcoef(signal, MOVED)[0, 1])
    assert score.ic.low < score.ic.value < score.ic.high


def test_a_signal_turned_round_is_as_wrong_as_it_was_right():
    right = score_index("right", MOVED, MOVED, buy=0.005, sell=-0.005)
    wrong = score_index("wrong", -MOVED, MOVED, buy=0.005, sell=-0.005)
    assert (right.hit_rate.value, wrong.hit_rate.value) == (1.0, 0.0)
    assert wrong.captured.value == pytest.approx(-right.captured.value)
    assert right.calls == wrong.calls == int((np.abs(MOVED) >= 0.005).sum())


def test_always_hold_makes_no_claim():
    hold = score_index("hold", np.zeros(800), MOVED, buy=0.5, sell=-0.5)
    assert (hold.calls, hold.hit_rate, hold.ic) == (0, None, None)
    assert hold.captured.value == hold.captured.low == hold.captured.high == 0.0


def test_noise_has_an_interval_that_holds_zero():
    noise = score_index("noise", RNG.normal(size=800), MOVED, buy=0.5, sell=-0.5, confidence=0.99)
    assert noise.ic.low < 0.0 < noise.ic.high
    assert noise.hit_rate.low < 0.5 < noise.hit_rate.high
