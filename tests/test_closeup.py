"""A family from near: what it looks at, how far off it is and what it costs, on rows it was not fitted on."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Search, Serving, Target, Universe, Validation
from data.panel import Panel
from tune.closeup import PERMUTED, SHOWN, Closeup, closeup
from tune.leaderboard import leaderboard
from tune.problem import Problem, pose
from tune.score import score_fold
from tune.trial import TrialResult

HOUR = 3_600_000_000_000
SYMBOLS = ("A", "B", "C")
NOISE = ("before", "after", "beside")
NAMES = ("before", "planted", "after", "beside")


def panel(times: int = 500, seed: int = 0) -> Panel:
    """The next return follows one of four features; it is a price of 100 that moves."""
    rng, n = np.random.default_rng(seed), times * len(SYMBOLS)
    ts = np.repeat(np.arange(1, times + 1) * HOUR, len(SYMBOLS))
    x = rng.normal(size=(n, 4))
    return Panel(
        x=x,
        outcome=0.01 * (0.8 * x[:, 1] + 0.6 * rng.normal(size=n)),
        value=100.0 + rng.normal(size=n),
        ts=ts,
        t1=ts + HOUR,
        who=np.tile(np.arange(len(SYMBOLS)), times),
        symbols=SYMBOLS,
        features=NAMES,
        definition="test",
        warmup=0,
    )


def posed(*families: str, kind: str = "action_5", times: int = 500, **search: object) -> Problem:
    recipe = Recipe(
        name="test",
        source=Part(kind="simulator"),
        universe=Universe(name="u", symbols=SYMBOLS),
        target=Target(kind=kind),
        families=families,
        search=Search(**search),
        validation=Validation(folds=2),
        serving=Serving(app=None),
    )
    return pose(recipe, panel(times))


def seen(problem: Problem, name: str, **params: object) -> Closeup:
    """A closeup of a family with its defaults, or with these parameters instead."""
    chosen = dict(problem.families[name].standard(problem.task)) | params
    folds = tuple(score_fold(problem, name, chosen, k) for k in range(len(problem.folds)))
    trial = TrialResult(family=name, params=chosen, baseline=problem.families[name].baseline, folds=folds, id="0")
    (row,) = leaderboard([trial], problem.metric)
    found = closeup(problem, row)
    json.dumps(asdict(found), allow_nan=False)  # it is kept as JSON
    return found


def stands_out(shares: dict[str, float], times: float) -> bool:
    return abs(shares["planted"]) > times * max(abs(shares[name]) for name in NOISE)


@pytest.mark.parametrize(("kind", "family"), [("action_5", "logistic"), ("future_return", "ridge")])
def test_shuffling_the_planted_feature_costs_the_score_and_shuffling_noise_does_not(kind, family):
    found = seen(posed(family, kind=kind), family)
    mean = {name: drop for name, (drop, _) in found.permutation.items()}
    assert tuple(mean) == NAMES
    assert stands_out(mean, 10.0)
    assert max(abs(mean[name]) for name in NOISE) < 0.02
    assert mean["planted"] > 0.1
    assert all(spread >= 0.0 for _, spread in found.permutation.values())


def test_where_less_is_better_a_loss_of_score_still_counts_up():
    found = seen(posed("logistic", metric="log_loss"), "logistic")
    assert found.permutation["planted"][0] > 0.1


def test_all_ages_of_a_feature_are_shuffled_together():
    """A window of rows holds each feature several times; only one of all columns was planted."""
    found = seen(posed("mlp", kind="future_return"), "mlp", lookback=3)
    mean = {name: drop for name, (drop, _) in found.permutation.items()}
    assert tuple(mean) == NAMES
    assert stands_out(mean, 4.0)


@pytest.mark.parametrize("kind", ["action_5", "future_return"])
def test_trees_say_what_they_split_on_and_what_it_adds(kind):
    found = seen(posed("lightgbm", kind=kind), "lightgbm")
    assert sum(found.gain.values()) == pytest.approx(1.0)
    assert stands_out(found.gain, 2.0)
    assert stands_out(found.shap, 2.0)
    assert tuple(found.gain) == tuple(found.shap) == NAMES


def test_what_is_no_tree_has_neither_gain_nor_contributions():
    found = seen(posed("logistic"), "logistic")
    assert (found.gain, found.shap) == ({}, {})


@pytest.mark.parametrize("family", ["logistic", "lightgbm", "majority", "stratified", "persistence"])
def test_a_classifier_of_any_kind_has_costs_calibration_and_truth(family):
    problem = posed("logistic", "lightgbm")
    found = seen(problem, family)
    assert min(found.fit_seconds, found.latency_us, found.bytes) > 0
    assert sum(rows for *_, rows in found.calibration) == len(problem.folds[-1].test)
    for probability, right, _ in found.calibration:
        assert 0.0 < probability <= 1.0
        assert 0.0 <= right <= 1.0
    assert {came for _, _, came, _ in found.truth} == {0.0, 1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize(
    "family", ["ridge", "persistence", "last_return", "ewma", "ridge_window", "arma_garch", "pairs"]
)
def test_a_regression_of_any_kind_has_costs_and_truth(family):
    """Those that read earlier outcomes or prices, and those that are no graph, as well."""
    found = seen(posed("ridge", "arma_garch", "pairs", kind="future_return", times=200), family)
    assert min(found.fit_seconds, found.latency_us, found.bytes) > 0
    assert found.calibration == []
    assert bool(found.permutation) == (family == "ridge")
    assert np.isfinite([(came, said) for *_, came, said in found.truth]).all()


def test_truth_is_what_came_on_test_rows_of_the_last_fold_over_all_of_it():
    problem, on = posed("ridge", kind="future_return"), panel()
    fold, found = problem.folds[-1], seen(problem, "ridge")
    came = {(int(t), SYMBOLS[k]): y for t, k, y in zip(on.ts, on.who, on.outcome, strict=True)}
    assert len(found.truth) == min(SHOWN, len(fold.test)) < PERMUTED
    assert all(came[ts, who] == y for ts, who, y, _ in found.truth)
    times = [ts for ts, *_ in found.truth]
    assert times == sorted(times)
    span = on.ts[fold.test]
    assert span.min() <= times[0] < span.min() + 0.1 * np.ptp(span)
    assert span.max() - 0.1 * np.ptp(span) < times[-1] <= span.max()
    assert {who for _, who, *_ in found.truth} == set(SYMBOLS)


def test_rows_that_are_drawn_of_a_long_fold_are_of_every_symbol_at_all_times():
    """Even steps through rows that take turns by symbol would show one symbol for months, then the next."""
    problem = posed("ridge", kind="future_return", times=5000)
    assert len(problem.folds[-1].test) > 2 * PERMUTED
    halves = np.array_split(np.array([who for _, who, *_ in seen(problem, "ridge").truth]), 2)
    for half in halves:
        counts = np.array([(half == symbol).sum() for symbol in SYMBOLS])
        assert counts.min() > 0.6 * counts.max()


def test_the_untouched_segment_is_left_alone():
    """Everything is the same whatever comes there: a report of every family must not become one more selection."""
    problem = posed("logistic")
    held = problem.exam.test
    shocked = posed("logistic")
    shocked.inputs.x[held] += 9.0
    one, other = seen(problem, "logistic"), seen(shocked, "logistic")
    assert (one.permutation, one.calibration, one.truth) == (other.permutation, other.calibration, other.truth)
