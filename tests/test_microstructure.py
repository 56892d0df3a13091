"""The microstructure set against slow and obvious arithmetic, on real books and on made ones with every gap."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats

from bellwether.config.sections import Session
from bellwether.errors import ConfigError
from data.features import feature_kind, feature_set
from data.features.base import FeatureSet, Floats, InputContext
from data.features.microstructure import MicrostructureOptions, microstructure
from data.options import checked
from data.sources import source
from data.sources.base import SourceContext

DEFAULT = microstructure()
SMALL = MicrostructureOptions(
    levels=3, flow=(3, 7, 40), window=30, trades=6, mu=0.3, alpha=1.5, beta=2.5, half_life=1.5
)
NAME = "{}_2012-06-21_34200000_57600000_{}_5.csv.gz"
UTC_OFFSET = 4 * 3_600


@cache
def lobster(data: Path, symbol: str) -> Floats:
    """A real day in the columns of the default set, read straight from the files; session 0."""
    message = pd.read_csv(data / "lobster" / NAME.format(symbol, "message"), header=None).to_numpy()
    book = pd.read_csv(data / "lobster" / NAME.format(symbol, "orderbook"), header=None).to_numpy(float)
    levels = book.reshape(len(book), 5, 2, 2)[:, :, ::-1, :] / [10_000.0, 1.0]
    traded = np.isin(message[:, 1], (4, 5))
    trade = np.where(traded, [message[:, 4] / 10_000.0, message[:, 3], -message[:, 5]], [[np.nan], [np.nan], [0.0]])
    second = message[:, 0]
    position = (second - 34_200) / 23_400
    return np.column_stack([levels.reshape(len(book), 20), trade.T, second + UTC_OFFSET, np.zeros(len(book)), position])


def random_books(seed: int, rows: int = 700, levels: int = 3, gaps: bool = True) -> Floats:
    """Prices in ticks; with gaps also unknown and empty levels, missing best quotes, trades without a side."""
    rng = np.random.default_rng(seed)
    centre = 2_000 + np.cumsum(rng.integers(-2, 3, rows))
    bid = centre - rng.integers(1, 4, rows)
    ask = centre + rng.integers(1, 30, rows) // 9 + 1
    step = np.cumsum(rng.integers(1, 4, (rows, 2, levels)), axis=2) - 1
    px = np.stack([bid[:, None] - step[:, 0], ask[:, None] + step[:, 1]], axis=2) / 100.0
    qty = rng.integers(1, 9, (rows, levels, 2)) * 100.0
    if gaps:
        unknown = rng.random((rows, 1, 2)) < 0.05
        empty = rng.random((rows, 1, 2)) < 0.05
        deep = np.arange(levels)[None, :, None] >= rng.integers(1, levels + 1, (rows, 1, 2))
        px[(unknown | empty) & deep] = np.nan
        qty[np.broadcast_to(unknown & deep, qty.shape)] = np.nan
        qty[np.broadcast_to(~unknown & empty & deep, qty.shape)] = 0.0
        missing = rng.random((rows, 2)) < 0.03
        px[:, 0][missing] = np.nan
        qty[:, 0][missing] = np.where(rng.random(missing.sum()) < 0.5, np.nan, 0.0)
    book = np.stack([px[:, :, 0], qty[:, :, 0], px[:, :, 1], qty[:, :, 1]], axis=2).reshape(rows, -1)
    traded = rng.random(rows) < 0.3
    trade = np.where(traded, [centre / 100.0, rng.integers(1, 500, rows), rng.integers(-1, 2, rows)], np.nan)
    trade[2][~traded] = 0.0
    second = 40_000.0 + np.cumsum(rng.choice([0.0, 0.001, 0.3, 2.0], rows))
    return np.column_stack([book, trade.T, second, np.full(rows, 3.0), np.linspace(0.0, 1.0, rows)])


def back(values: Floats, n: int) -> Floats:
    """The last ``n`` values at each row, oldest first; NaN before the first."""
    return sliding_window_view(np.concatenate([np.full(n - 1, np.nan), values]), n)


def slow(x: Floats, o: MicrostructureOptions) -> dict[str, Floats]:
    """Features of one session's rows that all have a quote; the micro-price has a test of its own."""
    book, t = x[:, : 4 * o.levels].reshape(len(x), o.levels, 4), x[:, -3]
    mid = (x[:, 0] + x[:, 2]) / 2
    return {
        **slow_levels(book, mid),
        **slow_flow(x, o),
        **slow_returns(np.diff(np.log(mid), prepend=np.nan), o.window),
        **{f"momentum_{n}": mid / np.concatenate([np.full(n, np.nan), mid[:-n]]) - 1 for n in o.flow},
        **slow_trades(x[:, 4 * o.levels : 4 * o.levels + 3], mid, o.trades),
        **slow_excitation(x, t, o),
        "time_sin": np.sin(2 * np.pi * x[:, -1]),
        "time_cos": np.cos(2 * np.pi * x[:, -1]),
    }


def slow_levels(book: Floats, mid: Floats) -> dict[str, Floats]:
    bids, asks = np.cumsum(book[:, :, 1], axis=1), np.cumsum(book[:, :, 3], axis=1)
    weight = 1 / np.arange(1, book.shape[1] + 1)
    near = [(book[:, :, k] * weight).sum(axis=1) for k in (1, 3)]
    slopes = [np.array([slope(level, m, side) for level, m in zip(book, mid, strict=True)]) for side in (0, 2)]
    found = {f"imbalance_{k + 1}": (bids[:, k] - asks[:, k]) / (bids[:, k] + asks[:, k]) for k in range(bids.shape[1])}
    return found | {
        "depth_imbalance": (near[0] - near[1]) / (near[0] + near[1]),
        "depth_ratio": bids[:, -1] / asks[:, -1],
        "bid_slope": slopes[0],
        "ask_slope": slopes[1],
        "depth_asymmetry": (slopes[0] - slopes[1]) / (slopes[0] + slopes[1]),
        "spread_bp": (book[:, 0, 2] - book[:, 0, 0]) / mid * 1e4,
        "weighted_mid": np.array([np.average(b[0, [0, 2]], weights=b[0, [3, 1]]) for b in book]),
    }


def slope(level: Floats, mid: float, side: int) -> float:
    if np.isnan(level[:, side + 1]).any():
        return np.nan
    there = level[:, side + 1] > 0
    away = np.abs(level[there, side] / mid - 1) * 1e4
    return float(np.linalg.lstsq(away[:, None], np.cumsum(level[there, side + 1]), rcond=None)[0][0])


def slow_flow(x: Floats, o: MicrostructureOptions) -> dict[str, Floats]:
    (b0, qb0, a0, qa0), (b1, qb1, a1, qa1) = x[:-1, :4].T, x[1:, :4].T
    e = (b1 >= b0) * qb1 - (b1 <= b0) * qb0 - (a1 <= a0) * qa1 + (a1 >= a0) * qa0
    ofi = np.concatenate([[0.0], e])
    signed = np.nan_to_num(x[:, 4 * o.levels + 1] * x[:, 4 * o.levels + 2])
    found = {"ofi": ofi}
    for n in o.flow:
        found |= {f"ofi_{n}": back(ofi, n).sum(axis=1), f"trade_imbalance_{n}": back(signed, n).sum(axis=1)}
    return found


def slow_returns(returns: Floats, window: int) -> dict[str, Floats]:
    r = back(returns, window)
    moved = r.std(axis=1) > 1e-15
    skew, kurtosis = np.zeros(len(r)), np.zeros(len(r))
    skew[moved], kurtosis[moved] = stats.skew(r[moved], axis=1), stats.kurtosis(r[moved], axis=1)
    return {
        "realised_volatility": np.sqrt((r**2).sum(axis=1)),
        "return_mean": r.mean(axis=1),
        "return_std": r.std(axis=1),
        "return_skew": skew,
        "return_kurtosis": kurtosis,
        **{f"autocorrelation_{k}": acf(r, k) for k in (1, 5, 10, 20)},
        "absolute_autocorrelation": acf(np.abs(r), 1),
        "squared_autocorrelation": acf(r**2, 1),
    }


def acf(r: Floats, lag: int) -> Floats:
    d = r - r.mean(axis=1, keepdims=True)
    energy = (d * d).sum(axis=1)
    varies = d.std(axis=1) > 1e-9 * np.abs(r).mean(axis=1)
    return np.where(varies, (d[:, lag:] * d[:, :-lag]).sum(axis=1) / np.where(varies, energy, 1.0), 0.0)


def slow_trades(trade: Floats, mid: Floats, window: int) -> dict[str, Floats]:
    rows = []
    for i in range(len(trade)):
        seen = trade[: i + 1][trade[: i + 1, 1] > 0]
        sizes, signs = seen[-window:, 1], seen[seen[:, 2] != 0][-window:, 2]
        rows.append(
            (
                mid[i] / np.average(seen[:, 0], weights=seen[:, 1]) - 1 if len(seen) else 0.0,
                sizes[-1] / sizes.mean() if len(seen) else 0.0,
                signs.mean() if len(signs) else 0.0,
                (signs[1:] * signs[:-1]).mean() if len(signs) > 1 else 0.0,
            )
        )
    names = ("vwap_deviation", "relative_trade_size", "trade_bias", "trade_persistence")
    return dict(zip(names, np.array(rows).T, strict=True))


def slow_excitation(x: Floats, t: Floats, o: MicrostructureOptions) -> dict[str, Floats]:
    """Sums over all of the past, by definition: kernels of the time since each event."""
    since = np.maximum(t[:, None] - t[None, :], 0.0)
    past = np.tri(len(t), dtype=bool)
    kernel = np.where(past, o.alpha * np.exp(-o.beta * since), 0.0)
    side = np.where(x[:, 4 * o.levels + 1] > 0, x[:, 4 * o.levels + 2], 0.0)
    fade = np.log(2) / o.half_life
    weight = np.where(past, fade * np.exp(-fade * since), 0.0)
    found = {"hawkes_buy": o.mu + kernel @ (side > 0), "hawkes_sell": o.mu + kernel @ (side < 0)}
    for name, k, worse in (("bid_depletion", 0, -1), ("ask_depletion", 2, 1)):
        (p0, q0), (p1, q1) = x[:-1, k : k + 2].T, x[1:, k : k + 2].T
        lost = np.where(p1 == p0, np.maximum(q0 - q1, 0.0), np.where((p1 - p0) * worse > 0, q0, 0.0))
        found[name] = weight @ np.concatenate([[0.0], lost])
    return found


def agrees(x: Floats, o: MicrostructureOptions) -> None:
    fs = microstructure(o)
    got = fs.scan(x, fs.start())
    quoted = (x[:, :4] > 0).all(axis=1)
    assert np.isnan(got[~quoted]).all()
    got, expected = got[quoted], slow(x[quoted], o)
    assert set(fs.outputs) - set(expected) == {"microprice", "mid_to_microprice"}
    assert np.isnan(got[: fs.warmup]).all()
    for name, values in expected.items():
        column = got[fs.warmup :, fs.outputs.index(name)]
        np.testing.assert_allclose(column, values[fs.warmup :], rtol=1e-9, atol=1e-10, err_msg=name)
        assert np.unique(column[~np.isnan(column)]).size > 1, f"{name} never varies here"


@pytest.mark.parametrize("symbol", ["AMZN", "GOOG"])
@pytest.mark.parametrize("first", [0, 60_000])
def test_agrees_with_slow_arithmetic_on_real_books(symbol: str, first: int, market_data: Path) -> None:
    agrees(lobster(market_data, symbol)[first : first + 2_500], MicrostructureOptions())


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_slow_arithmetic_where_levels_and_quotes_are_missing(seed: int) -> None:
    agrees(random_books(seed), SMALL)


@given(seed=st.integers(0, 2**32), gaps=st.booleans())
@settings(max_examples=15)
def test_agrees_with_slow_arithmetic_on_random_books(seed: int, gaps: bool) -> None:
    agrees(random_books(seed, gaps=gaps), SMALL)


def test_a_market_that_does_not_move_has_no_shape() -> None:
    x = random_books(0, gaps=False)
    x[100:, 0], x[100:, 2] = x[100, 0], x[100, 2]
    fs = microstructure(SMALL)
    got = pd.DataFrame(fs.scan(x, fs.start()), columns=fs.outputs).iloc[200:]
    still = [c for c in fs.outputs if c.startswith(("return_", "autocorr", "absolute_", "squared_", "momentum_"))]
    assert (got[[*still, "realised_volatility"]] == 0.0).all(axis=None)


@pytest.mark.parametrize("price", [30.02, 585.33, 5_853.11])
def test_a_mid_that_differs_by_rounding_only_does_not_move(price: float) -> None:
    """A spread that widens and narrows about one mid, in cents: (bid + ask) / 2 differs in its last bit."""
    x = random_books(0, gaps=False)
    half = np.random.default_rng(1).integers(1, 9, len(x))
    x[:, 0], x[:, 2] = np.round(price - half / 100, 2), np.round(price + half / 100, 2)
    mid = (x[:, 0] + x[:, 2]) / 2
    assert 0 < np.abs(np.diff(mid) / mid[1:]).max() < 1e-15
    fs = microstructure(SMALL)
    got = pd.DataFrame(fs.scan(x, fs.start()), columns=fs.outputs).iloc[fs.warmup :]
    still = [c for c in fs.outputs if c.startswith(("return_", "autocorr", "absolute_", "squared_"))]
    assert (got[[*still, "realised_volatility"]] == 0.0).all(axis=None)


def test_the_smallest_move_of_a_mid_is_one() -> None:
    x = random_books(0, gaps=False)
    x[:, 0], x[:, 2] = 99_999.99, 100_000.01
    x[::2, 2] = 100_000.02
    fs = microstructure(SMALL)
    last = dict(zip(fs.outputs, fs.scan(x, fs.start())[-1], strict=True))
    assert last["realised_volatility"] == pytest.approx(5e-8 * 30**0.5, rel=1e-6)
    assert last["autocorrelation_1"] < -0.9


def test_a_steady_rise_has_a_mean_and_no_shape() -> None:
    x = random_books(0, rows=200, gaps=False)
    x[:, 0] = 10 * 1.001 ** np.arange(200)
    x[:, 2] = x[:, 0] * 1.002
    fs = microstructure(SMALL)
    got = pd.DataFrame(fs.scan(x, fs.start()), columns=fs.outputs).iloc[fs.warmup :]
    np.testing.assert_allclose(got["return_mean"], np.log(1.001), rtol=1e-12)
    assert (got[["return_skew", "return_kurtosis", "autocorrelation_1", "squared_autocorrelation"]] == 0.0).all(
        axis=None
    )


def test_a_new_session_leaves_nothing_of_the_old_one() -> None:
    fs, first, second = microstructure(SMALL), random_books(1), random_books(2)
    second[:, -2] = 4.0
    carried, fresh = fs.start(), fs.start()
    fs.scan(first, carried)
    np.testing.assert_array_equal(fs.scan(second, carried), fs.scan(second, fresh))
    assert carried.tobytes() == fresh.tobytes()


def test_a_row_without_a_quote_is_as_if_it_were_not_there() -> None:
    fs, x = microstructure(SMALL), random_books(3)
    quoted = (x[:, :4] > 0).all(axis=1)
    assert 0 < (~quoted).sum() < len(x) / 2
    np.testing.assert_array_equal(fs.scan(x, fs.start())[quoted], fs.scan(x[quoted], fs.start()))


def test_an_unknown_level_counts_in_its_row_and_for_what_needs_it_only() -> None:
    fs, x = microstructure(SMALL), random_books(4, gaps=False)
    hidden = x.copy()
    hidden[300:320, 8:10] = np.nan  # the third bid
    known, got = fs.scan(x, fs.start()), fs.scan(hidden, fs.start())
    needs = {"imbalance_3", "depth_imbalance", "depth_ratio", "bid_slope", "depth_asymmetry"}
    assert {fs.outputs[k] for k in np.flatnonzero(np.isnan(got[300:320]).all(axis=0))} == needs
    got[300:320, [fs.outputs.index(name) for name in needs]] = known[300:320, [fs.outputs.index(n) for n in needs]]
    np.testing.assert_array_equal(got, known)


MIRRORED = {"hawkes_buy": "hawkes_sell", "bid_depletion": "ask_depletion", "bid_slope": "ask_slope"}
TURNED = ("imbalance_2", "depth_imbalance", "depth_asymmetry", "ofi", "ofi_7", "trade_imbalance_7", "trade_bias")


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15)
def test_the_mirror_image_of_a_market_has_the_mirror_image_of_its_features(seed: int) -> None:
    fs, x = microstructure(SMALL), random_books(seed, gaps=False)
    mirror = x.copy()
    for k in range(3):
        mirror[:, 4 * k : 4 * k + 4] = x[:, [4 * k + 2, 4 * k + 3, 4 * k, 4 * k + 1]]
        mirror[:, [4 * k, 4 * k + 2]] = 40.0 - mirror[:, [4 * k, 4 * k + 2]]
    mirror[:, 14] = -x[:, 14]
    a, b = (pd.DataFrame(fs.scan(y, fs.start()), columns=fs.outputs)[fs.warmup :] for y in (x, mirror))
    mids = [(y[fs.warmup :, 0] + y[fs.warmup :, 2]) / 2 for y in (x, mirror)]
    for name in TURNED:
        np.testing.assert_allclose(a[name], -b[name], atol=1e-9)
    for one, other in MIRRORED.items():
        scale = mids[1] / mids[0] if one == "bid_slope" else 1.0  # distances are relative to the mid
        np.testing.assert_allclose(a[one] * scale, b[other], rtol=1e-9)
    np.testing.assert_allclose(a["microprice"] - mids[0], mids[1] - b["microprice"], atol=1e-9)


def test_inputs_are_what_the_files_say(market_data: Path) -> None:
    lobsters = source("lobster")
    options = lobsters.options(path=str(market_data / "lobster" / "GOOG_*"))
    context = SourceContext(root=Path(), session=Session(), interval_ns=0, record="books")
    books = pa.concat_tables(lobsters.read(options, context))
    kind = feature_kind("microstructure")
    for calendar in (None, "XNYS"):
        ts, x = kind.inputs(DEFAULT, books, InputContext(symbol="GOOG", session=Session(calendar=calendar)))
        expected = lobster(market_data, "GOOG").copy()
        expected[:, -2] = pd.Timestamp("2012-06-21").value // 86_400 // 10**9
        np.testing.assert_allclose(x, expected, rtol=0, atol=2e-9)
        assert (np.diff(ts) >= 0).all()


def test_levels_that_are_null_are_unknown() -> None:
    schema = pa.schema([(name, pa.float64()) for name in DEFAULT.inputs[:-3]])
    row: dict[str, Any] = dict.fromkeys(schema.names) | {"bid_px_1": 1.0, "bid_qty_1": 2.0, "trade_side": -1.0}
    at = pa.array([pd.Timestamp("2025-01-06 10:30", tz="America/New_York").value], pa.timestamp("ns", tz="UTC"))
    books = pa.Table.from_pylist([row], schema=schema).append_column("ts_event", at)
    _, x = feature_kind("microstructure").inputs(DEFAULT, books, InputContext(symbol="A", session=Session()))
    named = dict(zip(DEFAULT.inputs, x[0], strict=True))
    known = {name: value for name, value in named.items() if not np.isnan(value)}
    assert known == {
        "bid_px_1": 1.0,
        "bid_qty_1": 2.0,
        "trade_side": -1.0,
        "second": 15.5 * 3600,
        "session": 20094.0,
        "session_position": pytest.approx(1 / 6.5),
    }


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"levels": 11}, "levels: Input should be less than or equal to 10"),
        ({"flow": [10, 10]}, r"flow: .* that rise; got \[10, 10\]"),
        ({"flow": [1, 10]}, "2 to 1000 rows"),
        ({"window": 20}, "window: Input should be greater than or equal to 25"),
        ({"alpha": 1.0, "beta": 1.0}, "alpha .* must be below beta"),
        ({"tick": 0.0}, "tick: Input should be greater than 0"),
    ],
)
def test_wrong_options_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        checked("feature set 'microstructure'", MicrostructureOptions, given)


CHANGED = {
    "levels": 4,
    "flow": (10, 50),
    "window": 90,
    "trades": 40,
    "tick": 0.05,
    "mu": 0.2,
    "alpha": 0.4,
    "beta": 2.0,
}


@pytest.mark.parametrize("name", [*CHANGED, "half_life"])
def test_every_option_changes_the_definition_and_the_features(name: str) -> None:
    value = (CHANGED | {"half_life": 1.0})[name]
    other: FeatureSet = feature_set("microstructure", {name: value})
    x = random_books(5, levels=5)
    y = x[:, np.r_[: 4 * 4, 20:26]] if name == "levels" else x
    ours, theirs = DEFAULT.scan(x, DEFAULT.start()), other.scan(y, other.start())
    assert ours.shape != theirs.shape or not np.array_equal(ours, theirs, equal_nan=True)
    assert other.definition != DEFAULT.definition
