"""Moving windows, single and many, against slices of the series; and that a window begun anew remembers nothing."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.features.base import Floats
from data.features.rolling import deviation, mean, mean_of_last, push, window
from data.features.windows import (
    begin_extremes,
    begin_windows,
    extremes,
    push_extremes,
    push_windows,
    window_deviation,
    window_mean,
    windows,
)

LENGTHS = (2, 5, 20)
PARTS = ("mean", "deviation", "low", "high")


def slide(values: Floats, lengths: tuple[int, ...] = LENGTHS) -> dict[str, Floats]:
    """Mean, deviation, lowest and highest of each window after each value, (n, len(lengths)) each."""
    w, e = np.zeros(1, windows(lengths))[0], np.zeros(1, extremes(lengths))[0]
    begin_windows(w, values[0])
    begin_extremes(e, values[0])
    out = {part: np.empty((len(values), len(lengths))) for part in PARTS}
    for i, value in enumerate(values):
        push_windows(w, lengths, value)
        push_extremes(e, w, lengths, value)
        out["mean"][i] = [window_mean(w, k, n) for k, n in enumerate(lengths)]
        out["deviation"][i] = [window_deviation(w, k, n) for k, n in enumerate(lengths)]
        out["low"][i], out["high"][i] = e["low"], e["high"]
    return out


def obvious(values: Floats, row: int, length: int) -> dict[str, float]:
    last = values[row + 1 - length : row + 1]
    return {"mean": last.mean(), "deviation": last.std(), "low": last.min(), "high": last.max()}


def agree(values: Floats, lengths: tuple[int, ...] = LENGTHS, tolerance: float = 1e-9) -> None:
    got = slide(values, lengths)
    for k, length in enumerate(lengths):
        for row in range(length - 1, len(values)):
            for part, value in obvious(values, row, length).items():
                assert got[part][row, k] == pytest.approx(value, rel=0, abs=tolerance), (part, length, row)


cents = st.lists(st.integers(-300, 300), min_size=1, max_size=80).map(lambda steps: 150 + np.cumsum(steps) / 100)


@given(values=cents)
@settings(max_examples=60)
def test_every_full_window_is_what_its_slice_says(values: Floats) -> None:
    agree(values)


@pytest.mark.parametrize("lengths", [(3,), (2, 40), (5, 10, 14, 20, 50)])
def test_any_lengths_will_do(lengths: tuple[int, ...]) -> None:
    agree(150 + np.cumsum(np.random.default_rng(2).integers(-3, 4, 200)) / 100, lengths)


@pytest.mark.parametrize("shape", ["rising", "falling", "flat", "steps", "jump"])
def test_extremes_leave_and_tie_as_they_should(shape: str) -> None:
    at = np.arange(90.0)
    shapes = {"rising": at, "falling": -at, "flat": 0 * at, "steps": at // 7 % 3, "jump": 100.0 * (at == 40)}
    agree(shapes[shape])


def test_a_window_of_one_value_has_that_mean_and_no_deviation_to_the_last_bit() -> None:
    values = np.concatenate([150 + np.random.default_rng(0).normal(0, 3, 40), np.full(25, 0.1)])
    got = slide(values)
    for k, length in enumerate(LENGTHS):
        flat = np.arange(40 + length - 1, len(values))
        assert (got["deviation"][flat, k] == 0.0).all()
        assert (got["mean"][flat, k] == 0.1).all()
        assert got["deviation"][flat[0] - 1, k] > 0.0


def test_a_high_level_and_a_long_history_cost_no_digits() -> None:
    values = 1e6 + np.round(np.cumsum(np.random.default_rng(1).integers(-1, 2, 20_000)) * 0.01, 2)
    got = slide(values, (5, 50))
    for row in range(19_900, 20_000):
        for k, length in enumerate((5, 50)):
            exact = obvious(values - 1e6, row, length)
            assert got["deviation"][row, k] == pytest.approx(exact["deviation"], abs=1e-9)
            assert got["mean"][row, k] - 1e6 == pytest.approx(exact["mean"], abs=1e-9)


OUTLIERS = st.sampled_from([1e5, 1e7, 1e9, 1e12])
with_outliers = st.lists(
    st.one_of(st.integers(1, 500).map(float), st.integers(1, 500).map(float), OUTLIERS), min_size=40
)


def to_the_digit(values: Floats) -> tuple[float, float]:
    """Mean and population deviation, by arithmetic without rounding."""
    exact = [Fraction(float(v)) for v in values]
    centre = sum(exact, Fraction()) / len(exact)
    return float(centre), math.sqrt(sum(((v - centre) ** 2 for v in exact), Fraction()) / len(exact))


def agree_to_the_digit(values: Floats, lengths: tuple[int, ...] = (2, 5, 13)) -> None:
    """Both kinds of windows, relative to the result: nothing of what has left may show."""
    got, single = slide(values, lengths), np.zeros(1, window(13))[0]
    for row in range(len(values)):
        push(single, values[row], row % 13)
        for k, length in enumerate(lengths):
            if row + 1 < length:
                continue
            expected = to_the_digit(values[row + 1 - length : row + 1])
            found = [(got["mean"][row, k], got["deviation"][row, k])]
            found += [(mean(single), deviation(single))] if length == 13 else []
            assert all(f == pytest.approx(expected, rel=1e-11, abs=0) for f in found), (length, row)


@given(values=with_outliers)
@settings(max_examples=30)
def test_an_outlier_that_has_left_takes_no_digits_with_it(values: list[float]) -> None:
    agree_to_the_digit(np.array(values))


@pytest.mark.parametrize("level", [1e4, 1e7, 1e10])
def test_a_new_level_keeps_the_digits_of_what_happens_on_it(level: float) -> None:
    walk = np.cumsum(np.random.default_rng(5).integers(-2, 3, 60))
    agree_to_the_digit(np.where(np.arange(60) < 25, 1.0, level) + walk)


def test_a_window_that_stands_still_after_an_outlier_has_exactly_no_deviation() -> None:
    values = np.concatenate([[1e12], np.full(40, 0.1), [3.0], np.full(40, 0.7)])
    agree_to_the_digit(values)
    assert slide(values, (13,))["deviation"][[13, 40, 60], 0].tolist() == [0.0, 0.0, 0.0]


@given(before=cents, value=st.floats(0.01, 1e6))
@settings(max_examples=25)
def test_what_is_begun_anew_is_fresh_in_every_byte(before: Floats, value: float) -> None:
    used, fresh = np.zeros(1, windows(LENGTHS)), np.zeros(1, windows(LENGTHS))
    used_range, fresh_range = np.zeros(1, extremes(LENGTHS)), np.zeros(1, extremes(LENGTHS))
    begin_windows(used[0], before[0])
    begin_extremes(used_range[0], before[0])
    for v in before:
        push_windows(used[0], LENGTHS, v)
        push_extremes(used_range[0], used[0], LENGTHS, v)
    assert used.tobytes() != fresh.tobytes()
    for w, e in ((used, used_range), (fresh, fresh_range)):
        begin_windows(w[0], value)
        begin_extremes(e[0], value)
    assert used.tobytes() == fresh.tobytes()
    assert used_range.tobytes() == fresh_range.tobytes()


@given(values=cents)
@settings(max_examples=40)
def test_the_single_window_agrees_with_its_slice_once_it_has_turned(values: Floats) -> None:
    length = 7
    w = np.zeros(1, window(length))[0]
    for i, value in enumerate(values):
        push(w, value, i % length)
        if i >= 2 * length:
            expected = obvious(values, i, length)
            assert mean(w) == pytest.approx(expected["mean"], abs=1e-9)
            assert deviation(w) == pytest.approx(expected["deviation"], abs=1e-6)
            assert mean_of_last(w["ring"], i % length, 3) == pytest.approx(obvious(values, i, 3)["mean"], abs=1e-9)
