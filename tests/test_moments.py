"""Windows looked at as a whole, against NumPy and SciPy."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from data.features.base import Floats
from data.features.moments import (
    autocorrelation,
    centre,
    forget,
    history,
    latest,
    product,
    remember,
    shape,
    total,
)

values = arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6).map(lambda v: round(v, 3)))


@given(pushed=st.lists(st.floats(-1e9, 1e9), max_size=30), length=st.sampled_from([1, 3, 8]))
def test_remembers_the_latest_in_order(pushed: list[float], length: int) -> None:
    h, expected = np.zeros(1, history(length))[0], deque[float](maxlen=length)
    for value in pushed:
        remember(h, value)
        expected.append(value)
        assert h["count"] == len(expected)
        for count in range(len(expected) + 1):
            assert latest(h, count).tolist() == list(expected)[len(expected) - count :]
    forget(h)
    assert h.tobytes() == np.zeros(1, history(length)).tobytes()


@given(u=values)
def test_sums_and_products(u: Floats) -> None:
    v = np.cos(np.arange(len(u)))
    assert total(u) == pytest.approx(u.sum(), abs=1e-9 * np.abs(u).sum())
    assert product(u, v) == pytest.approx(u @ v, abs=1e-9 * np.abs(u).sum())


@given(u=values)
def test_moments_and_autocorrelations(u: Floats) -> None:
    distances, squares = np.empty(len(u)), np.empty(len(u))
    mean, energy = centre(u, distances)
    skew, kurtosis = shape(distances, squares, energy / len(u))
    assert mean == pytest.approx(u.mean(), abs=1e-9 * np.abs(u).max())
    if np.ptp(u) == 0.0:
        assert (energy, skew, kurtosis, autocorrelation(distances, 1, energy)) == (0.0, 0.0, 0.0, 0.0)
        return
    assert energy / len(u) == pytest.approx(u.var(), rel=1e-6)
    assert skew == pytest.approx(stats.skew(u), rel=1e-5, abs=1e-6)
    assert kurtosis == pytest.approx(stats.kurtosis(u), rel=1e-5, abs=1e-6)
    for lag in range(1, len(u)):
        expected = ((u - u.mean())[lag:] * (u - u.mean())[:-lag]).sum() / len(u) / u.var()
        assert autocorrelation(distances, lag, energy) == pytest.approx(expected, abs=1e-6)
        assert abs(autocorrelation(distances, lag, energy)) <= 1.0
