"""Scoring a signal against the index: known answers, and honesty where nothing was said."""

import numpy as np
import pytest

from bellwether.errors import DataError
from bellwether.validation.index_score import score_index

MOVED = np.random.default_rng(5).normal(0, 0.01, 800)


def drawn(seed: int, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, spread, 800)


def test_correlation_is_numpys():
    signal = MOVED + drawn(6, 0.03)
    score = score_index("noisy", signal, MOVED, buy=0.01, sell=-0.01)
    assert score.ic.value == pytest.approx(np.corrcoef(signal, MOVED)[0, 1])
    assert score.ic.low < score.ic.value < score.ic.high


def test_a_signal_turned_round_is_as_wrong_as_it_was_right():
    right = score_index("right", MOVED, MOVED, buy=0.005, sell=-0.005)
    wrong = score_index("wrong", -MOVED, MOVED, buy=0.005, sell=-0.005)
    assert (right.hit_rate.value, wrong.hit_rate.value) == (1.0, 0.0)
    assert wrong.captured.value == pytest.approx(-right.captured.value)
    assert right.calls == wrong.calls == int((np.abs(MOVED) >= 0.005).sum())


def test_a_signal_on_its_threshold_is_a_call():
    signal = np.array([0.5, 0.4, -0.5, -0.4])
    score = score_index("edge", signal, np.array([0.01, 0.01, 0.02, -0.01]), buy=0.5, sell=-0.5)
    assert (score.calls, score.hit_rate.value) == (2, 0.5)
    assert score.captured.value == pytest.approx(-25.0)  # (100 - 200) / 4 basis points


def test_always_hold_makes_no_claim():
    hold = score_index("hold", np.zeros(800), MOVED, buy=0.5, sell=-0.5)
    assert (hold.calls, hold.hit_rate, hold.ic) == (0, None, None)
    assert hold.captured.value == hold.captured.low == hold.captured.high == 0.0


def test_noise_has_an_interval_that_holds_zero():
    noise = score_index("noise", drawn(7), MOVED, buy=0.5, sell=-0.5, confidence=0.99)
    assert noise.ic.low < 0.0 < noise.ic.high
    assert noise.hit_rate.low < 0.5 < noise.hit_rate.high


def test_moves_that_overlap_make_wider_intervals():
    moved = np.convolve(drawn(8), np.ones(20), "valid")
    signal = np.convolve(drawn(9), np.ones(20), "valid")
    one, twenty = (score_index("slow", signal, moved, buy=1.0, sell=-1.0, horizon=h).ic for h in (1, 20))
    assert (one.block, twenty.block) == (10, 39)
    assert one.value == twenty.value
    assert twenty.high - twenty.low > 1.1 * (one.high - one.low)


def test_a_lone_blip_says_nothing_in_resamples_that_miss_it():
    """Where rounding alone varies there is no correlation, and no tiny one either."""
    blip = np.append(0.1, np.full(799, 0.7))
    found = score_index("blip", blip, MOVED, buy=1.0, sell=0.0).ic
    assert found.high < 0.0 or found.low > 0.0


def test_an_index_that_never_moves_has_no_correlation():
    still = score_index("still", MOVED, np.zeros(800), buy=0.005, sell=-0.005)
    assert still.ic is None
    assert still.hit_rate.value == 0.0


@pytest.mark.parametrize(("signal", "moved"), [(MOVED, MOVED[1:]), (MOVED * np.nan, MOVED), (MOVED[:0], MOVED[:0])])
def test_what_cannot_be_scored_is_refused(signal, moved):
    with pytest.raises(DataError, match=r"ours: signals .* must be finite, one each a bar"):
        score_index("ours", signal, moved, buy=0.5, sell=-0.5)
