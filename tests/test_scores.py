"""The table of scores: every entry is computed, bounded by an interval, and the same whatever the order of rows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_squared_error, r2_score, roc_auc_score

from bellwether.errors import ConfigError, DataError, UnknownName
from bellwether.models.training import Task
from bellwether.validation.bootstrap import row_bootstrap
from bellwether.validation.scores import ROW_DRAWS, SCORES, Evaluation, intervals, score_all, score_kind

CLASSES = ["accuracy", "precision", "recall", "macro_f1", "weighted_f1", "auc", "log_loss", "brier"]
CLASSES += ["calibration_error", "directional", "ic", "rank_ic", "icir"]
VALUES = ["directional", "mse", "rmse", "mae", "mape", "r2", "skill", "ic", "rank_ic", "icir"]
LOWER_IS_BETTER = {"log_loss", "brier", "calibration_error", "mse", "rmse", "mae", "mape"}


def classes(seed: int = 0, times: int = 60, symbols: int = 4, signal: float = 1.0) -> Evaluation:
    """Five classes cut from a return, and probabilities that know something of it."""
    rng = np.random.default_rng(seed)
    ts, who = np.repeat(np.arange(times), symbols), np.tile(np.arange(symbols), times)
    outcome = 0.01 * rng.normal(size=len(ts))
    y = np.digitize(outcome, [-0.008, -0.003, 0.003, 0.008])
    weight = np.exp(signal * 50.0 * outcome[:, None] * np.arange(-2, 3) + rng.normal(size=(len(ts), 5)))
    p = weight / weight.sum(axis=1, keepdims=True)
    return Evaluation(ts=ts, who=who, y=y, outcome=outcome, probabilities=p, predicted=p.argmax(axis=1))


def values(seed: int = 0, times: int = 60, symbols: int = 4, steps: int = 1) -> Evaluation:
    """Changes of a level, and predictions that know something of them."""
    rng = np.random.default_rng(seed)
    ts, who = np.repeat(np.arange(times), symbols), np.tile(np.arange(symbols), times)
    y = rng.normal(size=(len(ts), steps))
    return Evaluation(ts=ts, who=who, y=y, values=0.5 * y + 0.3 * rng.normal(size=y.shape), level=100.0 + y)


TASKS = [(Task.CLASSIFY, classes), (Task.REGRESS, values)]


def test_every_score_of_a_task_is_computed():
    assert list(score_all(Task.CLASSIFY, classes())) == CLASSES
    assert list(score_all(Task.REGRESS, values())) == VALUES
    assert all(map(math.isfinite, score_all(Task.CLASSIFY, classes()).values()))
    assert all(map(math.isfinite, score_all(Task.REGRESS, values()).values()))


def test_the_table_says_which_way_is_better_and_what_a_score_is():
    assert {name for name, kind in SCORES.items() if not kind.greater_is_better} == LOWER_IS_BETTER
    assert [kind.description for kind in SCORES.values() if "\n" in kind.description or not kind.description] == []
    assert [name for name, kind in SCORES.items() if kind.name != name] == []


def test_better_predictions_score_better_by_every_entry():
    weak, strong = (score_all(Task.CLASSIFY, classes(times=400, signal=s)) for s in (0.0, 4.0))
    for name in CLASSES:
        if name != "calibration_error":  # that is about confidence, not about being right
            assert (strong[name] > weak[name]) == SCORES[name].greater_is_better, name
    rows = values(times=400)
    poor = replace(rows, values=rows.values + np.random.default_rng(1).normal(size=rows.y.shape))
    good, bad = score_all(Task.REGRESS, rows), score_all(Task.REGRESS, poor)
    for name in VALUES:
        assert (good[name] > bad[name]) == SCORES[name].greater_is_better, name


@pytest.mark.parametrize(("task", "make"), TASKS)
@pytest.mark.parametrize("symbols", [1, 2, 5])
def test_intervals_hold_the_score_itself(task, make, symbols):
    rows = make(symbols=symbols)
    found, plain = intervals(task, rows, draws=100), score_all(task, rows)
    assert list(found) == list(plain)
    for name, interval in found.items():
        assert interval.value == pytest.approx(plain[name], rel=1e-9), name
        assert interval.low < interval.high, name
        assert interval.low <= interval.value <= interval.high or name == "calibration_error", name


def test_resampled_rows_give_much_the_same_interval_as_sums():
    rows = classes(times=200)
    by_sums = intervals(Task.CLASSIFY, rows, names=["accuracy", "rank_ic", "directional"], draws=2000)
    for name, found in by_sums.items():
        kind = SCORES[name]
        by_rows = row_bootstrap(
            lambda at, ts, kind=kind: kind.of(rows.at(at, ts=ts)), rows.ts, block=found.block, draws=400
        )
        assert by_rows.value == pytest.approx(found.value)
        assert by_rows.high - by_rows.low == pytest.approx(found.high - found.low, rel=0.2)
        assert by_rows.low == pytest.approx(found.low, abs=0.2 * (found.high - found.low))


def test_scores_of_ranks_take_fewer_draws_and_say_so():
    found = intervals(Task.CLASSIFY, classes(), names=["auc", "accuracy"])
    assert (found["auc"].draws, found["accuracy"].draws) == (ROW_DRAWS, 2000)


def test_a_timestamp_drawn_twice_counts_as_two():
    seen = []
    ts = np.repeat(np.arange(12), 3)[::-1]
    row_bootstrap(lambda rows, times: seen.append((rows, times)) or 0.0, ts, block=4, draws=50)
    for rows, times in seen:
        assert len(np.unique(times)) == 12
        picked = ts[rows].reshape(12, 3)
        assert (picked == picked[:, :1]).all()  # whole timestamps
        assert ((picked[1:4, 0] - picked[:3, 0]) % 12 == 1).all()  # in circular blocks
        assert len(set(zip(rows, times, strict=True))) == 36
    assert any(len(np.unique(rows)) < 36 for rows, _ in seen)


def test_intervals_are_repeatable_and_wider_for_longer_outcomes_that_overlap():
    rows = values()
    assert intervals(Task.REGRESS, rows, draws=50, seed=3) == intervals(Task.REGRESS, rows, draws=50, seed=3)
    one, long = (intervals(Task.REGRESS, rows, names=["skill"], horizon=h)["skill"].block for h in (1, 24))
    assert (one, long) == (4, 47)


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from(TASKS))
def test_the_order_of_rows_within_a_timestamp_changes_nothing(seed, pair):
    task, make = pair
    rows = make(seed)
    order = np.lexsort((np.random.default_rng(seed).random(len(rows.ts)), rows.ts))
    first, mixed = score_all(task, rows), score_all(task, rows.at(order))
    assert mixed == pytest.approx(first, rel=1e-9)
    names = [name for name in first if SCORES[name].sums_of(rows) is not None]
    for name, interval in intervals(task, rows, names=names, draws=20).items():
        other = intervals(task, rows.at(order), names=[name], draws=20)[name]
        assert (other.low, other.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_scores_keep_their_bounds(seed):
    found = score_all(Task.CLASSIFY, classes(seed, times=20))
    for name in ("accuracy", "precision", "recall", "macro_f1", "weighted_f1", "auc", "calibration_error"):
        assert 0.0 <= found[name] <= 1.0
    for name in ("directional", "ic", "rank_ic"):
        assert -1.0 <= found[name] <= 1.0
    assert score_all(Task.REGRESS, values(seed))["skill"] <= 1.0


def test_several_steps_score_the_mean_of_each():
    rows = values(steps=3)
    for name in VALUES:
        kind, per_step = SCORES[name], SCORES[name].per_step(rows)
        assert per_step == tuple(kind.of(rows.step(k)) for k in range(3))
        assert kind.of(rows) == pytest.approx(np.mean(per_step))
        assert intervals(Task.REGRESS, rows, names=[name], draws=20)[name].value == pytest.approx(np.mean(per_step))
    assert SCORES["mse"].of(rows) == pytest.approx(mean_squared_error(rows.y, rows.values))
    assert SCORES["r2"].of(rows) == pytest.approx(r2_score(rows.y, rows.values))


def test_a_score_that_is_not_defined_is_nan_and_so_is_its_interval():
    rows = replace(values(), level=None)
    found = intervals(Task.REGRESS, rows, names=["mape", "mae"], draws=20)
    assert np.isnan([found["mape"].value, found["mape"].low, found["mape"].high]).all()
    assert np.isfinite(found["mae"].low)
    blind = score_all(Task.CLASSIFY, replace(classes(), outcome=None))
    assert [name for name, value in blind.items() if math.isnan(value)] == ["ic", "rank_ic", "icir"]
    still = score_all(Task.REGRESS, replace(values(), values=np.zeros(240)))
    assert (still["skill"], still["directional"]) == (0.0, 0.0)
    assert math.isnan(still["ic"])


def test_two_classes_are_a_rise_and_a_fall():
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 90), rng.dirichlet(np.ones(2), 90)
    rows = Evaluation(ts=np.arange(90), who=np.zeros(90, int), y=y, probabilities=p, predicted=p.argmax(axis=1))
    assert SCORES["auc"].of(rows) == pytest.approx(roc_auc_score(y, p[:, 1]))
    assert SCORES["directional"].of(rows) == pytest.approx(2.0 * SCORES["recall"].of(rows) - 1.0)


def test_one_row_or_one_class_can_be_scored():
    one = classes().at(np.array([3]))
    found = score_all(Task.CLASSIFY, one)
    assert math.isnan(found["auc"])
    assert math.isfinite(found["log_loss"])
    bounded = intervals(Task.CLASSIFY, one, names=["log_loss", "auc"], draws=5)["log_loss"]
    assert bounded.value == found["log_loss"]
    assert math.isnan(bounded.low)  # one row says nothing of the next
    assert math.isnan(score_all(Task.REGRESS, values().at(np.array([3])))["r2"])


def test_a_score_of_the_other_task_is_refused():
    with pytest.raises(ConfigError, match="mse is not defined for a target to classify"):
        SCORES["mse"].of(classes())
    with pytest.raises(ConfigError, match="accuracy is not defined for a target to regress"):
        score_all(Task.CLASSIFY, values())
    with pytest.raises(UnknownName, match="no score 'sharpe'"):
        score_kind("sharpe")
    with pytest.raises(UnknownName, match="no score 'f1'"):
        intervals(Task.CLASSIFY, classes(), names=["f1"])


WRONG = {
    "who has 3 rows and ts 240": {"who": np.zeros(3, int)},
    "probabilities holds a number that is not finite": {"probabilities": np.full((240, 5), np.nan)},
    "add up to 1 ± 1": {"probabilities": np.full((240, 5), 0.4)},
    "probabilities have shape": {"probabilities": np.full(240, 1.0)},
    "predicted 7 … 7 lies outside the 5 classes": {"predicted": np.full(240, 7)},
    "y has shape .* type float64": {"y": np.zeros(240)},
    "no rows to score": {"ts": np.zeros(0, int)},
}


@pytest.mark.parametrize("message", WRONG)
def test_rows_that_cannot_be_scored_are_refused(message):
    with pytest.raises(DataError, match=message):
        replace(classes(), **WRONG[message])


def test_values_that_do_not_match_are_refused():
    with pytest.raises(DataError, match=r"values have shape \(240, 2\), y \(240, 1\)"):
        replace(values(), values=np.zeros((240, 2)))
    with pytest.raises(DataError, match=r"level \(240, 2\)"):
        replace(values(), level=np.ones((240, 2)))
    with pytest.raises(DataError, match="nothing was predicted"):
        Evaluation(ts=np.arange(3), who=np.zeros(3, int), y=np.ones(3))
