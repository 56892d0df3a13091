"""Walk-forward validation: nothing that is trained on knows anything of what it is tested on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from bellwether.config.interval import nanoseconds
from bellwether.config.recipe import Recipe, load_recipe
from bellwether.config.sections import Validation
from bellwether.errors import ConfigError, DataError
from bellwether.validation.walk_forward import Split, split

Ints = NDArray[np.int64]

SECOND = 1_000_000_000

embargoes = st.integers(0, 4) | st.integers(1, 20).map("{}s".format)


@st.composite
def panels(draw: st.DrawFn) -> tuple[Ints, Ints, Validation]:
    """A pooled panel with uneven spacing, missing components, outcomes of different lengths and either embargo."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_times, horizon = draw(st.integers(60, 160)), draw(st.integers(1, 4))
    times = np.cumsum(rng.integers(10, 50, n_times + horizon)) * SECOND
    rows = [(at, times[i + rng.integers(1, horizon + 1)]) for i, at in enumerate(times[:n_times]) for _ in range(3)]
    kept = np.array(rows, np.int64)[rng.random(len(rows)) < 0.8]
    plan = Validation(
        folds=draw(st.integers(2, 6)),
        holdout=draw(st.floats(0.05, 0.4)),
        embargo=draw(embargoes),
        first_train=draw(st.floats(0.25, 0.7)),
    )
    return kept[:, 0], kept[:, 1], plan


def each_test(cut: Split) -> list[tuple[Ints, Ints]]:
    return [(f.train, f.test) for f in cut.folds] + [(cut.selection, cut.holdout)]


@settings(max_examples=80)
@given(panels())
def test_no_training_interval_reaches_into_a_test(panel):
    ts, t1, plan = panel
    for train, test in each_test(split(ts, t1, plan)):
        assert min(len(train), len(test)) > 0
        assert t1[train].max() < ts[test].min()


@settings(max_examples=80)
@given(panels())
def test_the_embargo_leaves_that_many_timestamps_out_or_that_much_time(panel):
    ts, t1, plan = panel
    times = np.unique(ts)
    for train, test in each_test(split(ts, t1, plan)):
        if isinstance(plan.embargo, str):
            assert ts[test].min() - t1[train].max() >= nanoseconds(plan.embargo)
        else:
            between = np.searchsorted(times, ts[test].min()) - np.searchsorted(times, ts[train].max()) - 1
            assert between >= plan.embargo


@settings(max_examples=80)
@given(panels())
def test_folds_train_on_every_row_that_is_early_enough(panel):
    ts, t1, plan = panel
    cut = split(ts, t1, plan)
    times = sorted(set(ts[cut.selection].tolist()))
    for fold in cut.folds:
        start = int(ts[fold.test].min())
        if isinstance(plan.embargo, str):
            early = [row for row in cut.selection.tolist() if t1[row] + nanoseconds(plan.embargo) <= start]
        else:
            left_out = times[max(0, times.index(start) - plan.embargo) : times.index(start)]
            early = [r for r in cut.selection.tolist() if ts[r] < start and t1[r] < start and ts[r] not in left_out]
        assert fold.train.tolist() == early


@settings(max_examples=80)
@given(panels())
def test_the_holdout_is_in_no_fold(panel):
    ts, t1, plan = panel
    cut = split(ts, t1, plan)
    for fold in cut.folds:
        assert np.isin(np.concatenate([fold.train, fold.test]), cut.selection).all()
    assert not np.intersect1d(cut.selection, cut.holdout).size


@settings(max_examples=80)
@given(panels())
def test_rows_of_a_timestamp_stay_together(panel):
    ts, t1, plan = panel
    cut = split(ts, t1, plan)
    tests = [f.test for f in cut.folds] + [cut.holdout]
    owners = [set(ts[test].tolist()) for test in tests]
    assert sum(map(len, owners)) == len(set().union(*owners))
    for train, test in each_test(cut):
        assert not set(ts[train].tolist()) & set(ts[test].tolist())


@settings(max_examples=80)
@given(panels())
def test_folds_expand_and_cover_the_selection_once(panel):
    ts, t1, plan = panel
    cut = split(ts, t1, plan)
    assert len(cut.folds) == plan.folds
    for earlier, later in zip(cut.folds, cut.folds[1:], strict=False):
        assert set(earlier.train.tolist()) < set(later.train.tolist())
        assert ts[earlier.test].max() < ts[later.test].min()
    tested = np.concatenate([f.test for f in cut.folds])
    assert len(tested) == len(set(tested.tolist()))
    np.testing.assert_array_equal(np.sort(tested), cut.selection[ts[cut.selection] >= ts[tested].min()])
    lengths = [len(np.unique(ts[f.test])) for f in cut.folds]
    assert max(lengths) - min(lengths) <= 1


def test_the_holdout_is_the_last_share_of_timestamps():
    ts = np.repeat(np.arange(100), 3)
    cut = split(ts, ts + 1, Validation(holdout=0.2, embargo=2))
    assert np.unique(ts[cut.holdout]).tolist() == list(range(80, 100))
    assert ts[cut.selection].max() == 76  # its outcome, at 77, is known before 80 - 2


def test_an_embargo_in_time_is_as_long_on_a_dense_panel_as_on_a_sparse_one():
    for step in (SECOND // 10, 20 * SECOND):
        ts = np.arange(0, 3600 * SECOND, step)
        cut = split(ts, ts + 60 * SECOND, Validation(folds=3, embargo="2min"))
        gaps = [int(ts[test].min() - (ts[train].max() + 60 * SECOND)) // SECOND for train, test in each_test(cut)]
        assert gaps == [120] * 4


def test_the_order_of_rows_does_not_matter():
    ts = np.repeat(np.arange(60), 2)
    shuffled = np.random.default_rng(1).permutation(len(ts))
    straight, mixed = (split(t, t + 1, Validation()) for t in (ts, ts[shuffled]))
    for a, b in zip(each_test(straight), each_test(mixed), strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_array_equal(np.sort(ts[left]), np.sort(ts[shuffled][right]))


@pytest.mark.parametrize(
    ("n", "plan"),
    [
        (0, Validation()),
        (1, Validation()),
        (8, Validation(folds=5)),
        (30, Validation(folds=5, embargo=20)),
        (0, Validation(embargo="1s")),
        (1, Validation(embargo="1s")),
        (30, Validation(folds=5, embargo="1s")),
        (20, Validation(folds=12, first_train=0.5)),
    ],
)
def test_too_few_timestamps_is_said_with_their_number(n, plan):
    ts = np.arange(n)
    with pytest.raises(ConfigError, match=f"{n} timestamps are too few for {plan.folds} folds"):
        split(ts, ts + 1, plan)


def test_outcomes_longer_than_the_first_training_segment_are_refused():
    ts = np.arange(40)
    with pytest.raises(ConfigError, match="too few"):
        split(ts, ts + 20, Validation(folds=3, holdout=0.1, first_train=0.3))


def test_an_outcome_before_its_row_is_refused():
    with pytest.raises(DataError, match="row 1"):
        split(np.array([1, 2, 3]), np.array([2, 1, 4]), Validation())
    with pytest.raises(DataError, match="3 rows and t1 2"):
        split(np.array([1, 2, 3]), np.array([2, 3]), Validation())


@pytest.mark.parametrize("embargo", [-1, "0s", "60 s", "1w", "1.5h", "s", 1.5, None])
def test_what_is_neither_timestamps_nor_a_duration_is_no_embargo(embargo):
    with pytest.raises(ValidationError, match="embargo"):
        Validation(embargo=embargo)


def test_an_embargo_may_be_a_quoted_number():
    assert Validation(embargo="60").embargo == 60


def test_only_an_embargo_in_timestamps_is_compared_with_the_horizon():
    def longer(embargo: int | str) -> Recipe:
        raw = load_recipe("index-hourly").model_dump()
        return Recipe.model_validate(raw | {"target": {"horizon": 3}, "validation": {"embargo": embargo}})

    with pytest.raises(ValidationError, match=r"embargo \(2\) must be at least target.horizon \(3\)"):
        longer(2)
    assert (longer(3).validation.embargo, longer("5min").validation.embargo) == (3, "5min")
