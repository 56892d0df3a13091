"""The set of ticks against TA-Lib and the long way, over sessions, without quotes, and from records to features."""

from __future__ import annotations

import gzip
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import ConfigError
from data.features import calendar, feature_kind, feature_set
from data.features.base import FeatureSet, Floats, InputContext
from data.features.calendar import CLOCK, SessionClock
from data.features.compiled import source_of
from data.features.ticks import LOOKBACKS, TickOptions, ticks
from data.records.ticks import TICKS

talib = pytest.importorskip("talib")

SET = ticks()
WARM = SET.warmup
X = {name: k for k, name in enumerate(SET.inputs)}
SHORT = (2, 3)


def column(fs: FeatureSet, out: Floats, name: str) -> Floats:
    return out[..., fs.outputs.index(name)]


def market(rows: int = 400, seed: int = 0, sessions: int = 1, quotes: float = 1.0) -> Floats:
    """Trades on a grid of cents that often do not move; a share of them with a quote, sessions of uneven length."""
    rng = np.random.default_rng(seed)
    price = np.round(150 + np.cumsum(rng.integers(-3, 4, rows) * 0.01 * (rng.random(rows) < 0.6)), 2)
    half = rng.integers(1, 6, rows) * 0.005
    bid, ask = price - half, price + half
    bid[rng.random(rows) >= quotes] = np.nan
    session = 20_000 + np.sort(rng.integers(0, sessions, rows))
    since = rng.random(rows) * 390
    clock = [rng.integers(9, 16, rows), rng.integers(0, 60, rows), rng.integers(0, 5, rows), np.ones(rows)]
    volume = rng.integers(1, 900, rows)
    return np.column_stack([price, volume, bid, ask, session, *clock, since, 390 - since])


def talib_columns(price: Floats, volume: Floats, lookbacks: tuple[int, ...]) -> dict[str, Floats]:
    price, volume = np.ascontiguousarray(price), np.ascontiguousarray(volume)
    line, signal, rest = talib.MACD(price, 12, 26, 9)
    upper, middle, lower = talib.BBANDS(price, 20, 2.0, 2.0)
    slow_k, slow_d = talib.STOCH(price, price, price, 14, 3, 0, 3, 0)
    columns = {
        "rsi_14": talib.RSI(price, 14),
        "macd": line,
        "macd_signal": signal,
        "macd_hist": rest,
        "bollinger_upper": upper,
        "bollinger_middle": middle,
        "bollinger_lower": lower,
        "stoch_k": slow_k,
        "stoch_d": slow_d,
        "williams_r_14": talib.WILLR(price, price, price, 14),
    }
    for n in lookbacks:
        columns[f"price_mean_{n}"], columns[f"volume_mean_{n}"] = talib.SMA(price, n), talib.SMA(volume, n)
        columns[f"price_std_{n}"], columns[f"volume_std_{n}"] = talib.STDDEV(price, n), talib.STDDEV(volume, n)
        columns[f"price_min_{n}"], columns[f"price_max_{n}"] = talib.MIN(price, n), talib.MAX(price, n)
        columns[f"price_ema_{n}"] = talib.EMA(price, n)
    return columns


def agrees_with_talib(x: Floats, lookbacks: tuple[int, ...] = LOOKBACKS) -> None:
    """From the first row after the warm-up on: there is nothing to converge."""
    fs = ticks(lookbacks)
    got = fs.scan(x, fs.start())
    for name, expected in talib_columns(x[:, 0], x[:, 1], lookbacks).items():
        assert not np.isnan(expected[fs.warmup :]).any(), name
        np.testing.assert_allclose(
            column(fs, got, name)[fs.warmup :], expected[fs.warmup :], rtol=1e-9, atol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_talib_on_simulated_ticks(seed: int) -> None:
    agrees_with_talib(market(rows=5_000, seed=seed))


@pytest.mark.parametrize("lookbacks", [SHORT, (35,), (2, 3, 4, 14, 20, 21, 60, 100)])
def test_agrees_with_talib_at_other_lookbacks(lookbacks: tuple[int, ...]) -> None:
    agrees_with_talib(market(rows=1_000), lookbacks)


@pytest.mark.parametrize("symbol", ["AMZN", "GOOG"])
def test_agrees_with_talib_on_real_executions(symbol: str, market_data: Path) -> None:
    (path,) = (market_data / "lobster").glob(f"{symbol}_*_message_5.csv.gz")
    with gzip.open(path, "rt") as file:
        message = np.loadtxt(file, delimiter=",", usecols=(1, 3, 4))
    trades = message[np.isin(message[:, 0], (4, 5))]
    x = market(rows=len(trades))
    x[:, 0], x[:, 1] = trades[:, 2] / 10_000, trades[:, 1]
    assert len(x) > 10_000
    agrees_with_talib(x)


def indicator_columns() -> set[str]:
    return set(talib_columns(market()[:, 0], market()[:, 1], LOOKBACKS))


def obvious(x: Floats, row: int, lookbacks: tuple[int, ...] = LOOKBACKS) -> dict[str, float]:
    """The features of a row that TA-Lib does not have, from one session's rows up to it, the long way."""
    price, volume, ema = x[: row + 1, 0], x[: row + 1, 1], {n: talib.EMA(x[: row + 1, 0].copy(), n) for n in lookbacks}
    out = {
        "price_change": price[-1] - price[-2],
        "price_pct": price[-1] / price[-2] - 1,
        "log_return": np.log(price[-1]) - np.log(price[-2]),
        "volume_change": volume[-1] - volume[-2],
        "volume_pct": volume[-1] / volume[-2] - 1,
        "vwap": (vwap := np.average(price, weights=volume)),
        "price_vs_vwap": price[-1] / vwap - 1,
        "bollinger_position": share(price[-1], price[-20:].mean(), 2 * price[-20:].std()),
    }
    bid, ask = quotes(x[: row + 1])
    mid, spread = (bid + ask)[-1] / 2, ask - bid
    out |= {"spread": spread[-1], "spread_pct": spread[-1] / mid, "mid": mid, "price_vs_mid": price[-1] / mid - 1}
    for n in lookbacks:
        low, high, middle = price[-n:].min(), price[-n:].max(), (price[-n:].min() + price[-n:].max()) / 2
        out[f"price_position_{n}"] = share(price[-1], middle, (high - low) / 2)
        out[f"price_vs_mean_{n}"] = price[-1] / price[-n:].mean() - 1
        out[f"price_vs_ema_{n}"] = price[-1] / ema[n][-1] - 1
        out[f"volume_vs_mean_{n}"] = volume[-1] / volume[-n:].mean() - 1
        out[f"spread_mean_{n}"], out[f"spread_std_{n}"] = spread[-n:].mean(), spread[-n:].std()
    return out | {name: x[row, X[name]] for name in CLOCK[1:]}


def share(value: float, middle: float, half: float) -> float:
    return 0.5 + (value - middle) / (2 * half) if half > 0 else 0.5


def quotes(x: Floats) -> tuple[Floats, Floats]:
    """Bid and ask that stand at each row: the last at which both were known; NaN before the first."""
    out, last = np.empty((len(x), 2)), np.array([np.nan, np.nan])
    for i, both in enumerate(x[:, 2:4]):
        last = out[i] = last if np.isnan(both).any() else both
    return out[:, 0], out[:, 1]


def test_every_column_has_an_oracle_and_one_only() -> None:
    long_way = set(obvious(market(), WARM))
    assert long_way | indicator_columns() == set(SET.outputs)
    assert not long_way & indicator_columns()


@pytest.mark.parametrize("known", [1.0, 0.3, 0.01, 0.0])
def test_agrees_with_the_long_way(known: float) -> None:
    x = market(quotes=known, seed=5)
    got = SET.scan(x, SET.start())
    for row in range(WARM, len(x)):
        for name, value in obvious(x, row).items():
            assert column(SET, got[row], name) == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), (name, row)


def test_without_quotes_the_rest_is_the_same() -> None:
    x = market(quotes=1.0)
    blind = x.copy()
    blind[:, 3] = np.nan
    with_quotes, without = SET.scan(x, SET.start()), SET.scan(blind, SET.start())
    about = np.array([name.startswith("spread") or name in ("mid", "price_vs_mid") for name in SET.outputs])
    assert np.isnan(without[:, about]).all()
    np.testing.assert_array_equal(with_quotes[:, ~about], without[:, ~about])


def test_a_session_that_begins_without_quotes_forgets_it_as_soon_as_it_can() -> None:
    """From n quotes on, the spread's columns are those of a market that had quotes from its first trade, to 1e-12."""
    x = market()
    late = x.copy()
    late[:100, 2] = np.nan
    full, got = SET.scan(x, SET.start()), SET.scan(late, SET.start())
    assert np.isnan(column(SET, got[WARM:100], "spread")).all()
    assert np.isnan(column(SET, got[WARM:149], "spread_std_50")).all()
    np.testing.assert_allclose(got[149:], full[149:], rtol=0, atol=1e-12)


def by_session(x: Floats) -> Iterator[Floats]:
    yield from np.split(x, np.flatnonzero(np.diff(x[:, X["session"]])) + 1)


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 400), max_size=5))
@settings(max_examples=25)
def test_a_session_starts_anew_to_the_last_bit_wherever_history_is_cut(seed: int, cuts: list[int]) -> None:
    x, fs = market(seed=seed, sessions=4, quotes=0.5), ticks(SHORT)
    together = fs.start()
    whole = [fs.scan(piece, together) for piece in np.split(x, sorted(cuts))]
    apart = []
    for session in by_session(x):
        fresh = fs.start()
        apart.append(fs.scan(session, fresh))
    np.testing.assert_array_equal(np.concatenate(whole), np.concatenate(apart))
    assert together.tobytes() == fresh.tobytes()


def test_every_session_has_its_warmup() -> None:
    x = market(rows=600, sessions=3)
    for session in by_session(x):
        missing = np.isnan(SET.scan(session, SET.start()))
        assert missing[:WARM].all()
        assert not missing[WARM:].any()


def test_a_price_that_never_moves() -> None:
    """TA-Lib's values where it has a convention; the RSI is 50, not TA-Lib's 0, which is that of a price that fell."""
    x = market(rows=100)
    x[:, 0] = 0.1
    row = dict(zip(SET.outputs, SET.scan(x, SET.start())[-1].tolist(), strict=True))
    expected = talib_columns(x[:, 0], x[:, 1], LOOKBACKS)
    assert expected["rsi_14"][-1] == 0.0
    assert row["rsi_14"] == 50.0
    for name in ("stoch_k", "stoch_d", "williams_r_14", "macd", "macd_signal", "macd_hist", "price_std_50"):
        assert row[name] == pytest.approx(expected[name][-1], abs=1e-12), name
    assert row["price_position_20"] == row["bollinger_position"] == 0.5
    assert row["price_std_20"] == row["price_vs_mean_50"] == row["price_change"] == 0.0
    assert row["bollinger_upper"] == row["bollinger_lower"] == row["price_mean_5"] == 0.1


@given(seed=st.integers(0, 2**32), quotes=st.floats(0, 1))
@settings(max_examples=25)
def test_features_stay_within_their_bounds(seed: int, quotes: float) -> None:
    got = SET.scan(market(seed=seed, quotes=quotes), SET.start())[WARM:]
    assert not np.isinf(got).any()
    bounds = {"rsi_14": (0, 100), "stoch_k": (0, 100), "stoch_d": (0, 100), "williams_r_14": (-100, 0)}
    for n in LOOKBACKS:
        bounds |= {f"price_position_{n}": (0, 1), f"price_std_{n}": (0, 10), f"volume_vs_mean_{n}": (-1, n)}
        assert (column(SET, got, f"price_min_{n}") <= column(SET, got, f"price_mean_{n}") + 1e-9).all()
        assert (column(SET, got, f"price_max_{n}") >= column(SET, got, f"price_mean_{n}") - 1e-9).all()
    for name, (low, high) in bounds.items():
        values = column(SET, got, name)
        assert (values >= low - 1e-9).all(), name
        assert (values <= high + 1e-9).all(), name


def test_lookbacks_are_options_and_part_of_the_definition() -> None:
    short = feature_set("ticks", {"lookbacks": [2, 100]})
    assert short.warmup == 99
    assert "spread_std_100" in short.outputs
    assert not any(name.endswith("_50") for name in short.outputs)
    assert feature_set("ticks") is feature_set("ticks", {"lookbacks": list(LOOKBACKS)})
    definitions = {ticks(lookbacks).definition for lookbacks in (LOOKBACKS, (2, 100), (2, 101), (3, 100))}
    assert len(definitions) == 4


@pytest.mark.parametrize("wrong", [[], [5, 5], [10, 5], [1, 5], [5, 1001], list(range(2, 11)), ["a"]])
def test_other_lookbacks_are_refused(wrong: list[object]) -> None:
    with pytest.raises(ConfigError, match="feature set 'ticks': lookbacks"):
        feature_set("ticks", {"lookbacks": wrong})


def test_the_calendar_is_part_of_the_definition() -> None:
    source = "\n".join(map(source_of, SET.inputs_from))
    parts = [f for f in vars(calendar).values() if getattr(f, "__module__", "") == calendar.__name__]
    functions = [f for f in parts if not inspect.isclass(f) and f is not calendar._known_pieces]
    assert len(functions) > 10
    for part in (*functions, SessionClock.at):
        assert inspect.getsource(getattr(part, "py_func", part)) in source, part


def records(x: Floats, ts: list[int]) -> pa.Table:
    columns = {"price": x[:, 0], "volume": x[:, 1], "bid": x[:, 2], "ask": x[:, 3]}
    arrays = [pa.array(values, from_pandas=True) for values in columns.values()]
    stamps = pa.array(ts, pa.int64()).cast(TICKS.field("ts_event").type)
    return pa.table([stamps, *arrays], names=["ts_event", *columns])


def test_records_become_rows_with_the_clock_of_their_calendar() -> None:
    x, session = market(rows=300, quotes=0.5), Session(calendar="XNYS")
    start = 1_720_000_000_000_000_000
    ts = [start + k * 60_000_000_000 for k in range(300)]
    table = records(x, ts)
    assert table["bid"].null_count > 0
    got_ts, got = feature_kind("ticks").inputs(SET, table, InputContext(symbol="A", session=session))
    assert got_ts.tolist() == ts
    np.testing.assert_array_equal(got[:, :4], x[:, :4])
    np.testing.assert_array_equal(got[:, 4:], SessionClock(session).at(np.array(ts)))
    _, none = feature_kind("ticks").inputs(SET, table.slice(0, 0), InputContext(symbol="A", session=session))
    assert none.shape == (0, len(SET.inputs))


def test_ten_thousand_symbols_survive_a_restart(tmp_path: Path) -> None:
    fs, rows = ticks(SHORT), 36
    x, who = market(rows=10_000 * rows), np.tile(np.arange(10_000), rows)
    state = fs.start(10_000)
    fs.scan(x[:-10_000], state, who[:-10_000])
    np.save(tmp_path / "state.npy", state, allow_pickle=False)
    restored = np.load(tmp_path / "state.npy", allow_pickle=False)
    copied = np.frombuffer(bytearray(state.tobytes()), fs.state)
    expected = fs.scan(x[-10_000:], state, who[-10_000:])
    assert np.isfinite(expected).all()
    for again in (restored, copied):
        np.testing.assert_array_equal(fs.scan(x[-10_000:], again, who[-10_000:]), expected)
        assert again.tobytes() == state.tobytes()


def test_the_set_starts_anew_with_each_session() -> None:
    kind = feature_kind("ticks")
    assert (kind.record, kind.by_session, kind.market) == ("ticks", True, None)
    assert TickOptions().lookbacks == LOOKBACKS
