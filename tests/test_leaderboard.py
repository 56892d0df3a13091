"""The leaderboard: each family by its best trial, baselines in the same order, nothing hidden."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from rich.console import Console

from tune.leaderboard import from_json, leaderboard, render, to_json
from tune.trial import TrialResult


def trial(family: str, *macro_f1: float, accuracy: float = 0.4, error: str | None = None, **params) -> TrialResult:
    return TrialResult(
        family=family,
        params=params,
        baseline=family in ("majority", "stratified"),
        macro_f1=macro_f1,
        accuracy=(accuracy,) * len(macro_f1),
        seconds=2.0,
        error=error,
    )


TRIALS = (
    trial("majority", 0.10, 0.10, 0.13),
    trial("stratified", 0.20, 0.18, 0.22),
    trial("logistic", 0.30, 0.30, 0.33, C=0.5),
    trial("logistic", 0.10, 0.10, 0.10, C=9.0),
    trial("lightgbm", 0.31, 0.29, 0.33, accuracy=0.5, leaves=31),
    trial("xgboost", error="ValueError: depth", depth=-1),
    trial("lightgbm", 0.9, error="the time budget ended it after 1 of 3 folds", leaves=7),
)


def test_one_row_a_family_ordered_by_mean_macro_f1_then_accuracy():
    rows = leaderboard(TRIALS)
    assert [r.family for r in rows] == ["lightgbm", "logistic", "stratified", "majority", "xgboost"]
    assert [r.rank for r in rows] == [1, 2, 3, 4, 5]
    assert rows[0].macro_f1 == pytest.approx(rows[1].macro_f1)  # a tie, which accuracy breaks
    assert rows[1].params == {"C": 0.5}


def test_the_order_of_trials_does_not_matter():
    assert to_json(leaderboard(TRIALS)) == to_json(leaderboard(reversed(TRIALS)))


def test_stderr_is_over_folds():
    row = next(r for r in leaderboard(TRIALS) if r.family == "stratified")
    assert row.stderr == pytest.approx(np.std([0.20, 0.18, 0.22], ddof=1) / np.sqrt(3))


def test_a_trial_that_did_not_finish_never_leads():
    rows = {r.family: r for r in leaderboard(TRIALS)}
    assert rows["lightgbm"].params == {"leaves": 31}
    assert (rows["lightgbm"].trials, rows["lightgbm"].failed) == (2, 1)
    assert math.isnan(rows["xgboost"].macro_f1)
    assert rows["xgboost"].error == "ValueError: depth"


def test_json_is_plain_and_complete():
    rows = json.loads(to_json(leaderboard(TRIALS)))
    assert rows[-1]["macro_f1"] is None
    assert rows[0] | {"rank": 1, "family": "lightgbm", "baseline": False, "trials": 2, "seconds": 4.0} == rows[0]


def test_json_is_read_back_as_it_was():
    text = to_json(leaderboard(TRIALS))
    assert to_json(from_json(text)) == text
    assert from_json(text)[:-1] == leaderboard(TRIALS)[:-1]  # the last holds NaN, which equals nothing
    assert math.isnan(from_json(text)[-1].macro_f1)


def test_the_table_shows_lift_over_the_best_baseline_and_what_failed():
    console = Console(width=160)
    with console.capture() as shown:
        console.print(render(leaderboard(TRIALS)))
    lines = shown.get().splitlines()
    logistic = next(line for line in lines if "logistic" in line)
    assert "0.3100" in logistic
    assert "+0.1100" in logistic
    failed = next(line for line in lines if "xgboost" in line)
    assert "ValueError: depth" in failed
    assert any("stratified (base)" in line for line in lines)
    assert any("ValueError: depth" in line and "1 (1 failed)" in line for line in lines)


def test_baselines_are_dimmed():
    table, rows = render(leaderboard(TRIALS)), leaderboard(TRIALS)
    assert [r.style for r in table.rows] == ["dim" if r.baseline else None for r in rows]
