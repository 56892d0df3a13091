"""What each target is, to the letter: directions, buckets, levels, rates, moves within a time, barriers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session, Target
from bellwether.errors import ConfigError, DataError
from data.records import TIME
from data.targets import TARGETS, target_kind
from data.targets.base import NEVER, TargetKind
from data.targets.direction import DIRECTION
from data.targets.market_direction import MARKET_DIRECTION
from data.targets.mid_price import MID_PRICE
from data.targets.return_bucket import RETURN_BUCKET
from data.targets.sell_rate import SELL_RATE, SELL_RATE_HIGH, SELL_RATE_IDENTITY
from data.targets.series import series
from data.targets.triple_barrier import TRIPLE_BARRIER

SESSION = Session()


def walk(rows: int, seed: int = 0) -> np.ndarray:
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, rows)))


def of(kind: TargetKind, **given: Any) -> Target:
    return Target(kind=kind.kind, **given)


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


@settings(max_examples=80)
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


@settings(max_examples=60)
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


@settings(max_examples=60)
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
