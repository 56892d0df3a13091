"""The expected return of the index: parts that add up, a deviation that is that of the basket, intervals that hold."""

from __future__ import annotations

import json
from dataclasses import replace
from math import fsum
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Serving, Universe, Validation
from bellwether.errors import ModelError
from bellwether.expected_return import ExpectedReturn, Outlook, Reach, basket_series, expected_return, expected_series
from bellwether.models.artefact import Contract
from bellwether.signal import Absence, Prediction, Signal, compose
from bellwether.signal_policy import SignalPolicy
from bellwether.validation.return_score import score_returns
from bellwether.validation.walk_forward import split
from data.panel import Panel
from data.records import TIME
from data.weights.table import WeightTable
from pipelines import score_returns as score_returns_job
from pipelines.holdout import Untouched
from tune.champion import crown
from tune.outlook import LEAST, class_means, error_covariance
from tune.problem import pose
from tune.score import score_fold
from tune.sweep import run_baseline
from tune.trial import TrialResult

HOUR = 3_600_000_000_000
MEANS = np.array([-0.02, -0.006, 0.0, 0.005, 0.03])
POLICY = SignalPolicy(buy=0.5, sell=-0.5, coverage_floor=0.4, max_age_bars=1, interval_ns=HOUR)


def made(rng: np.random.Generator, p: int) -> tuple[Outlook, np.ndarray, np.ndarray]:
    """An outlook of ``p`` components, class probabilities (p, 5) and weights (p,)."""
    symbols = tuple(f"S{k}" for k in range(p))
    root = 0.01 * rng.normal(size=(p, p + 2))
    outlook = Outlook(
        symbols=symbols,
        class_means=MEANS,
        covariance=root @ root.T,
        coverage_level=0.9,
        reaches={"u": Reach(symbols=symbols, multiplier=1.7, n=400)},
    )
    return outlook, rng.dirichlet(np.ones(5), p), rng.uniform(0.1, 1.0, p)


def signal(outlook: Outlook, p: np.ndarray, weights: np.ndarray, away: tuple[int, ...] = (), universe="u") -> Signal:
    answers = {
        s: Absence(status="late", reason="late")
        if k in away
        else Prediction(symbol=s, ts_event=HOUR, probabilities=tuple(q))
        for k, (s, q) in enumerate(zip(outlook.symbols, p.tolist(), strict=True))
    }
    return compose(universe, outlook.symbols, weights, answers, POLICY)


# --- one answer --------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), p=st.integers(1, 12))
def test_contributions_add_up_to_the_mean_exactly_and_the_deviation_is_the_baskets(seed, p):
    outlook, probabilities, weights = made(np.random.default_rng(seed), p)
    found = expected_return(outlook, signal(outlook, probabilities, weights))
    shares = weights / weights.sum()
    assert fsum(found.contributions.values()) == found.mean
    assert found.mean == pytest.approx(shares @ probabilities @ MEANS, abs=1e-15)
    assert found.sd == pytest.approx(np.sqrt(shares @ outlook.covariance @ shares), rel=1e-9)
    assert found.low == found.mean - 1.7 * found.sd <= found.mean <= found.high == found.mean + 1.7 * found.sd
    assert (found.n, found.coverage_level, found.covers) == (400, 0.9, pytest.approx(1.0))


@given(seed=st.integers(0, 10_000), p=st.integers(2, 8), rank=st.integers(1, 3))
def test_a_variance_is_never_negative_even_of_a_matrix_that_rounding_has_spoilt(seed, p, rank):
    rng = np.random.default_rng(seed)
    outlook, probabilities, weights = made(rng, p)
    flat = 0.01 * rng.normal(size=(p, rank)).astype(np.float32).astype(np.float64)
    spoilt = replace(outlook, covariance=np.round(flat @ flat.T, 6))
    found = expected_return(spoilt, signal(spoilt, probabilities, weights))
    assert found.sd >= 0.0
    assert np.isfinite(found.low)


@given(seed=st.integers(0, 10_000), by=st.sampled_from([0.5, 2.0, 100.0]))
def test_returns_that_are_larger_by_a_factor_make_everything_larger_by_it(seed, by):
    outlook, probabilities, weights = made(np.random.default_rng(seed), 4)
    larger = replace(outlook, class_means=by * MEANS, covariance=by * by * outlook.covariance)
    one, two = (expected_return(o, signal(o, probabilities, weights)) for o in (outlook, larger))
    for name in ("mean", "sd", "low", "high"):
        assert getattr(two, name) == pytest.approx(by * getattr(one, name), rel=1e-9, abs=1e-15)


def test_mean_and_deviation_are_those_of_simulated_baskets():
    rng = np.random.default_rng(3)
    outlook, probabilities, weights = made(rng, 4)
    found = expected_return(outlook, signal(outlook, probabilities, weights))
    draws = rng.multivariate_normal(probabilities @ MEANS, outlook.covariance, size=200_000)
    basket = draws @ (weights / weights.sum())
    assert found.mean == pytest.approx(basket.mean(), abs=5 * found.sd / np.sqrt(len(basket)))
    assert found.sd == pytest.approx(basket.std(), rel=0.01)
    inside = np.mean((basket >= found.low) & (basket <= found.high))
    assert inside == pytest.approx(0.9109, abs=0.004)  # of a normal deviate within 1.7


def test_what_is_missing_lowers_what_the_figures_cover_until_nothing_is_said():
    outlook, probabilities, _ = made(np.random.default_rng(0), 4)
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    found = expected_return(outlook, signal(outlook, probabilities, weights, away=(1,)))
    assert found.covers == pytest.approx(0.7)
    assert set(found.contributions) == {"S0", "S2", "S3"}
    assert found.mean == pytest.approx(np.array([4, 2, 1]) / 7 @ probabilities[[0, 2, 3]] @ MEANS)
    hurt = signal(outlook, probabilities, weights, away=(0, 1))
    assert expected_return(outlook, hurt) == hurt.reason  # below the floor of 0.4


def test_components_without_forecast_errors_are_not_covered():
    outlook, probabilities, _ = made(np.random.default_rng(0), 3)
    weights = np.array([0.5, 0.3, 0.2])
    unknown = outlook.covariance.copy()
    unknown[2] = unknown[:, 2] = np.nan
    found = expected_return(replace(outlook, covariance=unknown), signal(outlook, probabilities, weights))
    assert found.covers == pytest.approx(0.8)
    assert set(found.contributions) == {"S0", "S1"}
    unknown[0] = unknown[:, 0] = np.nan
    why = expected_return(replace(outlook, covariance=unknown), signal(outlook, probabilities, weights))
    assert why == "components with forecast errors are 0.300 of the weight, below the floor of 0.4"


def test_a_universe_the_model_was_not_measured_on_gets_the_reason():
    outlook, probabilities, weights = made(np.random.default_rng(0), 3)
    why = "the model was trained without universe other as it is now: train it again"
    assert expected_return(outlook, signal(outlook, probabilities, weights, universe="other")) == why
    smaller = replace(outlook, reaches={"u": replace(outlook.reaches["u"], symbols=("S0",))})
    assert "without universe u as it is now" in expected_return(smaller, signal(outlook, probabilities, weights))


@given(seed=st.integers(0, 10_000), times=st.integers(1, 5), p=st.integers(1, 5))
def test_over_history_it_says_what_one_answer_at_a_time_says(seed, times, p):
    rng = np.random.default_rng(seed)
    outlook, _, _ = made(rng, p)
    unknown = rng.random(p) < 0.2
    outlook = replace(outlook, covariance=np.where(unknown | unknown[:, None], np.nan, outlook.covariance))
    answered = rng.random((times, p)) < 0.8
    answered[:, 0] = True
    weights = rng.uniform(0.1, 1.0, (times, p))
    row, who = (v.astype(np.int64) for v in np.nonzero(answered))
    probabilities = rng.dirichlet(np.ones(5), len(row))
    series = expected_series(outlook, row * HOUR, who, probabilities @ MEANS, weights)
    for t in range(times):
        mine = {k: probabilities[(row == t) & (who == k)][0] if answered[t, k] else np.zeros(5) for k in range(p)}
        away = tuple(np.flatnonzero(~answered[t]))
        one = expected_return(outlook, signal(outlook, np.array(list(mine.values())), weights[t], away))
        if isinstance(one, ExpectedReturn):
            assert [series.mean[t], series.sd[t], series.covers[t]] == pytest.approx([one.mean, one.sd, one.covers])
        else:
            assert series.covers[t] < POLICY.coverage_floor


# --- as it is kept -----------------------------------------------------------------------------------------------


def test_an_outlook_survives_json_to_nine_digits():
    outlook, _, _ = made(np.random.default_rng(1), 5)
    unknown = outlook.covariance.copy()
    unknown[3] = unknown[:, 3] = np.nan
    outlook = replace(outlook, covariance=unknown)
    back = Outlook.restore(json.loads(json.dumps(outlook.state(), allow_nan=False)))
    np.testing.assert_allclose(back.covariance, outlook.covariance, rtol=1e-8)
    assert replace(back, covariance=0, class_means=0) == replace(outlook, covariance=0, class_means=0)
    np.testing.assert_array_equal(back.class_means, MEANS)


def test_a_damaged_outlook_is_refused():
    outlook, _, _ = made(np.random.default_rng(1), 2)
    with pytest.raises(ModelError, match="the contract's outlook is damaged"):
        Outlook.restore({k: v for k, v in outlook.state().items() if k != "covariance"})


# --- covariance of errors ----------------------------------------------------------------------------------------


def errors(rng: np.random.Generator, n: int, p: int) -> np.ndarray:
    return (rng.normal(size=(n, 1)) + rng.normal(size=(n, p))) * rng.uniform(0.001, 0.02, p)


def test_with_all_errors_known_it_is_ledoit_and_wolfs_of_the_standardised_ones():
    e = errors(np.random.default_rng(0), 80, 6)
    scale = np.sqrt((e * e).mean(axis=0))
    expected, intensity = ledoit_wolf(e / scale, assume_centered=True)
    found, shrinkage = error_covariance(e)
    assert shrinkage == pytest.approx(intensity)
    np.testing.assert_allclose(found, expected * np.outer(scale, scale), rtol=1e-9)
    np.testing.assert_allclose(np.diagonal(found), scale**2, rtol=1e-9)


def test_gaps_leave_each_pair_to_the_timestamps_it_shares_and_the_matrix_possible():
    rng = np.random.default_rng(1)
    e = errors(rng, 400, 5)
    e[rng.random(e.shape) < 0.3] = np.nan
    e[:350, 4] = np.nan
    found, shrinkage = error_covariance(e)
    both = np.isfinite(e[:, 0]) & np.isfinite(e[:, 1])
    rms = np.sqrt(np.nanmean(e * e, axis=0))
    pair = np.mean(e[both, 0] * e[both, 1]) / (rms[0] * rms[1])
    assert found[0, 1] / (rms[0] * rms[1]) == pytest.approx((1 - shrinkage) * pair, abs=0.02)
    assert np.linalg.eigvalsh(found).min() >= -1e-12
    assert 0.0 < shrinkage < 1.0


def test_a_component_with_too_few_errors_has_none():
    e = errors(np.random.default_rng(2), 100, 3)
    e[LEAST - 1 :, 1] = np.nan
    found, _ = error_covariance(e)
    assert np.isnan(found).tolist() == [[False, True, False], [True, True, True], [False, True, False]]
    assert np.isnan(error_covariance(np.full((5, 2), np.nan))[0]).all()


# --- from training to the untouched segment ----------------------------------------------------------------------

SYMBOLS = ("A", "B", "C")
PARTS = {"pair": ("C", "A")}


def panel(signal: float, seed: int, times: int = 900) -> Panel:
    rng = np.random.default_rng(seed)
    ts = np.repeat(np.arange(1, times + 1) * HOUR, len(SYMBOLS))
    x, common = rng.normal(size=(len(ts), 3)), np.repeat(rng.standard_t(4, size=times), len(SYMBOLS))
    noise = 0.7 * common + 0.7 * rng.standard_t(4, size=len(ts))
    return Panel(
        x=x,
        outcome=0.01 * (np.sqrt(signal) * x[:, 0] + np.sqrt(1 - signal) * noise),
        value=np.ones(len(ts)),
        ts=ts,
        t1=ts + HOUR,
        who=np.tile(np.arange(len(SYMBOLS)), times),
        symbols=SYMBOLS,
        features=("a", "b", "c"),
        definition="test",
        warmup=20,
    )


def recipe() -> Recipe:
    return Recipe(
        name="test",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=SYMBOLS, index="X", weights=Part(kind="plain")),
        families=("logistic",),
        search=Search(trials=1),
        validation=Validation(folds=3, holdout=0.3),
        serving=Serving(universes=PARTS),
    )


WEIGHTS = WeightTable.from_arrow(
    pa.table({"effective": pa.array([1, 1, 1], TIME), "symbol": list(SYMBOLS), "weight": [0.5, 0.3, 0.2]})
)


def contract(on: Panel, weights: WeightTable | None = WEIGHTS) -> Contract:
    posed = pose(recipe(), on)
    params = posed.families["logistic"].standard(posed.task)
    scores = tuple(score_fold(posed, "logistic", params, fold) for fold in range(3))
    trial = TrialResult(family="logistic", params=params, baseline=False, folds=scores)
    trials = [trial, *(run_baseline(posed, name) for name in posed.baselines)]
    return crown(recipe(), on, trials, weights=weights).artefact.contract


@pytest.fixture(scope="module")
def planted() -> tuple[Panel, Contract]:
    on = panel(0.3, seed=0)
    return on, contract(on)


def test_class_means_are_those_of_the_rows_it_was_fitted_on(planted):
    on, found = planted
    selected = split(on.ts, on.t1, recipe().validation).selection
    outcome = on.outcome[selected]
    label = np.digitize(outcome, found.edges)
    means = [outcome[label == k].mean() for k in range(5)]
    np.testing.assert_allclose(found.outlook["class_means"], means, rtol=1e-12)
    assert np.all(np.diff(means) > 0.0)


def test_a_class_without_rows_has_no_mean(planted):
    on, _ = planted
    posed = pose(recipe(), on)
    few = replace(posed.exam, train=np.flatnonzero(posed.exam.labels == 4)[:9])
    assert class_means(posed, few) is None


def test_the_untouched_segment_changes_nothing_of_the_outlook(planted):
    on, found = planted
    held = split(on.ts, on.t1, recipe().validation).holdout
    outcome = on.outcome.copy()
    outcome[held] *= -7.0
    assert contract(replace(on, outcome=outcome)).outlook == found.outlook


def test_errors_of_all_out_of_fold_timestamps_are_behind_each_universe(planted):
    on, found = planted
    tested = np.concatenate([f.test for f in split(on.ts, on.t1, recipe().validation).folds])
    n = len(np.unique(on.ts[tested]))
    assert {name: u["n"] for name, u in found.outlook["universes"].items()} == {"u": n, "pair": n}
    assert found.outlook["universes"]["pair"]["symbols"] == ["C", "A"]
    assert found.outlook["errors"] == [n] * 3
    assert found.outlook["covariance"][1][0] > 0.0  # the components have noise in common


def test_without_weights_the_contract_says_why_there_is_no_outlook(planted):
    on, _ = planted
    why = "expected returns need a model of classes, and the weights of the components in the lake"
    assert Outlook.restore(contract(on, weights=None).outlook) == why


@pytest.mark.parametrize("universe", [SYMBOLS, PARTS["pair"]])
def test_on_a_null_market_intervals_hold_what_they_promise_and_means_know_nothing(universe):
    on = panel(0.0, seed=1, times=2400)
    outlook = Outlook.restore(contract(on).outlook)
    held = split(on.ts, on.t1, recipe().validation).holdout
    rng, name = np.random.default_rng(0), "u" if universe == SYMBOLS else "pair"
    part = np.where(np.isin(SYMBOLS, universe), [0.5, 0.3, 0.2], np.nan)
    weights = np.tile(part, (len(np.unique(on.ts[held])), 1))
    expected = rng.dirichlet(np.ones(5) * 40.0, len(held)) @ outlook.class_means
    series = expected_series(outlook, on.ts[held], on.who[held], expected, weights)
    basket, _ = basket_series(on.ts[held], on.who[held], on.outcome[held], weights)
    reach = outlook.reaches[name].multiplier * series.sd
    score = score_returns("null", series.mean, reach, basket, promised=0.9, draws=500)
    assert score.held.value == pytest.approx(0.9, abs=0.035)
    assert score.skill.value < 0.01


# --- scored ------------------------------------------------------------------------------------------------------


def scored(monkeypatch, on: Panel, state: dict, probabilities: np.ndarray) -> object:
    """`return_scores` of a version whose untouched rows are all of ``on``, with an index that moves as its basket."""
    rows = Untouched(ts=on.ts, who=on.who, outcome=on.outcome, probabilities=probabilities, symbols=SYMBOLS)
    monkeypatch.setattr(score_returns_job, "untouched", lambda workspace, artefact: rows)
    monkeypatch.setattr(score_returns_job, "load_weights", lambda lake, universe: WEIGHTS)
    times = np.append(np.unique(on.ts), on.t1.max())
    moves = on.outcome.reshape(-1, len(SYMBOLS)) @ [0.5, 0.3, 0.2]
    closes = 100.0 * np.cumprod(np.append(1.0, 1.0 + moves))
    workspace = SimpleNamespace(recipe=recipe(), lake=None, index_closes=lambda: (times, closes))
    return score_returns_job.return_scores(workspace, SimpleNamespace(contract=SimpleNamespace(outlook=state)))


def test_scores_are_of_the_basket_and_of_the_index_and_know_a_model_that_sees(monkeypatch, planted):
    on, found = planted
    seeing = np.eye(5)[np.digitize(on.outcome, found.edges)]
    basket, index = scored(monkeypatch, on, found.outlook, seeing)
    assert (basket.name, index.name, basket.bars, basket.promised) == ("basket", "index", 900, 0.9)
    assert index.held.value == pytest.approx(basket.held.value)
    assert basket.skill.low > 0.5
    assert basket.rmse < basket.rmse_zero
    _, blind = scored(monkeypatch, on, found.outlook, np.full_like(seeing, 0.2))
    assert blind.skill.value < 0.05
    assert blind.held.value < basket.held.value


def test_a_version_without_an_outlook_has_a_reason_instead_of_scores(monkeypatch, planted):
    on, _ = planted
    assert scored(monkeypatch, on, {}, np.zeros((len(on.ts), 5))).startswith("the model states no forecast errors")
