"""Targets: what the table runs on every one, and the five actions to the letter."""

from __future__ import annotations

from datetime import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bellwether.actions import ACTIONS, SCORES
from bellwether.config.sections import Session, Target
from bellwether.errors import ConfigError, DataError, UnknownName
from bellwether.models.base import Task
from data.options import checked
from data.records import RECORDS
from data.targets import TARGETS, target_kind
from data.targets.action import ACTION_5
from data.targets.base import NEVER, TargetKind
from data.targets.series import columns

every_target = pytest.mark.parametrize("kind", [target_kind(name) for name in TARGETS], ids=lambda kind: kind.kind)
HOUR = 3_600_000_000_000
SESSION = Session()
RETURNS = st.floats(-0.5, 0.5)


def grid(sessions: int, zone: str = "America/New_York", first: str = "2025-03-03") -> np.ndarray:
    """Hourly closes, seven a local weekday, over a change of the clocks."""
    days = pd.bdate_range(first, periods=sessions, tz=zone)
    return np.array([(day + pd.Timedelta(hours=10 + h)).as_unit("ns").value for day in days for h in range(7)])


def walk(rows: int, seed: int = 0) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, rows)))


# every target


def of(kind: TargetKind, **given: Any) -> Target:
    return Target(kind=kind.kind, **given)


@every_target
@pytest.mark.parametrize("horizon", [1, 3, 9, 500])
def test_an_outcome_is_known_when_it_says_and_not_before(kind: TargetKind, horizon: int) -> None:
    ts, value = grid(30), walk(210)
    outcome, t1 = kind.outcome(ts, value, SESSION, of(kind, horizon=horizon))
    assert outcome.shape == t1.shape == (210,)
    assert np.isnan(outcome[t1 == NEVER]).all()
    known = t1 != NEVER
    assert (t1[known] == ts[known]).all() if kind.identity else (t1[known] > ts[known]).all()
    assert known.any() == (kind.identity or horizon < 210 or kind.kind == "market_direction")
    if not kind.identity:
        assert t1[-1] == NEVER


@every_target
@settings(max_examples=40)
@given(data=st.data())
def test_an_outcome_does_not_know_what_comes_after_its_t1(kind: TargetKind, data: st.DataObject) -> None:
    ts, value = grid(20), walk(140, seed=3)
    overnight = data.draw(st.sampled_from(["keep", "drop"]))
    target = of(kind, horizon=data.draw(st.integers(1, 5)), overnight=overnight)
    before = kind.outcome(ts, value, SESSION, target)
    row = data.draw(st.sampled_from(np.flatnonzero(before[1] != NEVER).tolist()))
    after_t1, shocked = ts > before[1][row], value.copy()
    shocked[after_t1] *= data.draw(arrays(float, int(after_t1.sum()), elements=st.floats(0.2, 5.0)))
    after = kind.outcome(ts, shocked, SESSION, target)
    assert np.array_equal(before[0][row], after[0][row], equal_nan=True)
    assert before[1][row] == after[1][row]
    if kind.kind not in ("market_direction", "triple_barrier"):  # theirs waits until the whole span is there
        end = int((~after_t1).sum())
        cut = kind.outcome(ts[:end], value[:end], SESSION, target)
        assert np.array_equal(cut[0][row], before[0][row], equal_nan=True)
        assert cut[1][row] == before[1][row]


@every_target
def test_classes_are_positions_in_order_and_edges_come_from_the_rows_given(kind: TargetKind) -> None:
    ts, value = grid(300), walk(2100)
    outcome, _ = kind.outcome(ts, value, SESSION, target := of(kind, options=OPTIONS.get(kind.kind, {})))
    outcome = outcome[np.isfinite(outcome)]
    edges = kind.fit(outcome[:300], target)
    np.testing.assert_array_equal(edges, kind.fit(outcome[:300].copy(), target))
    if kind.kind in ("action_5", "return_bucket", "sell_rate_high"):
        assert not np.array_equal(edges, kind.fit(outcome, target))
    y = kind.encode(outcome, edges)
    if kind.task is Task.REGRESS:
        assert kind.classes == ()
        np.testing.assert_array_equal(y, outcome)
        return
    assert len(edges) in (0, len(kind.classes) - 1)
    assert y.dtype == np.int64
    assert set(y) <= set(range(len(kind.classes)))
    assert {0, len(kind.classes) - 1} <= set(y)
    assert (np.diff(y[np.argsort(outcome)]) >= 0).all()
    with pytest.raises(DataError, match="must be finite: row 0 has nan"):
        kind.encode(np.array([np.nan]), edges)


OPTIONS = {"return_bucket": {"edges": "quantiles"}, "market_direction": {"seconds": 5 * 3600}}
"""Options with which a target has something to say about hourly rows."""


@every_target
def test_options_it_does_not_know_are_refused(kind: TargetKind) -> None:
    with pytest.raises(ConfigError, match="colour: Extra inputs"):
        checked(f"target {kind.kind!r}", kind.options, {"colour": "red"})


@every_target
def test_rows_that_are_no_history_are_refused(kind: TargetKind) -> None:
    ts, value, target = grid(1), walk(7), of(kind)
    with pytest.raises(DataError, match="7 times and 6 values"):
        kind.outcome(ts, value[1:], SESSION, target)
    with pytest.raises(DataError, match="must not fall: row 1"):
        kind.outcome(ts[::-1], value, SESSION, target)
    for wrong in (np.inf, 0.0, -1.0) if kind.reads == "price" else (np.inf,):
        value[3] = wrong
        with pytest.raises(DataError, match=f"row 3 has {wrong}"):
            kind.outcome(ts, value, SESSION, target)


@every_target
def test_a_row_without_a_value_has_no_outcome_and_costs_no_other_row_its_own(kind: TargetKind) -> None:
    ts, value = grid(30), walk(210)
    value[100] = np.nan
    outcome, _ = kind.outcome(ts, value, SESSION, of(kind))
    whole, _ = kind.outcome(ts, walk(210), SESSION, of(kind))
    assert 1 <= (np.isfinite(whole) & ~np.isfinite(outcome)).sum() <= 2


@every_target
def test_it_reads_a_series_some_record_has(kind: TargetKind) -> None:
    readable = [record for record in RECORDS if record != "deltas" and reads(record, kind)]
    assert readable == (["bars", "ticks", "books"] if kind.reads == "price" else ["factors"])
    with pytest.raises(ConfigError, match="the recipe's record is deltas"):
        columns("deltas", kind)


def reads(record: str, kind: TargetKind) -> bool:
    try:
        return bool(columns(record, kind))
    except ConfigError:
        return False


def test_no_bars_have_no_outcomes() -> None:
    outcome, t1 = ACTION_5.outcome(np.empty(0, np.int64), np.empty(0), SESSION, Target(overnight="drop"))
    assert len(outcome) == len(t1) == 0


def test_an_unknown_target_lists_the_known() -> None:
    with pytest.raises(UnknownName, match="no target 'action_7'; known: action_5, direction"):
        target_kind("action_7")


# the five actions


def test_the_outcome_is_the_simple_return_over_the_horizon() -> None:
    close = np.array([100.0, 110.0, 99.0, 99.0, 198.0])
    ts = grid(1)[:5]
    one, _ = ACTION_5.outcome(ts, close, SESSION, Target())
    np.testing.assert_allclose(one, [0.1, -0.1, 0.0, 1.0, np.nan])
    two, t1 = ACTION_5.outcome(ts, close, SESSION, Target(horizon=2))
    np.testing.assert_allclose(two, [-0.01, -0.1, 1.0, np.nan, np.nan])
    assert t1[0] == ts[2]


@pytest.mark.parametrize("horizon", [1, 2, 7])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_dropping_the_night_leaves_out_rows_whose_outcome_is_on_another_local_date(horizon: int, zone: str) -> None:
    ts, close = grid(10, zone), walk(70)
    session = Session(timezone=zone, opens=time(9), closes=time(16))
    kept, t1 = ACTION_5.outcome(ts, close, session, Target(horizon=horizon))
    dropped, same_t1 = ACTION_5.outcome(ts, close, session, Target(horizon=horizon, overnight="drop"))
    dates = pd.DatetimeIndex(ts, tz="UTC").tz_convert(zone).date
    tomorrow = np.array([i + horizon >= 70 or dates[i + horizon] != dates[i] for i in range(70)])
    assert np.isnan(dropped[tomorrow]).all()
    np.testing.assert_array_equal(dropped[~tomorrow], kept[~tomorrow])
    np.testing.assert_array_equal(t1, same_t1)
    assert tomorrow.sum() == 10 * min(horizon, 7)


@given(arrays(float, st.integers(5, 60), elements=RETURNS))
def test_edges_are_symmetric_quantiles_of_size_or_a_clear_refusal(outcome: np.ndarray) -> None:
    low, high = np.quantile(np.abs(outcome), [0.4, 0.8])
    if not 0.0 < low < high:
        with pytest.raises(DataError, match="five classes need 0 < first < second"):
            ACTION_5.fit(outcome, Target())
        return
    np.testing.assert_array_equal(ACTION_5.fit(outcome, Target()), [-high, -low, low, high])


def test_edges_cut_training_rows_into_the_stated_shares() -> None:
    outcome = np.random.default_rng(0).normal(0, 0.01, 10_000)
    y = ACTION_5.encode(outcome, ACTION_5.fit(outcome, Target()))
    shares = np.bincount(y) / len(y)
    assert shares[2] == pytest.approx(0.4, abs=1e-3)
    assert shares[1] + shares[3] == pytest.approx(0.4, abs=1e-3)
    assert shares[0] + shares[4] == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (np.zeros(50), "50 training rows are 0.0 and 0.0"),
        (np.repeat([0.0, 0.01, -0.02], [45, 30, 25]), "are 0.0 and 0.02"),
        (np.full(50, -0.01), "are 0.01 and 0.01"),
        (np.empty(0), "no training returns"),
        (np.array([0.01, np.nan]), "row 1 has nan"),
        (np.array([np.inf, 0.01]), "row 0 has inf"),
    ],
)
def test_returns_that_cannot_be_cut_into_five_are_refused_with_the_figures(outcome: np.ndarray, says: str) -> None:
    with pytest.raises(DataError, match=says):
        ACTION_5.fit(outcome, Target())


def test_a_return_of_exactly_an_edge_is_the_larger_move() -> None:
    edges = np.array([-0.02, -0.01, 0.01, 0.02])
    below, above = np.nextafter(edges, -1), np.nextafter(edges, 1)
    assert ACTION_5.encode(edges, edges).tolist() == [0, 1, 3, 4]
    assert ACTION_5.encode(below, edges).tolist() == [0, 1, 2, 3]
    assert ACTION_5.encode(above, edges).tolist() == [1, 2, 3, 4]
    assert ACTION_5.encode(np.array([0.0, -0.0]), edges).tolist() == [2, 2]


@given(
    outcome=arrays(float, 40, elements=st.one_of(RETURNS, st.sampled_from([0.01, -0.01, 0.02, -0.02]))),
    low=st.floats(1e-6, 0.05),
    more=st.floats(1e-6, 0.05),
)
def test_a_mirrored_market_gets_mirrored_actions(outcome: np.ndarray, low: float, more: float) -> None:
    for edges in (np.array([-low - more, -low, low, low + more]), np.array([-0.02, -0.01, 0.01, 0.02])):
        np.testing.assert_array_equal(ACTION_5.encode(-outcome, edges), 4 - ACTION_5.encode(outcome, edges))


def test_classes_are_the_actions_and_their_scores_rise() -> None:
    assert ACTION_5.classes == ACTIONS
    assert ACTION_5.task is Task.CLASSIFY
    y = ACTION_5.encode(np.array([-1.0, -0.015, 0.0, 0.015, 1.0]), np.array([-0.02, -0.01, 0.01, 0.02]))
    assert [SCORES[k] for k in y] == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize("edges", [[0.1], [-1.0, 0.0, 0.0, 1.0], [1.0, 0.5, -0.5, -1.0], [np.nan, -0.1, 0.1, 0.2]])
def test_edges_that_are_not_four_that_rise_are_refused(edges: list[float]) -> None:
    with pytest.raises(DataError, match="four edges that rise"):
        ACTION_5.encode(np.zeros(3), np.array(edges))


def test_an_unknown_outcome_is_not_quietly_a_class() -> None:
    with pytest.raises(DataError, match="row 1 has nan"):
        ACTION_5.encode(np.array([0.0, np.nan]), np.array([-0.02, -0.01, 0.01, 0.02]))
