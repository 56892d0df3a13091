"""The signal over history says what one answer at a time says."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bellwether.actions import SCORES
from bellwether.signal_series import signal_series


@given(seed=st.integers(0, 10_000), times=st.integers(1, 6), components=st.integers(1, 5))
def test_each_timestamp_is_the_weighted_sum_of_those_that_answered(seed, times, components):
    rng = np.random.default_rng(seed)
    answered = rng.random((times, components)) < 0.7
    answered[:, 0] = True  # somebody always answers
    weights = rng.uniform(0.1, 1.0, (times, components))
    row, who = np.nonzero(answered)
    p = rng.dirichlet(np.ones(5), len(row))
    got = signal_series(row.astype(np.int64) * 10, who.astype(np.int64), p, weights)
    for t in range(times):
        mine = row == t
        w = weights[t, who[mine]]
        np.testing.assert_allclose(got.wss[t], w @ np.array(SCORES)[p[mine].argmax(1)] / w.sum(), atol=1e-12)
        np.testing.assert_allclose(got.wss_probability[t], w @ (p[mine] @ np.array(SCORES)) / w.sum(), atol=1e-12)
        np.testing.assert_allclose(got.coverage[t], w.sum() / weights[t].sum(), atol=1e-12)


def test_without_any_weight_there_is_no_signal():
    nothing = signal_series(np.array([5]), np.array([0]), np.full((1, 5), 0.2), np.array([[np.nan, 0.4]]))
    assert np.isnan(nothing.wss[0])
    assert nothing.coverage[0] == 0.0
