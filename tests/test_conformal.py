"""Conformal intervals: what split, adaptive and tracking ones promise, on rows where it is known whether they hold."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bellwether.calibration.conformal import Conformal, band_scores, calibrated, finite_sample_quantile
from bellwether.calibration.coverage import coverage, replay
from bellwether.calibration.sets import class_radii, prediction_sets, set_scores
from bellwether.errors import ConfigError, DataError, ModelError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = ("split", "adaptive", "tracking")
every_kind = pytest.mark.parametrize("kind", KINDS)
kinds_that_move = pytest.mark.parametrize("kind", KINDS[1:])
NORMAL_95 = 1.6449  # of a standard normal, 90 % lie within


def hours(n: int, delay: int = 1) -> dict[str, Ints]:
    ts = np.arange(n)
    return {"ts": ts, "t1": ts + delay}


def misses(state: Conformal, scores: Floats, delay: int = 1) -> float:
    return float(replay(state, scores, **hours(len(scores), delay)).missed.mean())


def any_state(kind: str, alpha: float, gamma: float, n: int = 60) -> Conformal:
    return calibrated(np.linspace(0.01, 1.0, n), alpha=alpha, kind=kind, gamma=gamma, window=40)


# split ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.1, 0.25])
def test_split_covers_exchangeable_rows_as_often_as_promised(alpha):
    """Of n = 99 scores the rank (n + 1)(1 - alpha) is whole, so coverage is 1 - alpha exactly, over calibrations."""
    rng, worlds, held = np.random.default_rng(0), 1500, []
    for _ in range(worlds):
        scores = np.abs(rng.standard_t(3, size=99 + 20))
        held.append(np.mean(scores[99:] <= calibrated(scores[:99], alpha=alpha).radius))
    spread = np.sqrt(alpha * (1 - alpha) * (1 / 101 + 1 / 20) / worlds)  # Beta(k, n + 1 - k), then binomial
    assert np.mean(held) == pytest.approx(1 - alpha, abs=4 * spread)


@given(
    scores=st.lists(st.floats(-5, 5), min_size=1, max_size=40),
    alpha=st.fractions(0, 1, max_denominator=50).map(float),
)
def test_the_quantile_leaves_out_no_more_than_alpha_of_n_and_one_more(scores, alpha):
    """The slow oracle: the least score such that at least (1 - alpha)(n + 1) are no greater; infinite if none is."""
    need = (1 - alpha) * (len(scores) + 1) - 1e-9
    enough = [s for s in sorted(scores) if sum(other <= s for other in scores) >= need]
    slow = -np.inf if need <= 0 else min(enough, default=np.inf)
    assert finite_sample_quantile(np.array(scores), alpha) == slow


def test_bands_of_quantiles_give_intervals_that_are_wide_where_the_noise_is():
    rng, n = np.random.default_rng(1), 4000
    sd = np.where(rng.random(n) < 0.5, 0.2, 2.0)
    y, early = sd * rng.normal(size=n), slice(0, n // 2)
    late = slice(n // 2, n)
    low, high = -sd, sd  # too narrow: 68 %
    state = calibrated(band_scores(y[early], low[early], high[early]))
    below, above = state.interval(low[late], high[late])
    held = (below <= y[late]) & (y[late] <= above)
    assert held.mean() == pytest.approx(0.9, abs=0.03)
    plain = calibrated(np.abs(y[early]))
    assert (above - below).mean() < 0.95 * 2 * plain.radius
    assert (above - below)[sd[late] < 1].mean() < 0.6 * (above - below)[sd[late] > 1].mean()


def test_bands_that_are_too_wide_are_drawn_in():
    y = np.random.default_rng(2).normal(size=2000)
    ends = np.full(2000, 3.0)
    state = calibrated(band_scores(y, -ends, ends))
    assert state.radius == pytest.approx(NORMAL_95 - 3.0, abs=0.1)
    low, high = state.interval(np.array([-3.0, -0.5]), np.array([3.0, 1.5]))
    assert low[0] == pytest.approx(-NORMAL_95, abs=0.1)
    assert (low[1], high[1]) == (0.5, 0.5)  # nothing is left of this band: its middle


def test_an_outcome_is_inside_when_its_score_is_no_more_than_the_radius():
    rng = np.random.default_rng(3)
    y, low = rng.normal(size=500), rng.normal(size=500)
    high = low + rng.exponential(size=500)
    state = calibrated(band_scores(y, low, high), alpha=0.3)
    below, above = state.interval(low, high)
    inside = (below <= y) & (y <= above)
    scores = band_scores(y, low, high)
    clear = ~np.isclose(scores, state.radius)  # the row that is the quantile may be rounded out
    assert clear.sum() == 499
    np.testing.assert_array_equal(inside[clear], scores[clear] <= state.radius)


# long-run guarantees -------------------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    alpha=st.sampled_from([0.05, 0.1, 0.3]),
    gamma=st.sampled_from([0.005, 0.05, 0.3]),
    delay=st.integers(1, 12),
    growth=st.floats(-0.05, 0.05),
)
@settings(max_examples=60)
def test_adaptive_misses_alpha_in_the_long_run_whatever_comes(seed, alpha, gamma, delay, growth):
    """Gibbs and Candès, proposition 4.1, on scores that explode, vanish and jump. With outcomes ``delay`` rows late the
    level strays by as many steps; the proposition is the case 1."""
    rng, n = np.random.default_rng(seed), 400
    scores = np.exp(growth * np.arange(n)) * rng.exponential(size=n) * rng.choice([1.0, 100.0], n)
    state = any_state("adaptive", alpha, gamma)
    off = abs(misses(state, scores, delay) - alpha)
    assert off <= (max(alpha, 1 - alpha) + delay * gamma) / (gamma * n) + 1e-9


@given(seed=st.integers(0, 10_000), alpha=st.sampled_from([0.05, 0.1, 0.3]), gamma=st.sampled_from([0.01, 0.1, 0.5]))
@settings(max_examples=40)
def test_tracking_misses_alpha_in_the_long_run_where_scores_are_bounded(seed, alpha, gamma):
    """Angelopoulos, Candès and Tibshirani, proposition 1: within (b + eta) / (eta T) for scores in 0 … b."""
    rng, n, b = np.random.default_rng(seed), 400, 5.0
    scores = np.clip(np.cumsum(rng.normal(size=n)), 0.0, b)
    state = any_state("tracking", alpha, gamma)
    assert abs(misses(state, scores) - alpha) <= (b + state.gamma) / (state.gamma * n) + 1e-9


def test_moving_intervals_hold_through_a_change_of_variance_and_split_ones_do_not():
    rng, n = np.random.default_rng(4), 6000
    early = np.abs(rng.normal(size=1000))
    centre, y = np.zeros(n), np.where(np.arange(n) < 1000, 1.0, 3.0) * rng.normal(size=n)
    found = {kind: coverage(calibrated(early, kind=kind), y, centre, centre, **hours(n)) for kind in KINDS}
    assert found["split"].measured.high < 0.65
    for kind in KINDS[1:]:
        assert found[kind].measured.value == pytest.approx(0.9, abs=0.01)
        assert found[kind].unbounded < 0.01
        late = replay(found[kind].state, np.abs(3.0 * rng.normal(size=3000)), **hours(3000))
        assert np.median(late.radius) == pytest.approx(3.0 * NORMAL_95, rel=0.12)


@kinds_that_move
def test_moving_intervals_narrow_again_when_calm_returns(kind):
    rng = np.random.default_rng(5)
    state = calibrated(3.0 * np.abs(rng.normal(size=1000)), kind=kind)
    calm = replay(state, np.abs(rng.normal(size=3000)), **hours(3000))
    assert np.mean(calm.radius[-500:]) == pytest.approx(NORMAL_95, rel=0.2)
    assert np.mean(calm.missed[-2000:]) == pytest.approx(0.1, abs=0.02)


def test_adaptive_takes_its_quantile_of_the_newest_scores_at_its_level():
    scores, state = np.random.default_rng(10).exponential(size=300), any_state("adaptive", 0.2, 0.02)
    assert state.scores == tuple(np.linspace(0.01, 1.0, 60)[-40:])
    last = replay(state, scores, **hours(300)).state
    assert last.scores == tuple(scores[-40:])
    assert last.radius == sorted(scores[-40:])[int(np.ceil(41 * (1 - last.level))) - 1]


@kinds_that_move
def test_an_outcome_on_the_edge_of_its_interval_is_no_miss(kind):
    state = any_state(kind, 0.1, 0.3)
    inside, on, beyond = (state.after(s, radius=2.0) for s in (1.0, 2.0, np.nextafter(2.0, 3.0)))
    assert on.level == inside.level
    if kind == "tracking":
        assert inside.radius == on.radius < beyond.radius
    else:
        assert beyond.level < on.level


def test_adaptive_intervals_are_everything_below_level_0_and_nothing_above_1():
    state = any_state("adaptive", 0.1, 0.5)
    down = state.after(9.0, radius=1.0)  # a miss: 0.1 - 0.45
    assert (down.level, down.radius) == (pytest.approx(-0.35), np.inf)
    assert down.interval(np.zeros(1), np.zeros(1)) == (-np.inf, np.inf)
    up = replace(state, level=0.99).after(0.0, radius=1.0)
    assert (up.level, up.radius) == (pytest.approx(1.04), -np.inf)
    assert up.interval(np.zeros(1), np.ones(1)) == (0.5, 0.5)


# what is known when --------------------------------------------------------------------------------------------------


def slow_radii(state: Conformal, scores: Floats, ts: Ints, t1: Ints) -> Floats:
    """For every row on its own: begin again, and take all outcomes known by then in the order they became known."""
    radius = np.full(len(scores), np.nan)
    for row in np.argsort(ts, kind="stable"):
        now = state
        for other in sorted(range(len(scores)), key=lambda k: (t1[k], k)):
            if t1[other] <= ts[row]:
                now = now.after(scores[other], radius[other])
        radius[row] = now.radius
    return radius


@every_kind
@given(seed=st.integers(0, 10_000), symbols=st.integers(1, 3))
@settings(max_examples=15)
def test_every_row_has_the_state_of_the_outcomes_known_by_then(kind, seed, symbols):
    rng = np.random.default_rng(seed)
    ts = np.repeat(np.sort(rng.integers(0, 60, 25)), symbols)
    t1 = ts + rng.integers(1, 20, len(ts))
    mixed = rng.permutation(len(ts))
    ts, t1, scores = ts[mixed], t1[mixed], rng.exponential(size=len(ts))
    state = any_state(kind, 0.2, 0.1)
    np.testing.assert_array_equal(replay(state, scores, ts=ts, t1=t1).radius, slow_radii(state, scores, ts, t1))


@every_kind
@given(seed=st.integers(0, 10_000), now=st.integers(0, 99))
@settings(max_examples=20)
def test_outcomes_that_are_not_known_yet_change_nothing(kind, seed, now):
    rng = np.random.default_rng(seed)
    ts, scores = np.arange(100), rng.exponential(size=100)
    t1 = ts + rng.integers(1, 20, 100)
    other = np.where(t1 > now, 50.0, scores)
    state = any_state(kind, 0.2, 0.1)
    one, two = (replay(state, s, ts=ts, t1=t1).radius for s in (scores, other))
    np.testing.assert_array_equal(one[: now + 1], two[: now + 1])
    if kind != "split" and now < 50:
        assert not np.array_equal(one, two)


@every_kind
def test_a_state_survives_json_and_goes_on_as_if_never_stopped(kind):
    rng = np.random.default_rng(6)
    scores = rng.exponential(size=400)
    state = any_state(kind, 0.1, 0.3)
    whole = replay(state, scores, **hours(400))
    first = replay(state, scores[:150], **hours(150))
    text = json.dumps(first.state.state(), allow_nan=False)
    second = replay(Conformal.restore(json.loads(text)), scores[150:], **hours(250))
    np.testing.assert_array_equal(np.append(first.radius, second.radius), whole.radius)
    assert second.state == whole.state


def test_an_infinite_radius_survives_json():
    state = any_state("adaptive", 0.1, 0.5).after(9.0, radius=1.0)
    assert np.isinf(state.radius)
    assert Conformal.restore(json.loads(json.dumps(state.state(), allow_nan=False))) == state


@every_kind
def test_damaged_states_are_refused(kind):
    state = any_state(kind, 0.1, 0.3).state()
    for key in state:
        with pytest.raises(ModelError, match="the state of the intervals is damaged"):
            Conformal.restore({k: v for k, v in state.items() if k != key})
    with pytest.raises(ModelError, match="kind 'other'"):
        Conformal.restore(state | {"kind": "other"})


# what coverage reports -----------------------------------------------------------------------------------------------


@every_kind
def test_coverage_counts_what_the_served_intervals_held(kind):
    rng, n = np.random.default_rng(7), 600
    y, low = rng.normal(size=n), 0.3 * rng.normal(size=n)
    high = low + rng.exponential(size=n)
    times = hours(n, delay=4)
    state = calibrated(rng.exponential(size=200), kind=kind, alpha=0.2)
    found = coverage(state, y, low, high, **times, draws=300)
    radius = replay(state, band_scores(y, low, high), **times).radius
    inside = (low - radius <= y) & (y <= high + radius)
    assert found.promised == 0.8
    assert found.measured.value == pytest.approx(inside.mean())
    assert found.measured.low < found.measured.value < found.measured.high
    assert found.width == pytest.approx(np.maximum(high - low + 2 * radius, 0).mean())
    assert found.unbounded == 0.0
    assert found == coverage(state, y, low, high, **times, draws=300)


def test_infinite_intervals_are_counted_and_not_averaged():
    n, zeros = 200, np.zeros(200)
    state = any_state("adaptive", 0.1, 0.3)
    found = coverage(state, np.exp(0.1 * np.arange(n)), zeros, zeros, **hours(n), draws=200)
    assert found.unbounded > 0.3
    assert np.isfinite(found.width)
    nothing = coverage(replace(state, level=-1.0, radius=np.inf, gamma=0.0), zeros, zeros, zeros, **hours(n), draws=200)
    assert (nothing.unbounded, nothing.measured.value) == (1.0, 1.0)
    assert np.isnan(nothing.width)


def test_blocks_are_as_long_as_outcomes_take():
    rng, n = np.random.default_rng(8), 300
    y, zeros = rng.normal(size=n), np.zeros(n)
    state = calibrated(np.abs(y))
    assert coverage(state, y, zeros, zeros, **hours(n), draws=200).measured.block == 7
    assert coverage(state, y, zeros, zeros, **hours(n, delay=24), draws=200).measured.block == 47


# sets of classes -----------------------------------------------------------------------------------------------------


def test_sets_of_classes_hold_the_true_one_and_grow_with_doubt():
    rng = np.random.default_rng(9)
    p = rng.dirichlet(np.full(5, 0.7), 8000)
    stated = p**3 / (p**3).sum(axis=1, keepdims=True)  # far too sure
    y = (rng.random((8000, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    state = calibrated(set_scores(stated[:4000], y[:4000]), alpha=0.1)
    sets = prediction_sets(stated[4000:], state.radius)
    held = sets[np.arange(4000), y[4000:]]
    assert 0.88 < held.mean() < 0.95
    sure = stated[4000:].max(axis=1) > 0.9
    assert sets[sure].sum(axis=1).mean() < 0.9 * sets[~sure].sum(axis=1).mean()


@given(
    counts=st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=8), radius=st.floats(0, 1)
)
def test_a_set_takes_classes_by_falling_probability(counts, radius):
    p = np.array(counts, float) + 0.5
    p /= p.sum(axis=1, keepdims=True)
    scores = class_radii(p)
    for row, sets in zip(range(len(p)), prediction_sets(p, radius), strict=True):
        ranked = sorted(range(3), key=lambda k: (-p[row, k], k))
        for place, k in enumerate(ranked):
            assert scores[row, k] == pytest.approx(sum(p[row, j] for j in ranked[: place + 1]))
            assert sets[k] == (place == 0 or scores[row, k] <= radius)


# what is refused -----------------------------------------------------------------------------------------------------


def test_what_cannot_be_calibrated_is_refused():
    scores = np.linspace(0.0, 1.0, 50)
    for changes, message in [
        ({"alpha": 0.0}, r"alpha is 0\.0: it must lie between 0 and 1"),
        ({"kind": "other"}, "must be one of split, adaptive, tracking"),
        ({"gamma": -0.1}, r"gamma is -0\.1: it must be at least 0"),
        ({"window": 0}, "window is 0: it must be at least 1"),
    ]:
        with pytest.raises(ConfigError, match=message):
            calibrated(scores, **changes)
    with pytest.raises(DataError, match="give finite ones"):
        calibrated(np.array([1.0, np.nan]))
    with pytest.raises(DataError, match=r"8 scores are too few for alpha 0\.1: give at least 9"):
        calibrated(scores[:8])
    assert calibrated(scores[:9]).radius == scores[8]


def test_rows_that_cannot_be_served_are_refused():
    state, zeros = calibrated(np.linspace(0.0, 1.0, 50)), np.zeros(5)
    with pytest.raises(DataError, match="row 0 is known at 0 and its outcome at 0"):
        coverage(state, zeros, zeros, zeros, ts=np.arange(5), t1=np.arange(5))
    with pytest.raises(DataError, match="5 outcomes, 4 lower"):
        coverage(state, zeros, zeros[:4], zeros, **hours(5))
    with pytest.raises(DataError, match="must be finite"):
        coverage(state, zeros * np.nan, zeros, zeros, **hours(5))
    with pytest.raises(DataError, match="5 scores, 4 timestamps"):
        replay(state, zeros, **hours(4))
