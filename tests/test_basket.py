"""The basket, the clock, and the one way from bars to features."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.features import market as market_module
from data.features.base import Floats, Ints
from data.features.basket import basket
from data.features.clock import session_clock
from data.features.hourly import HOURLY
from data.features.market import MarketContext, component_features, component_inputs, market_context
from data.records import BARS, TIME

HOUR = 3_600_000_000_000
SYMBOLS = ("AAA", "BBB", "CCC")


class Fixed:
    """The same weights at all times from ``since`` on."""

    def __init__(self, weights: Sequence[float], since: int = 0) -> None:
        self.weights, self.since = np.array(weights), since

    def matrix(self, ts: Ints, symbols: Sequence[str]) -> Floats:
        return np.where(ts[:, None] >= self.since, self.weights, np.nan)


def grid(rows: int) -> Ints:
    """Hourly closes, seven to a New York day, from a Monday in winter."""
    first = pd.Timestamp("2025-01-06 15:00", tz="UTC").value
    at = np.arange(rows)
    return (first + (at // 7) * 24 * HOUR + (at % 7) * HOUR).astype(np.int64)


def bars(symbol: str, ts: Ints, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(ts))))
    opens = close * np.exp(rng.normal(0, 0.003, len(ts)))
    columns = [
        pa.array([symbol] * len(ts)),
        pa.array(ts, pa.int64()).cast(TIME),
        pa.array(opens),
        pa.array(np.maximum(opens, close) * 1.001),
        pa.array(np.minimum(opens, close) * 0.999),
        pa.array(close),
        pa.array(rng.integers(0, 1_000_000, len(ts)).astype(float)),
    ]
    return pa.table(columns, schema=BARS)


def closes_of(table: pa.Table) -> tuple[Ints, Floats]:
    return market_module.times(table), table["close"].to_numpy()


def obvious(closes: Floats, weights: Floats) -> Floats:
    """The basket, one timestamp at a time, the long way."""
    out, last, returns = [], {}, []
    for row, weight in zip(closes, weights, strict=True):
        now = {k: c for k, c in enumerate(row) if not np.isnan(c)}
        w = np.ones(len(row)) if np.isnan(weight).all() else np.nan_to_num(weight)
        both = [k for k in now if k in last and w[k] > 0]
        change = np.average([np.log(now[k] / last[k]) for k in both], weights=w[both]) if both else np.nan
        last.update(now)
        if both:
            returns.append(change)
        known = both and len(returns) >= 20
        out.append([change, np.std(returns[-20:])] if known else [np.nan, np.nan])
    return np.array(out)


@pytest.mark.parametrize("seed", range(3))
def test_the_basket_agrees_with_the_long_way(seed: int) -> None:
    rng = np.random.default_rng(seed)
    closes = 50 * np.exp(np.cumsum(rng.normal(0, 0.01, (400, 4)), axis=0))
    closes[rng.random((400, 4)) < 0.3] = np.nan
    weights = np.tile([0.3, 0.2, np.nan, 0.0], (400, 1))
    weights[:150] = np.nan
    weights[300:] = [0.1, 0.2, 0.3, 0.4]
    fs = basket(4)
    got = fs.scan(np.column_stack([closes, weights]), fs.start())
    np.testing.assert_allclose(got, obvious(closes, weights), rtol=1e-9, atol=1e-12)


def test_a_component_that_comes_back_brings_the_return_since_its_last_bar() -> None:
    fs = basket(2)
    x = np.full((22, 4), 1.0)
    x[:, 1] = np.nan
    x[3, 1], x[21, 1] = 10.0, 20.0
    assert fs.scan(x, fs.start())[21, 0] == pytest.approx(np.log(2) / 2)


def test_a_timestamp_without_any_return_is_unknown_and_leaves_no_trace() -> None:
    rng = np.random.default_rng(1)
    x = np.column_stack([np.exp(rng.normal(0, 0.1, (60, 2))), np.ones((60, 2))])
    holes = np.insert(x, [10, 40], np.nan, axis=0)
    fs = basket(2)
    whole, got = fs.scan(x, fs.start()), fs.scan(holes, fs.start())
    assert np.isnan(got[[10, 41]]).all()
    np.testing.assert_array_equal(np.delete(got, [10, 41], axis=0), whole)


def three(rows: int = 260) -> dict[str, pa.Table]:
    return {symbol: bars(symbol, grid(rows), seed) for seed, symbol in enumerate(SYMBOLS)}


def context_of(tables: dict[str, pa.Table], weights: Fixed) -> MarketContext:
    return market_context({s: closes_of(t) for s, t in tables.items()}, weights, SYMBOLS)


def test_the_context_is_the_basket_on_the_union_of_timestamps(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = three()
    tables["BBB"] = tables["BBB"].filter(np.arange(260) % 5 != 0)
    tables["CCC"] = tables["CCC"].slice(100)
    weights = Fixed([0.5, 0.3, 0.2], since=int(grid(260)[50]))
    closes = np.full((260, 3), np.nan)
    for k, table in enumerate(tables.values()):
        ts, close = closes_of(table)
        closes[np.searchsorted(grid(260), ts), k] = close
    expected = obvious(closes, weights.matrix(grid(260), SYMBOLS))
    got = context_of(tables, weights)
    np.testing.assert_array_equal(got.ts, grid(260))
    np.testing.assert_allclose(got.values, expected, rtol=1e-9, atol=1e-12)
    monkeypatch.setattr(market_module, "BLOCK", 17)
    np.testing.assert_array_equal(context_of(tables, weights).values, got.values)


def test_the_context_does_not_know_the_future() -> None:
    tables, weights = three(), Fixed([0.5, 0.3, 0.2])
    early = context_of({s: t.slice(0, 200) for s, t in tables.items()}, weights)
    np.testing.assert_array_equal(early.values, context_of(tables, weights).values[:200])


def test_an_absent_component_takes_no_part_and_no_component_gives_no_context() -> None:
    tables = three()
    absent = context_of({s: tables[s] for s in ("AAA", "CCC")}, Fixed([0.5, 0.3, 0.2]))
    two = market_context({s: closes_of(tables[s]) for s in ("AAA", "CCC")}, Fixed([0.5, 0.2]), ("AAA", "CCC"))
    np.testing.assert_array_equal(absent.values, two.values)
    assert len(context_of({}, Fixed([0.5, 0.3, 0.2])).ts) == 0
    assert np.isnan(context_of({}, Fixed([0.5, 0.3, 0.2])).at(grid(3))).all()


def test_times_that_do_not_rise_are_refused_with_the_symbol() -> None:
    tables = three()
    ts, close = closes_of(tables["BBB"])
    with pytest.raises(DataError, match="ts_event of BBB must rise"):
        market_context({"BBB": (ts[::-1], close)}, Fixed([1.0, 1.0, 1.0]), SYMBOLS)
    context = context_of(tables, Fixed([1.0, 1.0, 1.0]))
    with pytest.raises(DataError, match="must rise"):
        component_inputs(tables["AAA"].take(pa.array([1, 0])), Session(), context)


def test_inputs_are_the_columns_the_kernel_names() -> None:
    tables = three()
    context = context_of(tables, Fixed([0.5, 0.3, 0.2]))
    x = component_inputs(tables["AAA"], Session(), context)
    assert x.shape == (260, len(HOURLY.inputs))
    named = dict(zip(HOURLY.inputs, x.T, strict=True))
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(named[name], tables["AAA"][name].to_numpy())
    np.testing.assert_array_equal(named["basket_return"], context.values[:, 0])
    np.testing.assert_array_equal(named["basket_volatility"], context.values[:, 1])
    assert named["hour"][:7].tolist() == [10, 11, 12, 13, 14, 15, 16]
    assert (np.diff(named["session"])[:7] == [0, 0, 0, 0, 0, 0, 1]).all()


@pytest.mark.parametrize("late", [0, 30, 95])
def test_the_warmup_of_the_whole_is_that_of_the_set_also_for_a_late_component(late: int) -> None:
    tables = three()
    tables["CCC"] = tables["CCC"].slice(late)
    features = component_features(HOURLY, tables["CCC"], Session(), context_of(tables, Fixed([0.5, 0.3, 0.2])))
    missing = np.isnan(features)
    assert missing[: HOURLY.warmup].all()
    assert not missing[HOURLY.warmup :].any()


def test_one_component_is_the_basket_itself() -> None:
    table = bars("AAA", grid(200), 1)
    context = market_context({"AAA": closes_of(table)}, Fixed([0.4]), ("AAA",))
    features = component_features(HOURLY, table, Session(), context)
    assert np.abs(features[HOURLY.warmup :, HOURLY.outputs.index("relative_return")]).max() < 1e-15


@pytest.mark.parametrize("when", ["2025-03-07 16:00", "2025-03-10 16:00", "2025-11-03 16:00"])
def test_the_clock_follows_daylight_saving(when: str) -> None:
    close = pd.Timestamp(when, tz="America/New_York")
    day, hour, position = session_clock(np.array([close.value]), Session())[0]
    assert (hour, position) == (16.0, 1.0)
    assert day == (close.tz_localize(None).normalize() - pd.Timestamp(0)).days


def test_the_clock_is_zero_before_the_session_and_one_after_it() -> None:
    tokyo = Session(timezone="Asia/Tokyo", opens=time(9), closes=time(15))
    closes = [pd.Timestamp(f"2025-01-06 {t}", tz="Asia/Tokyo").value for t in ("08:00", "09:00", "12:00", "18:30")]
    midnight = pd.Timestamp("2025-01-07 00:00", tz="Asia/Tokyo").value
    clock = session_clock(np.array([*closes, midnight]), tokyo)
    assert clock[:, 2].tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert clock[:, 1].tolist() == [8.0, 9.0, 12.0, 18.0, 24.0]
    assert len(set(clock[:, 0])) == 1


XNYS = Session(calendar="XNYS")
NIGHT = Session(timezone="America/Chicago", calendar="CMES")
ALWAYS = Session(timezone="UTC", calendar="24/7")


@pytest.mark.parametrize(
    ("close", "session", "day", "hour", "position"),
    [
        ("2024-11-29 12:30", XNYS, "2024-11-29", 12, 3.0 / 3.5),
        ("2024-11-29 13:00", XNYS, "2024-11-29", 13, 1.0),
        ("2024-11-29 16:00", XNYS, "2024-11-29", 16, 1.0),
        ("2024-11-29 09:30", XNYS, "2024-11-29", 9, 0.0),
        ("2024-11-28 12:00", XNYS, "2024-11-28", 12, 0.0),
        ("2024-12-02 16:00", XNYS, "2024-12-02", 16, 1.0),
        ("2024-12-03 00:00", XNYS, "2024-12-02", 24, 1.0),
        ("2024-07-01 20:00", NIGHT, "2024-07-02", 20, 3.0 / 24.0),
        ("2024-07-02 00:00", NIGHT, "2024-07-02", 24, 7.0 / 24.0),
        ("2024-07-02 17:00", NIGHT, "2024-07-02", 17, 1.0),
        ("2024-07-02 18:00", ALWAYS, "2024-07-02", 18, 0.75),
        ("2024-07-03 00:00", ALWAYS, "2024-07-02", 24, 1.0),
        ("2024-07-03 01:00", ALWAYS, "2024-07-03", 1, 1.0 / 24.0),
    ],
)
def test_the_clock_knows_the_days_and_hours_of_a_calendar(
    close: str, session: Session, day: str, hour: int, position: float
) -> None:
    ts = np.array([pd.Timestamp(close, tz=session.timezone).value])
    expected = [pd.Timestamp(day).value // 86_400 // 10**9, hour, pytest.approx(position, rel=1e-12)]
    assert session_clock(ts, session)[0].tolist() == expected


def test_a_calendar_of_regular_days_changes_nothing() -> None:
    hours = pd.date_range("2025-01-27 09:30", "2025-02-15", freq="30min", tz="America/New_York")
    ts = hours[hours.day_of_week < 5].as_unit("ns").asi8
    plain, known = session_clock(ts, Session()), session_clock(ts, XNYS)
    open_yesterday = pd.DatetimeIndex(ts - 1, tz="UTC").tz_convert("America/New_York").day_of_week < 5
    np.testing.assert_array_equal(known[open_yesterday], plain[open_yesterday])


def test_the_inputs_of_a_bar_have_the_clock_of_the_calendar() -> None:
    close = pd.Timestamp("2024-11-29 13:00", tz="America/New_York")
    table = bars("AAA", np.array([close.value]), 0)
    x = component_inputs(table, XNYS, MarketContext(ts=np.empty(0, np.int64), values=np.empty((0, 2))))
    assert x[0, HOURLY.inputs.index("session_position")] == 1.0
