"""The second hourly set against slow and obvious NumPy, and at the edges of what a market does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.recipe import load_recipe
from bellwether.config.sections import Session
from data.features import feature_kind, feature_set
from data.features.base import Floats, InputContext
from data.features.hourly_wide import HOURLY_WIDE
from data.features.market import MarketContext

WARM = HOURLY_WIDE.warmup
COLUMN = {name: k for k, name in enumerate(HOURLY_WIDE.outputs)}
BASKET = [k for name, k in COLUMN.items() if name.startswith(("basket", "relative"))]


def market(rows: int = 420, seed: int = 0, scale: float = 0.01) -> Floats:
    """A random walk in sessions of seven bars that close at 10:30 to 15:30 and 16:00; the first never has volume."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows)
    close = 150 * np.exp(np.cumsum(rng.normal(0, scale * (1 + (at % 7 == 0)), rows)))
    opens = np.roll(close, 1) * np.exp(rng.normal(0, scale / 3, rows))
    high = np.maximum(opens, close) * (1 + np.abs(rng.normal(0, scale / 3, rows)))
    low = np.minimum(opens, close) * (1 - np.abs(rng.normal(0, scale / 3, rows)))
    volume = np.where(at % 7 == 0, 0, rng.integers(0, 10_000_000, rows))
    context = np.column_stack([rng.normal(0, scale, rows), np.abs(rng.normal(scale, scale / 5, rows))])
    return np.column_stack([opens, high, low, close, volume, at // 7, 10 + at % 7, (1 + at % 7) / 7, context])


def scanned(x: Floats) -> Floats:
    return HOURLY_WIDE.scan(x, HOURLY_WIDE.start())


def usual(values: Floats) -> float:
    """Exponentially weighted mean size of the last 20, the newest last."""
    last = np.abs(values[-20:])
    return float(np.average(last, weights=0.9 ** np.arange(len(last))[::-1]))


def surprises(changes: Floats) -> Floats:
    """Each change over what was usual, before it, for changes at that time of day."""
    return np.array([1.0] * 7 + [abs(changes[k]) / usual(changes[k % 7 : k : 7]) for k in range(7, len(changes))])


def contrast(a: float, b: float) -> float:
    return float((a - b) / (a + b)) if a + b > 0 else 0.0


def obvious(x: Floats, row: int) -> dict[str, float]:
    """The features of one row, the long way, from all rows up to it."""
    o, h, low, c, v = x[: row + 1, :5].T
    r = np.log(c[1:] / c[:-1])  # r[k] leads to row k + 1
    unit, basket, relative = r[-35:].std(), x[: row + 1, 8], r - x[1 : row + 1, 8]
    first = row - row % 7
    span, body = np.log(h / low), np.log(c / o)
    parkinson = np.sqrt([(span[-n:] ** 2).mean() / (4 * np.log(2)) for n in (7, 35)])
    garman_klass = np.sqrt((0.5 * span**2 - (2 * np.log(2) - 1) * body**2)[-70:].mean())
    after = r[row % 7 :: 7]  # the moves that followed bars at this time of day
    over = surprises(np.concatenate([[np.nan], r]))[1:]
    volume = v[row % 7 : row : 7]
    scale = basket[-35:].std()
    return {
        **{f"return_{n}": r[-n:].sum() / np.sqrt(n) / unit for n in (1, 2, 3, 7, 14, 35, 70)},
        "overnight_gap": np.log(o[-1] / c[-2]) / unit if row == first else 0.0,
        "since_open": np.log(c[-1] / o[first]) / unit,
        "body": body[-1] / unit,
        "range": span[-1] / unit,
        "close_location": (c[-1] - low[-1]) / (h[-1] - low[-1]),
        "volatility_7": np.log(r[-7:].std()),
        "volatility_7_vs_35": np.log(r[-7:].std() / unit),
        "volatility_35_vs_70": np.log(unit / r[-70:].std()),
        "parkinson_7": np.log(parkinson[0]),
        "parkinson_7_vs_35": np.log(parkinson[0] / parkinson[1]),
        "volatility_vs_garman_klass_70": np.log(r[-70:].std() / garman_klass),
        "usual_move": np.log(usual(after)),
        "surprise_7": np.log(over[-7:].mean()),
        "surprise_35": np.log(over[-35:].mean()),
        "same_slot_1": after[-1] / unit,
        "same_slot_5": after[-5:].mean() / unit,
        "same_slot_20": after[-20:].mean() / unit,
        "volume_vs_slot": contrast(v[-1], usual(volume)),
        "volume_7_vs_70": contrast(v[-7:].mean(), v[-70:].mean()),
        "basket_return_1": basket[-1] / scale,
        "basket_return_7": basket[-7:].sum() / np.sqrt(7) / scale,
        "basket_return_35": basket[-35:].sum() / np.sqrt(35) / scale,
        "basket_volatility_7": np.log(basket[-7:].std()),
        "basket_volatility_20": np.log(x[row, 9]),
        "basket_volatility_70": np.log(basket[-70:].std()),
        "relative_1": relative[-1] / unit,
        "relative_7": relative[-7:].sum() / np.sqrt(7) / unit,
        "relative_35": relative[-35:].sum() / np.sqrt(35) / unit,
        "hour": x[row, 6],
        "session_position": x[row, 7],
        "night_next": float(row % 7 == 6),
    }


def test_every_column_has_an_oracle() -> None:
    assert set(obvious(market(), WARM)) == set(HOURLY_WIDE.outputs)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_long_way(seed: int) -> None:
    x = market(rows=260, seed=seed)
    got = scanned(x)
    for row in range(WARM, len(x)):
        for name, value in obvious(x, row).items():
            assert got[row, COLUMN[name]] == pytest.approx(value, rel=1e-7, abs=1e-9), (name, row)


@pytest.mark.parametrize("start", [7, 70, 217])
def test_bars_without_earlier_history_agree_with_the_full_one(start: int) -> None:
    """Nothing is remembered for longer than the warm-up, where sessions have seven bars."""
    x = market()
    full = scanned(x)[start + WARM]
    cold = scanned(x[start : start + WARM + 1])[-1]
    np.testing.assert_allclose(cold, full, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 2**32), price=st.integers(-8, 8), volume=st.integers(0, 8))
@settings(max_examples=20)
def test_the_scale_of_prices_and_volumes_does_not_matter(seed: int, price: int, volume: int) -> None:
    """Powers of two are exact, so stationarity shows to the last bit."""
    x = market(rows=230, seed=seed)
    scaled = x.copy()
    scaled[:, :4] *= 2.0**price
    scaled[:, 4] *= 2.0**volume
    np.testing.assert_array_equal(scanned(x), scanned(scaled))


@given(seed=st.integers(0, 2**32), scale=st.floats(1e-6, 0.2))
@settings(max_examples=20)
def test_features_are_finite_and_stay_within_their_bounds(seed: int, scale: float) -> None:
    got = scanned(market(rows=230, seed=seed, scale=scale))[WARM:]
    assert np.isfinite(got).all()
    for name, low, high in (
        ("close_location", 0, 1),
        ("volume_vs_slot", -1, 1),
        ("volume_7_vs_70", -1, 1),
        ("night_next", 0, 1),
    ):
        assert ((got[:, COLUMN[name]] >= low) & (got[:, COLUMN[name]] <= high)).all(), name
    assert (got[:, COLUMN["range"]] >= 0).all()


def test_a_price_that_never_moves_has_no_returns_and_the_least_size() -> None:
    x = market(rows=220)
    x[:, :4], x[:, 4], x[:, 8:] = 0.1, 0.0, 0.0
    last = scanned(x)[-1]
    assert np.isfinite(last).all()
    zero = ("return_1", "return_70", "range", "since_open", "volatility_7_vs_35", "surprise_35", "volume_vs_slot")
    assert [last[COLUMN[name]] for name in zero] == [0.0] * len(zero)
    assert last[COLUMN["close_location"]] == 0.5
    assert last[COLUMN["usual_move"]] == last[COLUMN["volatility_7"]] == np.log(1e-5)


def test_the_night_is_known_to_be_large_when_the_session_closes() -> None:
    """Moves of 3 % into a session's first bar and of 0.1 % within it: what is usual is known a bar ahead."""
    x = market(rows=230)
    moves = np.where(np.arange(230) % 7 == 0, 0.03, 0.001) * np.where(np.arange(230) % 2, 1, -1)
    x[:, 3] = 150 * np.exp(np.cumsum(moves))
    x[:, 1], x[:, 2] = np.maximum(x[:, 0], x[:, 3]), np.minimum(x[:, 0], x[:, 3])
    found = np.exp(scanned(x)[WARM:, COLUMN["usual_move"]])
    closing = np.arange(WARM, 230) % 7 == 6
    np.testing.assert_allclose(found[closing], 0.03, rtol=1e-9)
    np.testing.assert_allclose(found[~closing], 0.001, rtol=1e-9)


def test_a_session_that_closes_early_is_followed_by_a_night_too_where_the_calendar_says_so() -> None:
    """Position 1 and not 16:00 makes a bar the close; what is usual after it is what followed the earlier closes."""
    x = market(rows=240)
    early = x.copy()
    early[198, 7], early[199:, 5] = 1.0, early[199:, 5] + 1  # the third bar of a session is its last
    got = scanned(early)
    r = np.diff(np.log(x[:, 3]))
    assert got[198, COLUMN["night_next"]] == 1.0
    assert got[198, COLUMN["usual_move"]] == pytest.approx(np.log(usual(r[6:198:7])), rel=1e-9)


def test_an_unknown_basket_costs_that_row_its_basket_columns_and_nothing_else() -> None:
    x = market()
    holes = x.copy()
    holes[[5, 200, 419], 8:] = np.nan
    without = np.delete(x, [5, 200, 419], axis=0)
    got, whole = scanned(holes), scanned(x)
    assert np.isnan(got[np.ix_([200, 419], BASKET)]).all()
    others = [k for k in range(len(COLUMN)) if k not in BASKET]
    np.testing.assert_array_equal(got[:, others], whole[:, others])
    k = COLUMN["basket_volatility_70"]  # windows hold the last known returns
    assert got[300, k] == pytest.approx(np.log(without[228:299, 8][-70:].std()), rel=1e-9)


def test_a_basket_known_for_less_than_its_windows_is_not_known() -> None:
    x = market()
    x[:150, 8:] = np.nan
    got = scanned(x)[WARM:]
    known = np.arange(WARM, len(x)) >= 150 + 69
    assert (np.isfinite(got[:, BASKET]).all(axis=1) == known).all()


def test_it_is_in_the_table_and_reads_what_the_hourly_set_reads() -> None:
    assert feature_set("hourly-wide").inputs == feature_set("hourly").inputs
    assert feature_kind("hourly-wide").market == feature_kind("hourly").market


def test_bars_of_a_summer_day_have_their_hours_and_the_last_one_is_before_the_night() -> None:
    stamps = pd.date_range("2025-07-01 10:30", periods=6, freq="h", tz="America/New_York").tolist()
    stamps.append(pd.Timestamp("2025-07-01 16:00", tz="America/New_York"))
    ts = pa.array([stamp.value for stamp in stamps], pa.timestamp("ns", "UTC"))
    bars = pa.table({"ts_event": ts} | {name: [1.0] * 7 for name in ("open", "high", "low", "close", "volume")})
    context = MarketContext(ts=np.empty(0, np.int64), values=np.empty((0, 2)))
    kind = feature_kind("hourly-wide")
    x = kind.inputs(HOURLY_WIDE, bars, InputContext(symbol="A", session=Session(), market=context))[1]
    assert x[:, 6].tolist() == [10, 11, 12, 13, 14, 15, 16]
    assert (x[:, 7] == 1.0).tolist() == [False] * 6 + [True]


def test_the_recipe_on_real_bars_uses_a_set_of_the_table() -> None:
    assert feature_kind(load_recipe("index-hourly-qqq").features.kind).record == "bars"


def test_real_bars_have_finite_features_and_nights_are_usually_larger(market_data: Path) -> None:
    one = pq.read_table(market_data / "bars" / "us_1h.parquet", filters=[("symbol", "=", "MSFT")])
    x = market(rows=one.num_rows)
    for k, name in enumerate(("open", "high", "low", "close", "volume")):
        x[:, k] = one[name].to_numpy()
    local = pd.DatetimeIndex(one["timestamp"].to_pandas()).tz_convert("America/New_York")
    x[:, 5], x[:, 6] = local.normalize().asi8, local.hour + 1
    x[:, 7] = np.where(local.hour == 15, 1.0, (local.hour - 8.5) / 6.5)
    got = scanned(x)[WARM:]
    assert np.isfinite(got).all()
    night = got[:, COLUMN["night_next"]] == 1.0
    assert got[night, COLUMN["usual_move"]].mean() > got[~night, COLUMN["usual_move"]].mean() + 0.5
