"""Fading excitation against sums over all of the past, and against a process whose rate is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.features.hawkes import faded


@given(waits=st.lists(st.floats(0.0, 50.0), min_size=1, max_size=50), beta=st.floats(0.01, 20.0))
def test_the_recursion_is_the_sum_over_all_events(waits: list[float], beta: float) -> None:
    excited, times = 0.0, np.cumsum(waits)
    for k, wait in enumerate(waits):
        excited = excited * faded(beta, wait) + 1.0
        assert excited == pytest.approx(np.exp(-beta * (times[k] - times[: k + 1])).sum(), rel=1e-9)


def test_nothing_fades_while_no_time_passes_nor_backwards() -> None:
    assert faded(3.0, 0.0) == faded(3.0, -1.0) == 1.0


def test_a_simulated_process_has_the_mean_rate_and_intensity_of_the_theory() -> None:
    """Ogata's thinning, by the recursion: mu / (1 - alpha / beta) events a second, and that mean intensity."""
    mu, alpha, beta, end = 0.5, 1.0, 2.0, 40_000.0
    rng = np.random.default_rng(0)
    time, excited, events, area = 0.0, 0.0, 0, 0.0
    while time < end:
        most = mu + alpha * excited
        wait = rng.exponential(1.0 / most)
        left = faded(beta, wait)
        area += mu * wait + alpha * excited * (1.0 - left) / beta
        time, excited = time + wait, excited * left
        if rng.random() * most < mu + alpha * excited:
            excited, events = excited + 1.0, events + 1
    assert events / end == pytest.approx(mu / (1.0 - alpha / beta), rel=0.03)
    assert area / end == pytest.approx(events / end, rel=0.03)
