"""The hourly set against TA-Lib, against slow and obvious NumPy, and at the edges of what a market does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.features.base import Floats
from data.features.hourly import HOURLY

talib = pytest.importorskip("talib")

WARM = HOURLY.warmup
COLUMN = {name: k for k, name in enumerate(HOURLY.outputs)}
RECURSIVE = ("rsi_14", "atr_14")


def market(rows: int = 600, seed: int = 0, scale: float = 0.01) -> Floats:
    """Rows of the hourly set: a random walk in sessions of seven bars, with idle first bars."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows)
    close = 150 * np.exp(np.cumsum(rng.normal(0, scale, rows)))
    opens = np.roll(close, 1) * np.exp(rng.normal(0, scale / 3, rows))
    high = np.maximum(opens, close) * (1 + np.abs(rng.normal(0, scale / 3, rows)))
    low = np.minimum(opens, close) * (1 - np.abs(rng.normal(0, scale / 3, rows)))
    volume = np.where(at % 7 == 0, 0, rng.integers(0, 10_000_000, rows))
    context = np.column_stack([rng.normal(0, scale, rows), np.abs(rng.normal(scale, scale / 5, rows))])
    return np.column_stack([opens, high, low, close, volume, at // 7, 10 + at % 7, (1 + at % 7) / 7, context])


def talib_columns(x: Floats) -> dict[str, Floats]:
    high, low, close, volume = (np.ascontiguousarray(x[:, k]) for k in (1, 2, 3, 4))
    five, twenty = talib.SMA(close, 5), talib.SMA(close, 20)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    returns = np.zeros(len(close))
    returns[1:] = np.diff(np.log(close))
    return {
        "log_return": returns,
        "close_vs_sma_5": close / five - 1,
        "close_vs_sma_20": close / twenty - 1,
        "sma_5_vs_sma_20": five / twenty - 1,
        "std_20": talib.STDDEV(returns, 20),
        "rsi_14": talib.RSI(close, 14),
        "atr_14": talib.ATR(high, low, close, 14) / close,
        "bollinger_width_20": (upper - lower) / middle,
        "volume_vs_mean_20": volume / talib.SMA(volume, 20) - 1,
    }


def agrees_with_talib(x: Floats) -> None:
    got = HOURLY.scan(x, HOURLY.start())
    for name, expected in talib_columns(x).items():
        np.testing.assert_allclose(got[WARM:, COLUMN[name]], expected[WARM:], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_talib_on_random_walks(seed: int) -> None:
    agrees_with_talib(market(rows=2_000, seed=seed))


def test_agrees_with_talib_over_a_long_history() -> None:
    agrees_with_talib(market(rows=100_000, scale=0.002))


def test_agrees_with_talib_on_real_bars(market_data: Path) -> None:
    bars = pq.read_table(market_data / "bars" / "us_1h.parquet")
    for symbol in ("AAPL", "INTC", "NVDA", "TSLA"):
        one = bars.filter(pc.equal(bars["symbol"], symbol))
        x = market(rows=one.num_rows)
        for k, name in enumerate(("open", "high", "low", "close", "volume")):
            x[:, k] = one[name].to_numpy()
        agrees_with_talib(x)


def obvious(x: Floats, row: int) -> dict[str, float]:
    """The features of one row that need no recursion, from the rows before it, the long way."""
    o, h, low, c, v = x[row, :5]
    closes, volumes = x[row - 19 : row + 1, 3], x[row - 19 : row + 1, 4]
    returns = np.log(x[row - 19 : row + 1, 3] / x[row - 20 : row, 3])
    first = x[row, 5] != x[row - 1, 5]
    return {
        "log_return": returns[-1],
        "range": (h - low) / c,
        "body": (c - o) / c,
        "close_vs_sma_5": c / closes[-5:].mean() - 1,
        "close_vs_sma_20": c / closes.mean() - 1,
        "sma_5_vs_sma_20": closes[-5:].mean() / closes.mean() - 1,
        "std_20": returns.std(),
        "bollinger_width_20": 4 * closes.std() / closes.mean(),
        "volume_vs_mean_20": v / volumes.mean() - 1 if volumes.any() else 0.0,
        "hour": x[row, 6],
        "session_position": x[row, 7],
        "overnight_gap": o / x[row - 1, 3] - 1 if first else 0.0,
        "basket_return": x[row, 8],
        "basket_volatility": x[row, 9],
        "relative_return": returns[-1] - x[row, 8],
    }


def test_every_column_has_an_oracle() -> None:
    assert {*obvious(market(), WARM), *RECURSIVE} == set(HOURLY.outputs)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_long_way(seed: int) -> None:
    x = market(seed=seed)
    x[300:330, 4] = 0.0
    got = HOURLY.scan(x, HOURLY.start())
    for row in range(WARM, len(x)):
        for name, value in obvious(x, row).items():
            assert got[row, COLUMN[name]] == pytest.approx(value, rel=1e-9, abs=1e-12), (name, row)


@pytest.mark.parametrize("start", [1, 37, 400])
def test_bars_without_earlier_history_agree_with_the_full_one(start: int) -> None:
    """The declared bound: what lies before the warm-up weighs (13/14) ** (160 - 14) of a starting average."""
    x = market()
    full = HOURLY.scan(x, HOURLY.start())[start + WARM]
    cold = HOURLY.scan(x[start : start + WARM + 1], HOURLY.start())[-1]
    bound = (13 / 14) ** (WARM - 14)
    assert bound < 2.1e-5
    true_range = np.maximum(x[1:, 1], x[:-1, 3]) - np.minimum(x[1:, 2], x[:-1, 3])
    k = COLUMN["atr_14"]
    assert 0 < abs(full[k] - cold[k]) * x[start + WARM, 3] <= bound * true_range.max()
    assert abs(full[COLUMN["rsi_14"]] - cold[COLUMN["rsi_14"]]) < 0.01
    rest = [k for name, k in COLUMN.items() if name not in RECURSIVE]
    np.testing.assert_allclose(cold[rest], full[rest], rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 2**32), price=st.integers(-8, 8), volume=st.integers(0, 8))
@settings(max_examples=25)
def test_the_scale_of_prices_and_volumes_does_not_matter(seed: int, price: int, volume: int) -> None:
    """Powers of two are exact, so stationarity shows to the last bit."""
    x = market(rows=200, seed=seed)
    scaled = x.copy()
    scaled[:, :4] *= 2.0**price
    scaled[:, 4] *= 2.0**volume
    np.testing.assert_array_equal(HOURLY.scan(x, HOURLY.start()), HOURLY.scan(scaled, HOURLY.start()))


@given(seed=st.integers(0, 2**32), scale=st.floats(1e-6, 0.2))
@settings(max_examples=25)
def test_features_stay_within_their_bounds(seed: int, scale: float) -> None:
    got = HOURLY.scan(market(rows=300, seed=seed, scale=scale), HOURLY.start())[WARM:]
    assert np.isfinite(got).all()
    rsi = got[:, COLUMN["rsi_14"]]
    assert ((rsi >= 0) & (rsi <= 100)).all()
    for name in ("range", "std_20", "atr_14", "bollinger_width_20", "session_position"):
        assert (got[:, COLUMN[name]] >= 0).all(), name
    assert (got[:, COLUMN["volume_vs_mean_20"]] >= -1).all()


def test_a_price_that_never_moves_has_no_spread_and_a_neutral_rsi() -> None:
    x = market(rows=200)
    x[:, :4], x[:, 4] = 0.1, 0.0
    last = HOURLY.scan(x, HOURLY.start())[-1]
    for name in ("log_return", "std_20", "atr_14", "bollinger_width_20", "volume_vs_mean_20", "overnight_gap"):
        assert last[COLUMN[name]] == 0.0, name
    assert last[COLUMN["rsi_14"]] == 50.0


def test_a_window_without_volume_gives_zero_whatever_traded_before() -> None:
    x = market(rows=260)
    x[:, 4] = np.random.default_rng(1).random(260) / 3
    x[200:, 4] = 0.0
    got = HOURLY.scan(x, HOURLY.start())[:, COLUMN["volume_vs_mean_20"]]
    assert (got[200:219] == -1.0).all()
    assert (got[219:] == 0.0).all()


def test_an_unknown_basket_costs_that_row_its_basket_columns_and_nothing_else() -> None:
    x = market(rows=300)
    holes = x.copy()
    holes[[5, 200, 299], 8:] = np.nan
    whole, got = HOURLY.scan(x, HOURLY.start()), HOURLY.scan(holes, HOURLY.start())
    basket = [COLUMN[name] for name in ("basket_return", "basket_volatility", "relative_return")]
    assert np.isnan(got[200, basket]).all()
    got[np.ix_([200, 299], basket)] = whole[np.ix_([200, 299], basket)]
    np.testing.assert_array_equal(got, whole)


def test_the_overnight_gap_is_on_the_first_bar_of_a_session() -> None:
    x = market(rows=300)
    gap = HOURLY.scan(x, HOURLY.start())[:, COLUMN["overnight_gap"]]
    first = np.arange(WARM, 300) % 7 == 0
    assert (gap[WARM:][first] != 0).all()
    assert (gap[WARM:][~first] == 0).all()
