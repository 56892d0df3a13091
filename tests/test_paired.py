"""Champion against baseline: tests hold the level they promise, and agree with statsmodels and arch."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from arch.bootstrap import SPA
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bellwether.errors import ConfigError, DataError
from bellwether.validation.bootstrap import block_bootstrap
from bellwether.validation.diebold_mariano import diebold_mariano
from bellwether.validation.metrics import confusion_sums
from bellwether.validation.paired import bonferroni, compare, holm, losses_by_time, paired_bootstrap
from bellwether.validation.scores import SCORES, Evaluation

Floats = NDArray[np.float64]


def rows(seed: int, shares: dict[str, float], times: int = 200, symbols: int = 3, steps: int = 1) -> dict:
    """Evaluations on one set of changes: each model knows a share of the change, beside noise of the same share."""
    rng = np.random.default_rng(seed)
    ts, who = np.repeat(np.arange(times), symbols), np.tile(np.arange(symbols), times)
    y = rng.normal(size=(len(ts), steps))
    said = {name: share * (y + 0.5 * rng.normal(size=y.shape)) for name, share in shares.items()}
    return {name: Evaluation(ts=ts, who=who, y=y, values=values) for name, values in said.items()}


def test_a_model_that_knows_more_has_a_lift_whatever_way_the_score_runs():
    known = rows(0, {"ours": 0.6, "theirs": 0.1})
    for score in ("mse", "mae", "rmse", "skill", "r2"):
        (found,) = compare({"ours": known["ours"]}, known["theirs"], score=score, draws=500)
        sign = 1.0 if SCORES[score].greater_is_better else -1.0
        assert found.lift.value == pytest.approx(sign * (found.ours - found.theirs))
        assert found.lift.low > 0.0
        assert found.p_value == pytest.approx(1 / 501)
        (back,) = compare({"theirs": known["theirs"]}, known["ours"], score=score, draws=500)
        assert back.lift.value == pytest.approx(-found.lift.value)
        assert back.p_value == 1.0


def test_the_p_value_is_below_alpha_where_the_lower_bound_is_above_zero():
    for seed in range(12):
        known = rows(seed, {"ours": 0.02, "theirs": 0.0}, times=60)
        (found,) = compare({"ours": known["ours"]}, known["theirs"], score="mse", confidence=0.8, draws=999)
        assert (found.lift.low > 0.0) == (found.p_value <= 0.1 + 0.0015), seed  # 0.8 two-sided is 0.9 one-sided


def test_a_paired_interval_equals_the_bootstrap_of_the_difference():
    rng = np.random.default_rng(0)
    ts, y = np.repeat(np.arange(80), 3), rng.integers(0, 3, 240)
    ours, theirs = (confusion_sums(ts, y, rng.integers(0, 3, 240), 3) for _ in range(2))
    lift, _ = paired_bootstrap(ours, theirs, confidence=0.9, block=5, draws=300, seed=4)
    both = np.hstack([ours.each, theirs.each])
    by_hand = block_bootstrap(
        lambda s: ours.figure(s[:, :9]) - theirs.figure(s[:, 9:]), both, confidence=0.9, block=5, draws=300, seed=4
    )
    assert lift == by_hand


def test_under_no_difference_small_p_values_are_rare():
    p = []
    for seed in range(200):
        known = rows(seed, {"a": 0.3, "b": 0.3}, times=100, symbols=1)
        (found,) = compare({"a": known["a"]}, known["b"], score="mse", draws=400)
        p.append((found.p_value, found.diebold_mariano.p_value))
    for at_most_a_tenth in (np.array(p) < 0.1).mean(axis=0):
        assert 0.04 <= at_most_a_tenth <= 0.17  # 0.1 promised; 200 worlds give it to about ± 0.04


def test_one_model_has_the_p_value_of_arch_s_reality_check():
    """For one model both ask how often the mean difference, resampled in blocks, falls on the other side of 0."""
    for seed, share in ((0, 0.03), (1, 0.05), (3, 0.02)):
        known = rows(seed, {"ours": share, "theirs": 0.0}, times=300, symbols=1)
        (found,) = compare({"ours": known["ours"]}, known["theirs"], score="mse", draws=4000)
        losses = {name: losses_by_time("mse", e) for name, e in known.items()}
        spa = SPA(
            losses["theirs"],
            losses["ours"][:, None],
            block_size=found.lift.block,
            reps=4000,
            bootstrap="circular",
            studentize=False,
            seed=1,
        )
        spa.compute()
        assert found.p_value == pytest.approx(spa.pvalues["upper"], abs=0.04)


def test_correction_for_many_families_is_no_laxer_than_arch_s():
    names = {f"m{k}": 0.04 for k in range(6)} | {"none": 0.0}
    known = rows(5, names, times=300, symbols=1)
    none = known.pop("none")
    found = compare(known, none, score="mse", draws=4000)
    losses = np.column_stack([losses_by_time("mse", e) for e in known.values()])
    spa = SPA(losses_by_time("mse", none), losses, block_size=found[0].lift.block, reps=2000, bootstrap="cbb", seed=1)
    spa.compute()
    assert min(f.bonferroni for f in found) >= spa.pvalues["consistent"] - 0.02
    assert min(f.bonferroni for f in found) == min(f.holm for f in found)


@pytest.mark.parametrize("horizon", [1, 5, 12])
def test_diebold_mariano_equals_a_newey_west_regression_on_a_constant(horizon):
    rng = np.random.default_rng(horizon)
    gap = np.convolve(rng.normal(size=300), np.ones(horizon), "valid") + 0.2
    n = len(gap)
    found = diebold_mariano(gap, np.zeros(n), horizon=horizon)
    fit = sm.OLS(gap, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": found.lags, "use_correction": False})
    harvey = np.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
    assert found.statistic == pytest.approx(fit.tvalues[0] * harvey)
    assert found.p_value == pytest.approx(stats.t.cdf(found.statistic, n - 1))
    assert found.lags == max(horizon - 1, 5)  # 4 (n / 100)^(2/9) is between 5 and 6


def test_without_lags_diebold_mariano_is_a_t_test_of_the_difference():
    ours, theirs = np.random.default_rng(0).normal(size=(2, 4))
    found = diebold_mariano(ours, theirs)
    assert found.lags == 1
    d = (ours - theirs) - np.mean(ours - theirs)
    variance = (d @ d + d[1:] @ d[:-1]) / 4  # one lag counts half, twice
    assert found.statistic == pytest.approx(np.mean(ours - theirs) / np.sqrt(variance / 4) * np.sqrt(3 / 4))


def test_losses_that_differ_by_the_same_everywhere_show_nothing():
    for gap in (0.0, 0.1, 0.5, -0.6):  # some of these leave a variance that is nothing but rounding
        found = diebold_mariano(np.full(50, 0.7) - gap, np.full(50, 0.7))
        assert np.isnan(found.statistic)
        assert found.p_value == 1.0


@pytest.fixture
def p_values(monkeypatch) -> list[Floats]:
    """Lists of p-values, some of them equal. statsmodels collects garbage at each call, which is slow: not here."""
    monkeypatch.setattr("gc.collect", lambda: 0)
    rng = np.random.default_rng(0)
    return [np.round(rng.random(k % 9 + 1) ** 4, 2) for k in range(60)]


def test_corrections_equal_statsmodels(p_values):
    for p in p_values:
        np.testing.assert_allclose(bonferroni(p), multipletests(p, method="bonferroni")[1], atol=1e-12)
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_families_that_are_not_given_count_as_if_they_showed_nothing(p_values):
    for p in p_values:
        every = np.append(p, [1.0, 1.0, 1.0])
        np.testing.assert_allclose(holm(p, len(every)), multipletests(every, method="holm")[1][: len(p)], atol=1e-12)
        assert (holm(p, len(every)) <= bonferroni(p, len(every))).all()


def test_scores_that_are_no_means_of_losses_have_no_diebold_mariano():
    known = rows(0, {"ours": 0.6, "theirs": 0.1})
    for score, has in (("mse", True), ("mae", True), ("rmse", False), ("skill", False)):
        (found,) = compare({"ours": known["ours"]}, known["theirs"], score=score, draws=50)
        assert (found.diebold_mariano is not None) == has


def test_few_timestamps_have_no_diebold_mariano():
    known = rows(0, {"ours": 0.6, "theirs": 0.1}, times=10)
    (found,) = compare({"ours": known["ours"]}, known["theirs"], score="mse", horizon=24, draws=50)
    assert found.diebold_mariano is None
    with pytest.raises(DataError, match="10 timestamps are too few for a horizon of 24"):
        diebold_mariano(np.arange(10.0), np.zeros(10), horizon=24)


def test_losses_of_a_timestamp_are_the_mean_of_rows_and_steps():
    ours = rows(0, {"ours": 0.5}, times=20, steps=2)["ours"]
    by_hand = [np.mean((ours.values[ours.ts == t] - ours.y[ours.ts == t]) ** 2) for t in range(20)]
    np.testing.assert_allclose(losses_by_time("mse", ours), by_hand)


def test_what_cannot_be_compared_is_refused():
    known = rows(0, {"ours": 0.6, "theirs": 0.1}, symbols=1)
    ours, theirs = {"ours": known["ours"]}, known["theirs"]
    with pytest.raises(ConfigError, match="rank_ic is no function of sums"):
        compare(ours, theirs, score="rank_ic")
    with pytest.raises(DataError, match="mape is not defined"):
        compare(ours, theirs, score="mape")
    with pytest.raises(DataError, match="different rows"):
        compare(ours, rows(1, {"theirs": 0.1}, symbols=1)["theirs"], score="mse")
    with pytest.raises(ConfigError, match="families is 0 and there are 1 p-values"):
        compare(ours, theirs, score="mse", families=0, draws=10)
    with pytest.raises(DataError, match="give one a timestamp"):
        diebold_mariano(np.zeros(3), np.zeros(4))
