"""Combinatorial purged cross-validation: every combination of groups once, nothing shared, whole paths."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from bellwether.config.interval import nanoseconds
from bellwether.config.sections import Validation
from bellwether.errors import ConfigError, DataError
from bellwether.validation.combinatorial import on_paths, paths
from bellwether.validation.folds import fold_stderr
from bellwether.validation.walk_forward import Split, split

Ints = NDArray[np.int64]
Panel = tuple[Ints, Ints, Validation]

SECOND = 1_000_000_000


@st.composite
def plans(draw: st.DrawFn) -> Validation:
    groups = draw(st.integers(2, 6))
    return Validation(
        kind="combinatorial",
        groups=groups,
        test_groups=draw(st.integers(1, groups - 1)),
        holdout=draw(st.floats(0.05, 0.3)),
        embargo=draw(st.integers(0, 3) | st.integers(1, 60).map("{}s".format)),
    )


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """A pooled panel in any order with uneven spacing, missing components and outcomes of different lengths."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_times, horizon = draw(st.integers(110, 180)), draw(st.integers(1, 4))
    times = np.cumsum(rng.integers(20, 60, n_times + horizon)) * SECOND
    rows = [(at, times[i + rng.integers(1, horizon + 1)]) for i, at in enumerate(times[:n_times]) for _ in range(3)]
    kept = rng.permutation(np.array(rows, np.int64)[rng.random(len(rows)) < 0.8])
    return kept[:, 0], kept[:, 1], draw(plans())


def blocks(ts: Ints, cut: Split, plan: Validation) -> list[tuple[set[int], ...]]:
    """The timestamps of each fold's test groups."""
    groups = [set(part.tolist()) for part in np.array_split(np.unique(ts[cut.selection]), plan.groups)]
    return list(combinations(groups, plan.test_groups))


@settings(max_examples=60)
@given(panels())
def test_no_training_interval_meets_a_test_interval(panel):
    ts, t1, plan = panel
    cut = split(ts, t1, plan)
    for fold, tested in zip(cut.folds, blocks(ts, cut, plan), strict=True):
        for group in tested:
            start, end = min(group), t1[fold.test][np.isin(ts[fold.test], list(group))].max()
            assert ((t1[fold.train] < start) | (ts[fold.train] > end)).all()
    assert t1[cut.selection].max() < ts[cut.holdout].min()


@settings(max_examples=60)
@given(panels())
def test_the_embargo_holds_on_both_sides_of_every_test_group(panel):
    ts, t1, plan = panel
    cut, times = split(ts, t1, plan), np.unique(ts)
    for fold, tested in zip(cut.folds, blocks(ts, cut, plan), strict=True):
        for group in tested:
            start, end = min(group), t1[fold.test][np.isin(ts[fold.test], list(group))].max()
            early, late = fold.train[ts[fold.train] < start], fold.train[ts[fold.train] > end]
            if isinstance(plan.embargo, str):
                assert (t1[early] + nanoseconds(plan.embargo) <= start).all()
                assert (ts[late] >= end + nanoseconds(plan.embargo)).all()
            else:
                assert (np.searchsorted(times, start) - np.searchsorted(times, ts[early]) > plan.embargo).all()
                after_end = np.searchsorted(times, end, side="right")
                assert (np.searchsorted(times, ts[late]) - after_end >= plan.embargo).all()


@settings(max_examples=30)
@given(panels())
def test_folds_train_on_every_row_that_is_far_enough_from_the_test(panel):
    ts, t1, plan = panel
    cut = split(ts, t1, plan)
    times = np.unique(ts[cut.selection])

    def may_be_trained_on(row: int, tests: Ints, group: set[int]) -> bool:
        start, end = min(group), max(t1[r] for r in tests.tolist() if ts[r] in group)
        if start <= t1[row] and ts[row] <= end:
            return False
        if isinstance(plan.embargo, str):
            return max(start - t1[row], ts[row] - end) >= nanoseconds(plan.embargo)
        low, high = (ts[row], start) if ts[row] < start else (end, ts[row])
        return int(((times > low) & (times < high)).sum()) >= plan.embargo

    for fold, tested in zip(cut.folds[:4], blocks(ts, cut, plan), strict=False):
        free = [r for r in cut.selection.tolist() if all(may_be_trained_on(r, fold.test, group) for group in tested)]
        assert fold.train.tolist() == free


@settings(max_examples=60)
@given(panels())
def test_each_fold_tests_its_groups_whole_and_ascending(panel):
    ts, t1, plan = panel
    cut = split(ts, t1, plan)
    assert [fold.number for fold in cut.folds] == list(range(1, comb(plan.groups, plan.test_groups) + 1))
    for fold, tested in zip(cut.folds, blocks(ts, cut, plan), strict=True):
        assert fold.test.tolist() == [row for row in cut.selection.tolist() if ts[row] in set.union(*tested)]
        assert not set(ts[fold.train].tolist()) & set(ts[fold.test].tolist())
        assert (np.diff(fold.train) > 0).all()


@settings(max_examples=60)
@given(panels())
def test_the_holdout_is_that_of_walk_forward_and_in_no_fold(panel):
    ts, t1, plan = panel
    cut, walked = split(ts, t1, plan), split(ts, t1, plan.model_copy(update={"kind": "walk_forward", "folds": 2}))
    np.testing.assert_array_equal(cut.selection, walked.selection)
    np.testing.assert_array_equal(cut.holdout, walked.holdout)
    for fold in cut.folds:
        assert np.isin(np.concatenate([fold.train, fold.test]), cut.selection).all()
    assert not np.intersect1d(cut.selection, cut.holdout).size


@settings(max_examples=60)
@given(panels())
def test_every_path_predicts_every_selection_row_from_folds_not_trained_on_it(panel):
    ts, t1, plan = panel
    cut = split(ts, t1, plan)
    numbers = on_paths(ts, cut, plan, [np.full(len(fold.test), fold.number) for fold in cut.folds])
    assert numbers.shape == (comb(plan.groups - 1, plan.test_groups - 1), len(cut.selection))
    for path in numbers:
        for number in np.unique(path):
            assert np.isin(cut.selection[path == number], cut.folds[number - 1].test).all()
    assert all(
        len(set(row)) == len(row) for row in numbers.T.tolist()
    )  # a row's predictions come from as many folds as there are paths


@pytest.mark.parametrize(("groups", "test_groups", "folds", "n_paths"), [(6, 2, 15, 5), (10, 2, 45, 9), (4, 1, 4, 1)])
def test_the_numbers_of_folds_and_paths_are_those_of_the_book(groups, test_groups, folds, n_paths):
    ts = np.arange(100)
    plan = Validation(kind="combinatorial", groups=groups, test_groups=test_groups)
    assert len(split(ts, ts + 1, plan).folds) == folds
    assert paths(groups, test_groups).shape == (n_paths, groups)


@given(plans())
def test_paths_use_each_test_group_of_each_fold_once(plan):
    chosen = list(combinations(range(plan.groups), plan.test_groups))
    table = paths(plan.groups, plan.test_groups)
    assert len(table) == comb(plan.groups, plan.test_groups) * plan.test_groups // plan.groups
    supplied = [(fold, group) for path in table.tolist() for group, fold in enumerate(path)]
    assert sorted(supplied) == [(fold, group) for fold, tested in enumerate(chosen) for group in tested]


def test_a_path_keeps_columns_of_probabilities_and_the_order_of_rows():
    ts = np.repeat(np.arange(40), 2)[np.random.default_rng(0).permutation(80)]
    plan = Validation(kind="combinatorial", groups=4, test_groups=2)
    cut = split(ts, ts + 1, plan)
    known = np.column_stack([ts, -ts]).astype(float)
    found = on_paths(ts, cut, plan, [known[fold.test] for fold in cut.folds])
    np.testing.assert_array_equal(found, np.tile(known[cut.selection], (3, 1, 1)))


def test_predictions_that_do_not_fit_the_folds_are_refused():
    ts, plan = np.arange(40), Validation(kind="combinatorial", groups=3, test_groups=1)
    cut = split(ts, ts + 1, plan)
    with pytest.raises(DataError, match="one for each test row"):
        on_paths(ts, cut, plan, [np.zeros(len(fold.test)) for fold in cut.folds[1:]])
    with pytest.raises(DataError, match="one for each test row"):
        on_paths(ts, cut, plan, [np.zeros(len(fold.test) + 1) for fold in cut.folds])


@given(plans(), st.integers(0, 2**32 - 1))
def test_the_error_of_the_mean_of_folds_is_that_of_the_groups_they_are_made_of(plan, seed):
    of_groups = np.random.default_rng(seed).normal(size=plan.groups)
    folds = [of_groups[list(chosen)].mean() for chosen in combinations(range(plan.groups), plan.test_groups)]
    expected = np.std(of_groups, ddof=1) / np.sqrt(plan.groups)
    assert fold_stderr(folds, plan) == pytest.approx(expected)
    walk = plan.model_copy(update={"kind": "walk_forward", "folds": plan.groups})
    assert fold_stderr(of_groups.tolist(), walk) == pytest.approx(expected)


def test_a_fold_looks_ahead_and_a_walk_does_not():
    ts = np.arange(100)
    looks = {
        kind: any(ts[f.train].max() > ts[f.test].min() for f in split(ts, ts + 1, Validation(kind=kind)).folds)
        for kind in ("walk_forward", "combinatorial")
    }
    assert looks == {"walk_forward": False, "combinatorial": True}


def test_a_row_exactly_as_far_from_the_test_as_the_embargo_is_long_is_trained_on():
    ts = np.arange(40) * SECOND
    plan = Validation(kind="combinatorial", groups=4, test_groups=1, embargo="3s", holdout=0.1)
    second = split(ts, ts + SECOND, plan).folds[1]
    before, after = second.train[second.train < second.test[0]], second.train[second.train > second.test[-1]]
    assert before[-1] + 1 + 3 == second.test[0]
    assert after[0] == second.test[-1] + 1 + 3


def test_an_embargo_longer_than_the_next_test_group_reaches_past_it():
    ts = np.arange(60)
    plan = Validation(kind="combinatorial", groups=10, test_groups=2, embargo=8, holdout=0.01)
    first = split(ts, ts, plan).folds[0]  # groups 0 and 1, six and five timestamps long
    assert first.train.min() == first.test.max() + 1 + 8


@pytest.mark.parametrize("embargo", [1, 30, "3s", "1h"])
def test_too_few_timestamps_is_said_with_their_number(embargo):
    ts = np.arange(7) * 2 * SECOND
    plan = Validation(kind="combinatorial", groups=6, test_groups=2, embargo=embargo)
    with pytest.raises(ConfigError, match="7 timestamps are too few for 6 groups, 2 of them a test"):
        split(ts, ts + 1, plan)


def test_outcomes_as_long_as_the_history_leave_nothing_to_train_on():
    ts = np.arange(100)
    with pytest.raises(ConfigError, match="too few"):
        split(ts, ts + 40, Validation(kind="combinatorial", groups=3, test_groups=2))


@pytest.mark.parametrize(
    "wrong", [{"groups": 2, "test_groups": 2}, {"test_groups": 0}, {"groups": 1, "test_groups": 1}]
)
def test_groups_that_leave_nothing_to_train_or_test_are_refused(wrong):
    with pytest.raises(ValidationError, match="groups"):
        Validation(kind="combinatorial", **wrong)
