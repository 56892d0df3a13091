"""Order flow of an event by the paper's formula, and the regression on it against slow windows and known answers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.features.base import Floats
from data.features.order_flow import flows, queue_loss
from data.studies.order_flow import QUOTE, explained, flow_windows, order_flow_study

NAME = "lobster/{}_2012-06-21_34200000_57600000_{}_5.csv.gz"
OPENS = pd.Timestamp("2012-06-21 09:30", tz="America/New_York")


def paper(q: Floats) -> Floats:
    (b0, x0, a0, y0), (b1, x1, a1, y1) = q[:-1].T, q[1:].T
    e = (b1 >= b0) * x1 - (b1 <= b0) * x0 - (a1 <= a0) * y1 + (a1 >= a0) * y0
    return np.concatenate([[0.0], e])


@given(seed=st.integers(0, 2**32))
def test_the_flow_of_an_event_is_the_papers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bid = rng.integers(10, 14, 60)
    q = np.column_stack([bid, rng.integers(1, 9, 60), bid + rng.integers(1, 4, 60), rng.integers(1, 9, 60)]).astype(
        float
    )
    np.testing.assert_array_equal(flows(q), paper(q))


@given(seed=st.integers(0, 2**32))
def test_at_one_price_losses_and_gains_make_the_flow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = np.column_stack([np.full(50, 9.0), rng.integers(1, 9, 50), np.full(50, 10.0), rng.integers(1, 9, 50)])
    lost = [
        [queue_loss(a[k], a[k + 1], b[k], b[k + 1], side) for a, b in pairwise(q)] for k, side in ((0, -1.0), (2, 1.0))
    ]
    gained = np.maximum(np.diff(q[:, [1, 3]], axis=0), 0.0)
    np.testing.assert_allclose(flows(q)[1:], gained[:, 0] - lost[0] - gained[:, 1] + lost[1])


def made_books(seed: int, days: int = 1, rows: int = 8_000) -> pa.Table:
    """Books at random times of whole days, some without a bid, some with a trade; null where there is none."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, days * 86_400 * 1_000, rows)) / 1_000
    bid = 1_000 + np.cumsum(rng.integers(-1, 2, rows))
    quotes = np.column_stack([bid, rng.integers(1, 9, rows), bid + rng.integers(1, 4, rows), rng.integers(1, 9, rows)])
    columns = dict(zip(QUOTE, (quotes * [0.01, 1, 0.01, 1]).T, strict=True))
    missing = rng.random(rows) < 0.05
    columns |= {name: pa.array(columns[name], mask=missing) for name in QUOTE[:2]}
    at = OPENS.normalize().tz_convert("UTC").tz_localize(None) + pd.to_timedelta(seconds, unit="s")
    stamps = pa.array(at.to_numpy("datetime64[ns]")).cast(pa.timestamp("ns", tz="UTC"))
    trade = pa.array(rng.integers(1, 300, rows).astype(float), mask=rng.random(rows) < 0.7)
    side = np.where(np.asarray(trade.is_null()), 0, rng.integers(-1, 2, rows))
    return pa.table(columns | {"ts_event": stamps, "trade_qty": trade, "trade_side": pa.array(side, pa.int8())})


def slow_windows(books: pa.Table, seconds: int) -> pd.DataFrame:
    """One window after the other: the rows in it, by comparing times."""
    frame = books.to_pandas().dropna(subset=list(QUOTE))
    frame["ts_event"] = frame["ts_event"].dt.tz_convert("America/New_York")
    clock = frame["ts_event"].dt.time
    frame = frame[(clock >= pd.Timestamp("09:30").time()) & (clock < pd.Timestamp("16:00").time())]
    rows, halves = [], 0
    for day, part in frame.groupby(frame["ts_event"].dt.normalize()):
        quote = part[list(QUOTE)].to_numpy()
        mid, e = quote[:, [0, 2]].mean(axis=1), paper(quote)
        signed = (part["trade_qty"] * part["trade_side"]).fillna(0.0).to_numpy()
        since = (part["ts_event"] - day).dt.total_seconds().to_numpy() - 9.5 * 3600
        before = mid[0]
        for k in range(23_400 // seconds):
            inside = (since >= k * seconds) & (since < (k + 1) * seconds)
            now = mid[inside][-1] if inside.any() else before
            rows.append((halves + k * seconds // 1_800, (now - before) / 0.01, e[inside].sum(), signed[inside].sum()))
            before = now
        halves += 13
    return pd.DataFrame(rows, columns=["sample", "move", "order_flow", "trade_flow"])


@pytest.mark.parametrize(("seed", "days", "seconds"), [(0, 1, 10), (1, 3, 60), (2, 2, 1_800)])
def test_windows_are_those_of_slow_arithmetic(seed: int, days: int, seconds: int) -> None:
    books = made_books(seed, days)
    got, expected = flow_windows(books, tick=0.01, seconds=seconds, session=Session()), slow_windows(books, seconds)
    for name in expected:
        np.testing.assert_allclose(getattr(got, name), expected[name], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("symbol", ["AMZN", "GOOG"])
def test_a_real_day_is_regressed_as_slow_arithmetic_does(symbol: str, market_data: Path) -> None:
    message = pd.read_csv(market_data / NAME.format(symbol, "message"), header=None).to_numpy()
    book = pd.read_csv(market_data / NAME.format(symbol, "orderbook"), header=None).to_numpy(float)
    traded = np.isin(message[:, 1], (4, 5))
    at = OPENS.normalize().tz_convert("UTC").value + np.round(message[:, 0] * 1e9).astype(np.int64)
    columns = dict(zip(QUOTE, (book[:, [2, 3, 0, 1]] / [1e4, 1.0, 1e4, 1.0]).T, strict=True))
    side = pa.array(np.where(traded, -message[:, 5], 0).astype(np.int8))
    trade = {"trade_qty": pa.array(message[:, 3], mask=~traded), "trade_side": side}
    books = pa.table(columns | trade | {"ts_event": pa.array(at).cast(pa.timestamp("ns", tz="UTC"))})
    study, slow = order_flow_study(books), slow_windows(books, 10)
    assert (study.windows, study.samples) == (2_340, 13)
    for name in ("order_flow", "trade_flow"):
        found = getattr(study, name)
        halves = [half[["move", name]].corr().iloc[0, 1] ** 2 for _, half in slow.groupby("sample")]
        assert found.mean.value == pytest.approx(np.mean(halves), rel=1e-9)
        assert found.whole.value == pytest.approx(slow[["move", name]].corr().iloc[0, 1] ** 2, rel=1e-9)
        slopes = [np.polyfit(half[name], half["move"], 1)[0] for _, half in slow.groupby("sample")]
        np.testing.assert_allclose(found.slopes, slopes, rtol=1e-6)
    assert study.order_flow.mean.low > study.trade_flow.mean.value > 0.2


def test_the_interval_covers_a_known_r2() -> None:
    """y = x + noise of the same variance: half of it is explained."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(40):
        x = rng.normal(size=600)
        found = explained(1e6 * x, x + rng.normal(size=600), np.arange(600) // 200)
        covered += found.whole.low < 0.5 < found.whole.high
    assert covered >= 34


def test_half_hours_without_movement_are_left_out() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=300)
    y = np.where(np.arange(300) < 100, 0.0, 3.0 * x)
    found = explained(x, y, np.arange(300) // 100)
    assert found.mean.value == pytest.approx(1.0)
    assert found.slopes.tolist() == pytest.approx([0.0, 3.0, 3.0])


def test_what_cannot_be_studied_is_refused() -> None:
    books = made_books(0)
    with pytest.raises(DataError, match="seconds is 7: give a whole number that divides 1800"):
        order_flow_study(books, seconds=7)
    with pytest.raises(DataError, match="no row of these books"):
        order_flow_study(books.slice(0, 10))
    with pytest.raises(DataError, match="the flow of all 10 windows are the same"):
        explained(np.zeros(10), np.arange(10.0), np.zeros(10, np.int64))
