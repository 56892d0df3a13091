"""Targets: what the table runs on every one, and the five actions to the letter."""

from __future__ import annotations

from datetime import time
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bellwether.actions import ACTIONS, SCORES
from bellwether.config.recipe import Session, Target
from bellwether.errors import ConfigError, DataError, UnknownName
from bellwether.models.base import Task
from data.options import checked
from data.records import RECORDS, TIME
from data.targets import TARGETS, target_kind
from data.targets.action import ACTION_5
from data.targets.base import NEVER, TargetKind
from data.targets.direction import DIRECTION
from data.targets.market_direction import MARKET_DIRECTION
from data.targets.mid_price import MID_PRICE
from data.targets.return_bucket import RETURN_BUCKET
from data.targets.sell_rate import SELL_RATE, SELL_RATE_HIGH, SELL_RATE_IDENTITY
from data.targets.series import columns, series
from data.targets.triple_barrier import TRIPLE_BARRIER

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
@settings(deadline=None, max_examples=40)
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


@settings(deadline=None)
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


@settings(deadline=None)
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


# the others


def classes(kind: TargetKind, value: list[float], **given: Any) -> list[str]:
    """Class names of the rows that have an outcome."""
    ts, target = np.arange(len(value)) * 10**9, of(kind, **given)
    outcome, _ = kind.outcome(ts, np.array(value), SESSION, target)
    known = outcome[np.isfinite(outcome)]
    return [kind.classes[y] for y in kind.encode(known, kind.fit(known, target))]


def test_direction_is_the_sign_of_the_move_and_no_move_is_flat() -> None:
    assert classes(DIRECTION, [100, 101, 101, 99]) == ["up", "flat", "down"]
    assert classes(DIRECTION, [100, 101, 101, 99, 101], horizon=2) == ["up", "down", "flat"]


def test_buckets_have_the_edges_given_or_the_quintiles_of_training_rows() -> None:
    moves = np.array([-0.02, -0.007, 0.0, 0.007, 0.02, -0.01])
    value = 100 * np.cumprod([1.0, *(1 + moves)])
    assert classes(RETURN_BUCKET, value.tolist())[:5] == list(RETURN_BUCKET.classes)
    target = of(RETURN_BUCKET, options={"edges": "quantiles"})
    returns = np.random.default_rng(0).normal(0, 1e-5, 10_000)  # where fixed edges would leave one class
    y = RETURN_BUCKET.encode(returns, RETURN_BUCKET.fit(returns, target))
    assert (np.abs(np.bincount(y) - 2_000) < 150).all()
    for alike in ([0.0] * 100, [0.0, 0.01, -0.01]):
        with pytest.raises(DataError, match="none differs in size from another"):
            RETURN_BUCKET.fit(np.array(alike), target)
    with pytest.raises(ConfigError, match="edges must rise"):
        RETURN_BUCKET.fit(returns, of(RETURN_BUCKET, options={"edges": (0.0, 0.0, 0.1, 0.2)}))


@settings(deadline=None, max_examples=80)
@given(ticks=st.lists(st.integers(-4, 4), min_size=2, max_size=60))
def test_buckets_of_prices_on_a_grid_of_ticks_mirror_each_other_and_no_move_is_flat(ticks: list[int]) -> None:
    target, moves = of(RETURN_BUCKET, options={"edges": "quantiles"}), 1e-4 * np.array(ticks)
    assume(len({abs(t) for t in ticks if t}) > 1)
    edges = RETURN_BUCKET.fit(moves, target)
    assert (np.diff(edges) > 0).all()
    y = RETURN_BUCKET.encode(moves, edges)
    np.testing.assert_array_equal(RETURN_BUCKET.encode(-moves, edges), 4 - y)
    assert (y[moves == 0.0] == 2).all()
    largest = np.abs(moves) == np.abs(moves).max()
    assert set(y[largest]) <= {0, 4}


def test_two_mids_that_are_equal_in_cents_have_not_moved() -> None:
    mids = [(30.01 + 30.03) / 2, (30.00 + 30.04) / 2, (30.02 + 30.02) / 2]
    assert len(set(mids)) > 1  # in the last bit
    assert classes(DIRECTION, mids) == ["flat", "flat"]


EVENTS = pytest.mark.parametrize("kind", [TRIPLE_BARRIER, MARKET_DIRECTION, DIRECTION], ids=lambda kind: kind.kind)


@EVENTS
def test_which_rows_have_an_outcome_does_not_depend_on_what_became_of_them(kind: TargetKind) -> None:
    ts = np.concatenate(
        [
            pd.Timestamp(day, tz="UTC").value + 10**9 * np.arange(60)
            for day in pd.bdate_range("2025-03-03 15:00", periods=40)
        ]
    )
    target = of(kind, horizon=20, overnight="drop", options=SECONDS.get(kind.kind, {}))
    known = [np.isfinite(kind.outcome(ts, walk(2400, seed), SESSION, target)[0]) for seed in range(3)]
    in_session = np.arange(2400) % 60
    for rows in known:
        np.testing.assert_array_equal(rows[200:], known[0][200:])
        assert not rows[in_session >= 40].any()
        assert rows[200:][in_session[200:] < 40].all()


SECONDS = {"market_direction": {"seconds": 20}}


def test_the_mid_price_is_a_level_some_rows_ahead() -> None:
    for horizon in range(1, 13):
        outcome, _ = MID_PRICE.outcome(np.arange(20), np.arange(1.0, 21.0), SESSION, of(MID_PRICE, horizon=horizon))
        np.testing.assert_array_equal(outcome[:-horizon], np.arange(1.0 + horizon, 21.0))


def test_the_sell_rate_is_the_next_intervals_and_the_identity_says_what_it_is() -> None:
    ts, rate = np.arange(4), np.array([0.4, 0.6, 0.5, 0.7])
    np.testing.assert_array_equal(SELL_RATE.outcome(ts, rate, SESSION, of(SELL_RATE))[0], [0.6, 0.5, 0.7, np.nan])
    np.testing.assert_array_equal(SELL_RATE_IDENTITY.outcome(ts, rate, SESSION, of(SELL_RATE_IDENTITY))[0], rate)
    assert [kind.kind for kind in map(target_kind, TARGETS) if kind.identity] == ["sell_rate_identity"]
    assert SELL_RATE_HIGH.fit(np.array([0.6, 0.5, 0.7]), of(SELL_RATE_HIGH)).tolist() == [0.6]


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(st.integers(0, 7), min_size=1, max_size=40),
    seconds=st.integers(1, 9),
    cost=st.sampled_from([0.0, 1.0, 50.0]),
)
def test_market_direction_reads_the_last_mid_within_the_span(steps: list[int], seconds: int, cost: float) -> None:
    ts, mid = np.cumsum(steps) * 10**9, walk(len(steps))
    target = of(MARKET_DIRECTION, options={"seconds": seconds, "cost_bp": cost})
    outcome, t1 = MARKET_DIRECTION.outcome(ts, mid, SESSION, target)
    for row, now in enumerate(ts):
        until = now + seconds * 10**9
        if until > ts[-1]:
            assert np.isnan(outcome[row])
            continue
        last = max(k for k, at in enumerate(ts) if at <= until)
        assert (outcome[row], t1[row]) == (mid[last] / mid[row] - 1.0, until)
        move = MARKET_DIRECTION.encode(outcome[row : row + 1], MARKET_DIRECTION.fit(outcome, target))[0] - 1
        assert move == int(outcome[row] > cost * 1e-4) - int(outcome[row] < -cost * 1e-4)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), horizon=st.integers(1, 12), take=st.floats(0.3, 3), stop=st.floats(0.3, 3))
def test_the_first_barrier_touched_decides(seed: int, horizon: int, take: float, stop: float) -> None:
    ts, value, span = np.arange(80), walk(80, seed), 10
    value[np.random.default_rng(seed).random(80) < 0.05] = np.nan
    target = of(TRIPLE_BARRIER, horizon=horizon, options={"take": take, "stop": stop, "span": span})
    outcome, t1 = TRIPLE_BARRIER.outcome(ts, value, SESSION, target)
    returns = pd.Series(value).dropna().pct_change()
    mean_square = (returns.dropna() ** 2).ewm(span=span, adjust=False).mean().reindex(range(80))
    volatility = np.sqrt(mean_square.where(returns.reindex(range(80)).notna().cumsum() >= span))
    for row in range(80):
        assert (outcome[row], t1[row]) == pytest.approx(
            slow_touch(value, volatility[row], row, horizon, take, stop), nan_ok=True
        )


def slow_touch(value: Any, width: float, row: int, horizon: int, take: float, stop: float) -> tuple[float, int]:
    if np.isnan(width) or row + horizon >= len(value):
        return np.nan, NEVER
    for k in range(row + 1, min(row + horizon + 1, len(value))):
        if value[k] >= value[row] * (1 + take * width):
            return 1.0, k
        if value[k] <= value[row] * (1 - stop * width):
            return -1.0, k
    return 0.0, row + horizon


def test_a_price_is_a_close_a_trade_or_a_mid_and_a_rate_is_a_factor() -> None:
    ts = pa.array([1, 2], pa.int64()).cast(TIME)
    book = pa.table({"ts_event": ts, "bid_px_1": [99.0, None], "ask_px_1": [101.0, 102.0]})
    np.testing.assert_array_equal(series("books", MID_PRICE, book)[1], [100.0, np.nan])
    long = pa.table({"ts_event": ts, "factor": ["initiative_buy_rate", "initiative_sell_rate"], "value": [0.6, 0.4]})
    assert [part.tolist() for part in series("factors", SELL_RATE, long)] == [[2], [0.4]]
    for record, name in (("bars", "close"), ("ticks", "price")):
        assert series(record, DIRECTION, pa.table({"ts_event": ts, name: [1.0, 2.0]}))[1].tolist() == [1.0, 2.0]
