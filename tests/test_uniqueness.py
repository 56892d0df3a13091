"""Uniqueness: what a label shares with others of its symbol, in time, against counting moment by moment."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bellwether.errors import DataError
from bellwether.validation.uniqueness import NEVER, average_uniqueness, uniqueness_weights

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Labels = tuple[Ints, Ints, Ints]


@st.composite
def labels(draw: st.DrawFn) -> Labels:
    """Labels of up to three symbols: repeated times, no length at all, and some that never end."""
    rows = st.tuples(st.integers(0, 15), st.sampled_from([0, 0, 1, 2, 5, 12, None]), st.integers(0, 2))
    drawn = draw(st.lists(rows, max_size=14))
    ends = [NEVER if length is None else at + length for at, length, _ in drawn]
    return (
        np.array([r[0] for r in drawn], np.int64),
        np.array(ends, np.int64),
        np.array([r[2] for r in drawn], np.int64),
    )


def counted(ts: Ints, t1: Ints, who: Ints) -> list[float]:
    """The same, one label and one unit of time after the other, in fractions."""
    found = []
    for start, end, symbol in zip(ts.tolist(), t1.tolist(), who.tolist(), strict=True):
        lives = [(a, b) for a, b, s in zip(ts.tolist(), t1.tolist(), who.tolist(), strict=True) if s == symbol]
        lives = [(a, b) for a, b in lives if b != NEVER]
        if end == NEVER:
            found.append(np.nan)
        elif end == start:
            found.append(1.0 / sum(a <= start < b or a == b == start for a, b in lives))
        else:
            shares = [Fraction(1, sum(a <= moment < b for a, b in lives)) for moment in range(start, end)]
            found.append(float(sum(shares) / len(shares)))
    return found


@given(labels())
def test_it_is_what_counting_every_moment_gives(drawn):
    np.testing.assert_allclose(average_uniqueness(*drawn), counted(*drawn), rtol=1e-12)


@given(labels(), st.integers(0, 2**32 - 1))
def test_order_clock_and_unit_do_not_matter(drawn, seed):
    ts, t1, who = drawn
    order = np.random.default_rng(seed).permutation(len(ts))
    scaled = np.where(t1 == NEVER, NEVER, np.where(t1 == NEVER, 0, t1) * 1_000_000_007 + 1_700_000_000 * 10**9)
    straight = average_uniqueness(ts, t1, who)
    moved = average_uniqueness((ts * 1_000_000_007 + 1_700_000_000 * 10**9)[order], scaled[order], who[order])
    np.testing.assert_allclose(moved, straight[order], rtol=1e-12)


@given(labels())
def test_weights_have_mean_one_over_labelled_rows_and_none_elsewhere(drawn):
    weights, unique = uniqueness_weights(*drawn), average_uniqueness(*drawn)
    labelled = np.isfinite(unique)
    assert (weights[~labelled] == 0.0).all()
    if labelled.any():
        assert weights[labelled].mean() == pytest.approx(1.0)
        np.testing.assert_allclose(weights[labelled] / unique[labelled], weights[labelled][0] / unique[labelled][0])


@given(labels())
def test_lives_shared_out_add_up_to_the_time_in_which_any_label_lives(drawn):
    ts, t1, who = drawn
    known = t1 != NEVER
    lengths = np.where(known, t1, ts) - ts
    moments = {(s, m) for a, b, s in zip(ts[known], t1[known], who[known], strict=True) for m in range(a, b)}
    assert np.nansum(average_uniqueness(ts, t1, who) * lengths) == pytest.approx(len(moments))


def test_overlapping_bars_count_one_over_their_horizon():
    ts = np.arange(100)
    unique = average_uniqueness(ts, ts + 5, np.zeros(100, np.int64))
    np.testing.assert_allclose(unique[4:-4], 0.2)
    assert unique[0] > unique[1] > 0.2  # nothing comes before the first rows


def test_labels_that_only_touch_are_unique():
    ts = np.arange(10)
    assert average_uniqueness(ts, ts + 1, np.zeros(10, np.int64)).tolist() == [1.0] * 10


def test_symbols_do_not_share():
    ts, t1 = np.zeros(3, np.int64), np.full(3, 10)
    assert average_uniqueness(ts, t1, np.array([0, 1, 1])).tolist() == [1.0, 0.5, 0.5]


def test_a_microsecond_keeps_its_digits_after_thirty_years():
    rng = np.random.default_rng(0)
    starts = np.sort(rng.integers(0, 10**18, 20_000))
    ts, t1 = np.concatenate([starts, [10**18, 10**18]]), np.concatenate([starts + 10**14, [10**18 + 1000] * 2])
    assert t1[:-2].max() > 10**18  # long labels still live there
    late = average_uniqueness(ts, t1, np.zeros(len(ts), np.int64))[-2:]
    alive = int(((ts <= 10**18) & (t1 > 10**18)).sum())
    np.testing.assert_allclose(late, 1.0 / alive, rtol=1e-9)


def test_no_rows_have_no_weights():
    none = np.array([], np.int64)
    assert uniqueness_weights(none, none, none).tolist() == []


def test_rows_that_do_not_fit_are_refused():
    two, three = np.array([1, 2]), np.array([1, 2, 3])
    with pytest.raises(DataError, match="ts has 3 rows, t1 3 and who 2"):
        average_uniqueness(three, three, two)
    with pytest.raises(DataError, match="row 1: its outcome is known at 1"):
        average_uniqueness(two, np.array([1, 1]), two)
