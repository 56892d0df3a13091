"""What every drift detector keeps to: silent where nothing moved, heard where something did, the same once restored."""

from __future__ import annotations

import functools
import json
import operator
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import binom

from bellwether.drift import detector, detector_names, restored
from bellwether.drift.base import Reference
from bellwether.drift.psi import EXTRA, psi
from bellwether.drift.usual import least_windows, share_above, windows
from bellwether.errors import DataError, ModelError, UnknownName

NAMES = ("a", "b", "c")
BARS, WINDOWS, SYMBOLS, LEVEL = 40, 39, 2, 0.05
TRAINED = BARS * WINDOWS

each = pytest.mark.parametrize("name", detector_names())


def market(seed: int, *, memory: float = 0.0, bars: int = TRAINED + BARS) -> np.ndarray:
    """Features (bars, symbols, features) of one law throughout; with ``memory``, each follows from the one before."""
    noise = np.random.default_rng(seed).normal(size=(bars + 200, SYMBOLS, len(NAMES)))
    return lfilter([np.sqrt(1.0 - memory**2)], [1.0, -memory], noise, axis=0)[200:]


def reference(x: np.ndarray, level: float = LEVEL) -> Reference:
    """Of features (bars, symbols, features)."""
    ts = np.repeat(np.arange(len(x)) * 10, SYMBOLS)
    return Reference(x=x.reshape(-1, x.shape[2]), ts=ts, names=NAMES, bars=BARS, level=level)


def rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[2])


def found(name: str, x: np.ndarray, later: np.ndarray):
    """What a detector that is fitted on ``x`` says of what came later."""
    fitted = detector(name).fit(reference(x))
    return fitted.judge(fitted.tally(rows(later)))


# --- silent, and heard ---------------------------------------------------------------------------


@each
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_on_a_market_that_stays_as_it_is_alarms_are_as_rare_as_the_level_says(name, memory):
    """Also where rows resemble their neighbours, which makes windows stray further by themselves."""
    seeds = 400
    cut = [(m[:TRAINED], m[TRAINED:]) for m in (market(seed, memory=memory) for seed in range(seeds))]
    said = [found(name, *one) for one in cut]
    low, high = binom.interval(0.999, seeds, share_above(WINDOWS, LEVEL))
    assert low <= sum(one.moved for one in said) <= high
    parts = [part.moved for one in said for part in one.parts]
    fitted = detector(name).fit(reference(cut[0][0]))
    assert np.mean(parts) * len(NAMES) == pytest.approx(fitted.chance, rel=0.4)


@each
@pytest.mark.parametrize("change", [lambda x: x + 1.0, lambda x: x - 1.0, lambda x: 2.0 * x, lambda x: 0.3 * x])
@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_a_shift_of_mean_or_variance_is_heard(name, change, memory):
    for seed in range(20):
        x = market(seed, memory=memory)
        assert found(name, x[:TRAINED], change(x[TRAINED:])).moved, seed


@each
def test_the_feature_that_moved_is_the_one_that_is_named(name):
    x = market(1)
    x[TRAINED:, :, 1] += 1.0
    said = found(name, x[:TRAINED], x[TRAINED:])
    assert [part.name for part in said.parts if part.moved] == ["b"]
    assert said.moved


@each
def test_a_value_that_most_rows_share_may_move_to_either_side(name):
    x = market(2)
    x[..., 1] = 0.0
    for change in (1e-4, -1e-4, -3.0):
        later = x[TRAINED:].copy()
        later[: BARS // 2, :, 1] = change
        assert [part.moved for part in found(name, x[:TRAINED], later).parts] == [False, True, False]
        same = found(name, x[:TRAINED], x[TRAINED:]).parts[1]
        assert (same.score, same.usual, same.moved) == (0.0, 0.0, False)


# --- too little to say ---------------------------------------------------------------------------


@each
def test_where_the_reference_makes_too_few_windows_it_says_so(name):
    least = least_windows(LEVEL)
    short = market(3)[: least * BARS - 1]
    assert detector(name).fit(reference(short)) == (
        "the training rows make 18 windows of 40 bars, and 19 say what is usual"
    )
    assert detector(name).fit(reference(market(3)[: least * BARS])).windows == least
    assert isinstance(detector(name).fit(reference(market(3), level=0.001)), str)


@each
def test_a_window_of_few_rows_is_not_judged(name):
    x = market(4)
    said = found(name, x[:TRAINED], x[TRAINED : TRAINED + 30])
    assert said == "the window has 60 rows whose features are known; windows of the reference had 80"


@each
def test_values_that_are_not_finite_are_refused_by_name(name):
    x = market(5)[:TRAINED]
    fitted = detector(name).fit(reference(x))
    x[3, 0, 2] = np.nan
    with pytest.raises(DataError, match="c is not finite in 1 of"):
        detector(name).fit(reference(x))
    with pytest.raises(DataError, match="c is not finite in 1 of 80 rows"):
        fitted.tally(rows(x[:BARS]))
    with pytest.raises(DataError, match="3 features"):
        fitted.tally(np.zeros((4, 2)))


# --- one in several processes, and after a restart -----------------------------------------------


@each
def test_tallies_of_parts_add_up_to_that_of_the_whole(name):
    x = market(6)
    fitted, later = detector(name).fit(reference(x[:TRAINED])), rows(x[TRAINED:])
    parts = [fitted.tally(part) for part in (later[:7], later[7:7], later[7:])]
    np.testing.assert_array_equal(sum(parts), fitted.tally(later))


@each
def test_it_says_the_same_after_its_state_went_through_json(name):
    x = market(7)
    x[..., 0] = np.round(x[..., 0])  # values that lie on edges
    fitted = detector(name).fit(reference(x[:TRAINED]))
    state = json.loads(json.dumps(fitted.state(), allow_nan=False))
    again = restored(state)
    assert again.state() == state
    assert (again.bars, again.level, again.windows, again.chance) == (BARS, LEVEL, WINDOWS, fitted.chance)
    tally = fitted.tally(rows(x[TRAINED:]))
    np.testing.assert_array_equal(again.tally(rows(x[TRAINED:])), tally)
    assert again.judge(tally) == fitted.judge(tally)


@each
def test_a_damaged_state_is_refused(name):
    state = detector(name).fit(reference(market(8)[:TRAINED])).state()
    with pytest.raises(ModelError, match="damaged"):
        restored({key: value for key, value in state.items() if key != "bars"})
    with pytest.raises(ModelError, match="needs 'detector'"):
        restored({key: value for key, value in state.items() if key != "detector"})
    with pytest.raises(UnknownName, match="no drift detector 'other'; known: psi"):
        restored(state | {"detector": "other"})


def edited(state: dict, *, feature: str | None = None, **changes) -> dict:
    """A copy with other values: of the whole, or of a feature."""
    copy = json.loads(json.dumps(state))
    (copy if feature is None else copy["features"][feature]).update(changes)
    return copy


@pytest.fixture(scope="module")
def saved() -> dict:
    """A state of the index: nine edges and ten counts a feature."""
    return detector("psi").fit(reference(market(8)[:TRAINED])).state()


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("bars", 0, "bars is 0, and must be a whole number of at least 1"),
        ("bars", 40.5, "bars is 40.5"),
        ("bars", True, "bars is True"),
        ("rows", -80, "rows is -80"),
        ("rows", 10**30, "rows is 10000"),
        ("rows", 81, "3120 rows are counted, too few for 39 windows of 81 or more"),
        ("windows", 18, "windows is 18, and must be a whole number of at least 19"),
        ("windows", "39", "windows is '39'"),
        ("level", 0.0, "level is 0.0, and must be a number between 0 and 1"),
        ("level", 5e-324, "level is 5e-324, and must be a number between 0 and 1"),
        ("level", float("nan"), "level is nan"),
        ("usual", -0.1, "usual is -0.1, and must be a finite number of at least 0"),
        ("usual", float("inf"), "usual is inf"),
        ("usual", None, "usual is None"),
        ("features", {}, "features must be a mapping of at least one"),
        ("features", [1, 2], "features must be a mapping of at least one"),
    ],
)
def test_a_state_that_a_hand_has_spoilt_is_refused_with_what_the_figure_must_be(saved, key, value, why):
    with pytest.raises(ModelError, match=f"the state of psi is damaged .*{re.escape(why)}"):
        restored(edited(saved, **{key: value}))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("edges", [0.0, 1.0, 1.0], "b: edges are [0.0, 1.0, 1.0], and must be finite numbers, each above the one"),
        ("edges", [1.0, 0.0], "b: edges are [1.0, 0.0]"),
        ("edges", [0.0, float("nan")], "b: edges are [0.0, nan]"),
        ("edges", [0.0, "1"], "b: edges are [0.0, '1']"),
        ("edges", [[0.0], [1.0]], "b: edges are [[0.0], [1.0]]"),
        ("edges", [], "b: edges are []"),
        ("edges", 0.5, "b: edges is 0.5, and must be a list"),
        ("counts", [312] * 9, "and must be 10 whole numbers that count rows"),
        ("counts", [312], "and must be 10 whole numbers that count rows"),
        ("counts", 312, "b: counts is 312, and must be a list"),
        ("counts", [312] * 9 + [-1], "b: counts are"),
        ("counts", [312] * 9 + [312.5], "b: counts are"),
        ("counts", [0] * 10, "b: counts are"),
        ("counts", [10**18] * 10, "b: counts are"),
        ("counts", [313] * 10, "each feature must count the same rows, and they count 3120, 3130"),
        ("usual", "much", "b: usual is 'much'"),
    ],
)
def test_a_feature_that_a_hand_has_spoilt_is_named(saved, key, value, why):
    with pytest.raises(ModelError, match=re.escape(why)):
        restored(edited(saved, feature="b", **{key: value}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def places(value, way=()):
    """Ways to everything in a JSON value but itself."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*way, key)
            yield from places(value[key], (*way, key))


@given(data=st.data())
def test_whatever_stands_in_a_place_of_a_state_it_is_refused_or_judges_in_finite_figures(saved, data):
    state = edited(saved)
    *way, last = data.draw(st.sampled_from(list(places(state))))
    functools.reduce(operator.getitem, way, state)[last] = data.draw(JSON)
    try:
        fitted = restored(state)
    except (ModelError, UnknownName):
        return
    tally = fitted.tally(rows(market(11)[-BARS:]))
    said = fitted.judge(tally)
    assert np.isfinite([said.score, said.usual, *(f for part in said.parts for f in (part.score, part.usual))]).all()
    assert 0.0 <= fitted.chance <= len(fitted.names)
    assert restored(json.loads(json.dumps(fitted.state(), allow_nan=False))).judge(tally) == said


def test_a_contract_without_a_reference_says_why():
    assert restored({"reason": "it reads prices"}) == "it reads prices"
    assert "train it again" in restored({})


# --- the index -----------------------------------------------------------------------------------


def plain_psi(window: list[int], reference: list[int]) -> float:
    """The slow and obvious one."""
    total = 0.0
    for w, r in zip(window, reference, strict=True):
        p = (w + EXTRA) / (sum(window) + EXTRA * len(window))
        q = (r * sum(window) / sum(reference) + EXTRA) / (sum(window) + EXTRA * len(reference))
        total += (p - q) * np.log(p / q)
    return total


def test_the_index_is_that_of_its_formula():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 9, (50, 10)), rng.integers(0, 99, (50, 10))
    wanted = [plain_psi(w.tolist(), r.tolist()) for w, r in zip(*counts, strict=True)]
    np.testing.assert_allclose(psi(*counts), wanted, atol=1e-12)


def test_each_window_of_the_reference_is_held_against_the_others():
    """The second largest of 39 leave-one-out indices is what a new one exceeds in 2 of 40 cases."""
    x = market(9)[:TRAINED]
    fitted = detector("psi").fit(reference(x))
    whole = fitted.tally(rows(x))
    scores = []
    for k in range(WINDOWS):
        inside = fitted.tally(rows(x[k * BARS : (k + 1) * BARS]))
        scores.append([plain_psi(w.tolist(), r.tolist()) for w, r in zip(inside, whole - inside, strict=True)])
    assert fitted.usual_each == pytest.approx(np.sort(scores, axis=0)[-2])
    assert fitted.usual == pytest.approx(np.sort(np.mean(scores, axis=1))[-2])


def test_windows_are_the_newest_whole_ones_however_many_symbols_share_a_timestamp():
    ts = np.array([30, 10, 20, 20, 20, 40, 50])
    assert windows(ts, 2).tolist() == [0, -1, 0, 0, 0, 1, 1]
    assert windows(ts, 6).tolist() == [-1] * 7
    assert windows(np.empty(0, np.int64), 3).tolist() == []


def test_rows_before_the_first_whole_window_are_of_the_reference_all_the_same():
    x = market(10)[: TRAINED + 15]
    fitted = detector("psi").fit(reference(x))
    assert fitted.windows == WINDOWS
    assert fitted.counts.sum(axis=1).tolist() == [len(rows(x))] * len(NAMES)
    shorter = detector("psi").fit(replace(reference(x), x=rows(x)[30:], ts=reference(x).ts[30:]))
    assert shorter.counts.sum(axis=1).tolist() == [len(rows(x)) - 30] * len(NAMES)
