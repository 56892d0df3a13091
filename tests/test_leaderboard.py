"""The leaderboard: each family by its best trial, baselines in the same order, nothing hidden."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from tune.leaderboard import from_json, leaderboard, mean_interval, to_json
from tune.leaderboard_table import render
from tune.score import Score
from tune.trial import TrialResult


def trial(family: str, *macro_f1: float, error: str | None = None, stopped: str | None = None, **params) -> TrialResult:
    folds = tuple(
        Score(metrics={"macro_f1": f1, "accuracy": 0.4}, symbols={"A": f1, "B": f1 / 2}, seconds=1.0) for f1 in macro_f1
    )
    return TrialResult(
        family=family,
        params=params,
        baseline=family in ("majority", "stratified"),
        folds=folds,
        error=error,
        stopped=stopped,
        id=f"{family}-{macro_f1}",
    )


LOSSES = tuple(
    TrialResult(family=name, params={}, baseline=False, folds=(Score(metrics={"log_loss": loss}),) * 2)
    for name, loss in (("a", 1.2), ("b", 0.9))
)
TRIALS = (
    trial("majority", 0.10, 0.10, 0.13),
    trial("stratified", 0.20, 0.18, 0.22),
    trial("logistic", 0.30, 0.30, 0.33, C=0.5),
    trial("logistic", 0.10, 0.10, 0.10, C=9.0),
    trial("lightgbm", 0.31, 0.29, 0.36, leaves=31),
    trial("xgboost", error="ValueError: depth", depth=-1),
    trial("lightgbm", 0.9, stopped="ended after 1 of 3 folds", leaves=7),
)


def test_one_row_a_family_ordered_by_its_mean_score():
    rows = leaderboard(TRIALS, "macro_f1")
    assert [r.family for r in rows] == ["lightgbm", "logistic", "stratified", "majority", "xgboost"]
    assert [r.rank for r in rows] == [1, 2, 3, 4, 5]
    assert rows[0].score == pytest.approx(0.32)
    assert rows[0].symbols == pytest.approx({"A": 0.32, "B": 0.16})
    assert rows[1].params == {"C": 0.5}


def test_the_order_of_trials_does_not_matter():
    assert to_json(leaderboard(TRIALS, "macro_f1")) == to_json(leaderboard(reversed(TRIALS), "macro_f1"))


def test_the_interval_is_that_of_a_t_test_over_folds():
    row = next(r for r in leaderboard(TRIALS, "macro_f1") if r.family == "stratified")
    expected = stats.ttest_1samp([0.20, 0.18, 0.22], 0.0).confidence_interval(0.95)
    assert (row.low, row.high) == pytest.approx((expected.low, expected.high))
    assert np.isnan(mean_interval([0.2])[1:]).all()


def test_a_score_that_is_better_when_lower_is_ranked_so():
    assert [r.family for r in leaderboard(LOSSES, "log_loss")] == ["b", "a"]


def test_a_trial_that_did_not_finish_never_leads():
    rows = {r.family: r for r in leaderboard(TRIALS, "macro_f1")}
    assert rows["lightgbm"].params == {"leaves": 31}
    assert (rows["lightgbm"].trials, rows["lightgbm"].stopped) == (2, 1)
    assert math.isnan(rows["xgboost"].score)
    assert rows["xgboost"].error == "ValueError: depth"


def test_json_is_plain_and_complete():
    rows = json.loads(to_json(leaderboard(TRIALS, "macro_f1")))
    assert rows[-1]["score"] is None
    assert rows[0] | {"rank": 1, "family": "lightgbm", "baseline": False, "trials": 2, "seconds": 4.0} == rows[0]


def test_json_is_read_back_as_it_was():
    text = to_json(leaderboard(TRIALS, "macro_f1"))
    assert to_json(from_json(text)) == text
    assert from_json(text)[:-1] == leaderboard(TRIALS, "macro_f1")[:-1]  # the last holds NaN, which equals nothing
    assert math.isnan(from_json(text)[-1].score)


def test_the_table_shows_lift_over_the_best_baseline_and_what_failed():
    console = Console(width=160)
    with console.capture() as shown:
        console.print(render(leaderboard(TRIALS, "macro_f1")))
    lines = shown.get().splitlines()
    logistic = next(line for line in lines if "logistic" in line)
    assert "0.3100" in logistic
    assert "+0.110" in logistic
    assert any("stratified (base)" in line for line in lines)
    assert any("xgboost" in line and "1 -1✗" in line for line in lines)
    assert any("lightgbm" in line and "2 -1■" in line for line in lines)
    assert "xgboost: ValueError: depth" in shown.get()


def test_the_table_fits_a_narrow_terminal():
    console = Console(width=80)
    with console.capture() as shown:
        console.print(render(leaderboard(TRIALS, "macro_f1")))
    assert "…" not in shown.get().replace(" … ", "")


def test_baselines_are_dimmed():
    table, rows = render(leaderboard(TRIALS, "macro_f1")).renderables[0], leaderboard(TRIALS, "macro_f1")
    assert [r.style for r in table.rows] == ["dim" if r.baseline else None for r in rows]
