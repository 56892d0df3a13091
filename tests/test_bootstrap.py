"""Block bootstrap: intervals hold what they promise on dependent data, which plain resampling does not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from bellwether.errors import ConfigError, DataError
from bellwether.validation import bootstrap
from bellwether.validation.bootstrap import (
    _resampled,
    block_bootstrap,
    block_length,
    outcome_span,
    resampled_figures,
    row_bootstrap,
)
from bellwether.validation.metrics import f1_of, grouped_confusion, macro_f1

Floats = NDArray[np.float64]


def mean(sums: Floats) -> Floats:
    return sums[:, 0] / sums[:, 1]


def ar1(rng: np.random.Generator, n: int, phi: float) -> Floats:
    """An AR(1) series with mean 0, from its stationary distribution (200 steps of burn-in)."""
    return lfilter([1.0], [1.0, -phi], rng.normal(size=n + 200))[200:]


def coverage(block: int | None, worlds: int = 300, n: int = 400, phi: float = 0.5) -> float:
    rng, held = np.random.default_rng(11), 0
    for world in range(worlds):
        sums = np.column_stack([ar1(rng, n, phi), np.ones(n)])
        found = block_bootstrap(mean, sums, confidence=0.9, block=block, draws=400, seed=world)
        held += found.low <= 0.0 <= found.high
    return held / worlds


def test_coverage_on_an_autoregressive_series():
    assert 0.82 <= coverage(block=None) <= 0.95  # 0.90 promised; the order n^(-1/3) bias makes it a little less
    assert coverage(block=1) < 0.75  # resampling single timestamps overstates what is known


def test_so_many_resamples_are_held_at_a_time(monkeypatch):
    monkeypatch.setattr(bootstrap, "AT_ONCE", 400)
    sums, held = np.column_stack([np.random.default_rng(0).normal(size=50), np.ones(50)]), []

    def counted(totals: Floats) -> Floats:
        held.append(len(totals))
        return mean(totals)

    figures = resampled_figures(counted, sums, block=5, draws=1_000, seed=0)
    assert held == [400, 400, 200]
    assert len(np.unique(figures)) > 900  # no part draws what another has drawn


def test_resampled_means_spread_like_the_series_does():
    n, phi = 2000, 0.5
    series = ar1(np.random.default_rng(3), n, phi)
    totals = _resampled(np.column_stack([series, np.ones(n)]), 40, 4000, np.random.default_rng(0))
    np.testing.assert_array_equal(totals[:, 1], n)
    long_run_sd = 1.0 / (1.0 - phi) / np.sqrt(n)
    assert np.std(totals[:, 0] / n) == pytest.approx(long_run_sd, rel=0.2)


@pytest.mark.parametrize(("n", "block"), [(10, 3), (10, 10), (7, 1), (1, 1), (9, 3)])
def test_a_resample_is_made_of_circular_blocks(n, block):
    """The slow oracle: draw the same starts and add the timestamps up one by one."""
    sums = np.random.default_rng(5).normal(size=(n, 2))
    got = _resampled(sums, block, 6, np.random.default_rng(8))
    starts = np.random.default_rng(8).integers(n, size=(-(-n // block), 6))
    for draw in range(6):
        picked = [(s + step) % n for s in starts[:, draw] for step in range(block)][:n]
        np.testing.assert_allclose(got[draw], sums[picked].sum(axis=0), atol=1e-12)


def test_the_value_is_the_statistic_of_the_data():
    rng = np.random.default_rng(2)
    ts, y, predicted = np.repeat(np.arange(120), 4), rng.integers(0, 5, 480), rng.integers(0, 5, 480)
    counts = grouped_confusion(ts, y, predicted, 5).reshape(120, -1).astype(float)
    found = block_bootstrap(lambda s: f1_of(s.reshape(-1, 5, 5)), counts)
    assert found.value == pytest.approx(macro_f1(y, predicted, 5))
    assert found.low < found.value < found.high


def test_same_seed_same_interval():
    sums = np.column_stack([ar1(np.random.default_rng(0), 300, 0.3), np.ones(300)])
    assert block_bootstrap(mean, sums, seed=4) == block_bootstrap(mean, sums, seed=4)
    assert block_bootstrap(mean, sums, seed=4) != block_bootstrap(mean, sums, seed=5)


def test_a_paired_difference_is_tighter_than_its_parts():
    rng = np.random.default_rng(9)
    common = ar1(rng, 500, 0.5)
    sums = np.column_stack([common + 0.1 * rng.normal(size=500), common, np.ones(500)])
    paired = block_bootstrap(lambda s: (s[:, 0] - s[:, 1]) / s[:, 2], sums)
    alone = block_bootstrap(lambda s: s[:, 0] / s[:, 2], sums)
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_blocks_span_an_outcome_and_never_exceed_the_data():
    assert block_length(1000) == 10
    assert block_length(1000, horizon=50) == 99
    assert block_length(5, horizon=50) == 5


def test_blocks_find_most_of_the_variance_of_outcomes_that_overlap():
    """Sums of 12 draws: blocks of 12 find two thirds of the variance of their mean, those of 23 five sixths."""
    rng, horizon, n, found = np.random.default_rng(5), 12, 1440, []
    for world in range(200):
        series = np.convolve(rng.normal(size=n + horizon - 1), np.ones(horizon), "valid")
        sums, block = np.column_stack([series, np.ones(n)]), block_length(n, horizon)
        found.append(np.var(resampled_figures(mean, sums, block=block, draws=300, seed=world)))
    assert np.mean(found) / (horizon**2 / n) == pytest.approx(5 / 6, abs=0.05)


def test_the_span_of_an_outcome_is_counted_in_timestamps_of_the_whole_panel():
    rows = np.arange(400)  # four symbols take turns; an outcome is known five ticks of its own symbol later
    assert outcome_span(rows, rows + 20) == 20
    bars = np.repeat(np.arange(100), 4)
    assert outcome_span(bars, bars + 1) == 1
    assert outcome_span(np.array([7, 7]), np.array([7, 7])) == 1


def test_a_burst_does_not_set_the_span_of_all():
    calm, burst = 1000 * np.arange(400), 5000 + np.arange(10)
    ts = np.sort(np.concatenate([calm, burst]))
    assert outcome_span(ts, ts + 2000) == 2


def test_one_block_resamples_to_itself_so_its_interval_is_not_known():
    series = np.random.default_rng(1).normal(size=10)
    found = block_bootstrap(mean, np.column_stack([series, np.ones(10)]), block=10, draws=50)
    assert found.value == pytest.approx(series.mean())
    assert np.isnan([found.low, found.high]).all()
    of_rows = row_bootstrap(lambda rows, times: float(series[rows].mean()), np.arange(10), block=10, draws=50)
    assert np.isnan([of_rows.low, of_rows.high]).all()


def test_wrong_use_is_refused():
    ones = np.ones((10, 2))
    with pytest.raises(ConfigError, match=r"confidence is 1\.0"):
        block_bootstrap(mean, ones, confidence=1.0)
    with pytest.raises(ConfigError, match="block is 11"):
        block_bootstrap(mean, ones, block=11)
    with pytest.raises(ConfigError, match="draws is 0"):
        block_bootstrap(mean, ones, draws=0)
    with pytest.raises(DataError, match="finite"):
        block_bootstrap(mean, np.full((10, 2), np.nan))
    with pytest.raises(DataError, match="at least one timestamp"):
        block_bootstrap(mean, np.ones((0, 2)))
