"""The 20 features of a price forecast, against TA-Lib and the plain clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from data.features.base import Floats, InputContext
from data.features.books_5min import BOOKS_5MIN, KIND
from data.records import BOOKS

talib = pytest.importorskip("talib")

WARM = BOOKS_5MIN.warmup


def snapshots(rows: int = 1_000, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    mid, half = 20 * np.exp(np.cumsum(rng.normal(0, 0.003, rows))), rng.integers(1, 5, rows) * 0.005
    hour, weekday = np.arange(rows) // 12 % 24, np.arange(rows) // 288 % 7
    return np.column_stack([mid - half, mid + half, *rng.integers(1, 500, (2, rows)), hour, weekday])


def expected(x: Floats) -> dict[str, Floats]:
    bid, ask, bids, asks, hour, weekday = x.T
    mid, spread = (bid + ask) / 2, ask - bid
    moves = np.diff(mid, prepend=mid[0])
    return {
        "spread": spread,
        "bid_volume": bids,
        "ask_volume": asks,
        "volume_imbalance": (bids - asks) / (bids + asks),
        **{f"price_change_{n}": talib.MOM(mid, n) for n in (1, 3, 12)},
        **{f"ma_{n}": talib.SMA(mid, n) for n in (5, 12, 24)},
        **{f"volatility_{n}": pd.Series(moves).rolling(n).apply(np.std, raw=True).to_numpy() for n in (5, 12)},
        "spread_ma_5": talib.SMA(spread, 5),
        "spread_volatility_5": pd.Series(spread).rolling(5).apply(np.std, raw=True).to_numpy(),
        "hour": hour,
        "weekday": weekday,
        "hour_sin": np.sin(hour * np.pi / 12),
        "hour_cos": np.cos(hour * np.pi / 12),
        "weekday_sin": np.sin(weekday * 2 * np.pi / 7),
        "weekday_cos": np.cos(weekday * 2 * np.pi / 7),
    }


def agrees(x: Floats) -> None:
    got, columns = BOOKS_5MIN.scan(x, BOOKS_5MIN.start()), expected(x)
    assert len(columns) == 20
    assert BOOKS_5MIN.outputs == tuple(columns)
    for k, (name, column) in enumerate(columns.items()):
        np.testing.assert_allclose(got[WARM:, k], column[WARM:], rtol=1e-9, atol=1e-12, err_msg=name)
    # TA-Lib's own deviations, which lose digits where its running sums of squares cancel
    mid, spread = x[:, :2].mean(axis=1), x[:, 1] - x[:, 0]
    moves = np.diff(mid, prepend=mid[0])
    for name, series, n in (
        ("volatility_5", moves, 5),
        ("volatility_12", moves, 12),
        ("spread_volatility_5", spread, 5),
    ):
        deviation = talib.STDDEV(np.ascontiguousarray(series), n)
        np.testing.assert_allclose(got[WARM:, BOOKS_5MIN.outputs.index(name)], deviation[WARM:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_talib_on_random_walks(seed: int) -> None:
    agrees(snapshots(seed=seed))


def test_agrees_with_talib_on_the_reference_series(market_data: Path) -> None:
    frame = pd.read_csv(market_data / "books" / "compute_price_5min.csv", parse_dates=["timestamp"])
    at = frame["timestamp"].dt
    columns = [frame[name] for name in ("best_bid", "best_ask", "bid_volume", "ask_volume")]
    x = np.column_stack([*columns, at.hour, at.day_of_week]).astype(float)
    agrees(x)
    books = table(frame["timestamp"].to_numpy(), *x[:, :4].T)
    ts, made = KIND.inputs(BOOKS_5MIN, books, InputContext(symbol="A", session=Session(timezone="UTC")))
    np.testing.assert_array_equal(made, x)
    assert len(ts) == 8_641


def table(at: np.ndarray, bid: Floats, ask: Floats, bids: Floats, asks: Floats) -> pa.Table:
    """Books that know the first level only."""
    none = pa.nulls(len(at), pa.float64())
    columns = dict.fromkeys(BOOKS.names, none) | {"ts_event": pa.array(at).cast(pa.timestamp("ns", tz="UTC"))}
    columns |= {"bid_px_1": bid, "ask_px_1": ask, "bid_qty_1": bids, "ask_qty_1": asks}
    return pa.table({name: columns[name] for name in ("ts_event", *BOOKS.names[4:44])})


def test_the_first_rows_are_unknown_and_no_more() -> None:
    missing = np.isnan(BOOKS_5MIN.scan(snapshots(), BOOKS_5MIN.start()))
    assert WARM == 23
    assert missing[:WARM].all()
    assert not missing[WARM:].any()


@pytest.mark.parametrize("column", [0, 1])
def test_a_snapshot_without_a_side_is_passed_over(column: int) -> None:
    x = snapshots()
    gone = np.zeros(len(x), bool)
    gone[[0, 5, 300, 301, 302]] = True
    broken = x.copy()
    broken[gone, column] = np.nan
    got = BOOKS_5MIN.scan(broken, BOOKS_5MIN.start())
    assert np.isnan(got[gone]).all()
    np.testing.assert_array_equal(got[~gone], BOOKS_5MIN.scan(x[~gone], BOOKS_5MIN.start()))


def test_volumes_are_of_all_known_levels_and_the_clock_is_the_exchanges() -> None:
    at = np.array(["2025-03-09T23:55", "2025-03-10T13:30"], "datetime64[ns]")  # a Sunday and a Monday in New York
    books = table(at, *np.array([[9.0, 9.0], [10.0, 10.0], [5.0, 5.0], [7.0, 7.0]]))
    for name, value in (("bid_qty_2", 100.0), ("ask_qty_10", 30.0)):
        k = books.column_names.index(name)
        books = books.set_column(k, name, pa.array([value, None]))
    _, x = KIND.inputs(BOOKS_5MIN, books, InputContext(symbol="A", session=Session()))
    assert x.tolist() == [[9.0, 10.0, 105.0, 37.0, 19.0, 6.0], [9.0, 10.0, 5.0, 7.0, 9.0, 0.0]]
