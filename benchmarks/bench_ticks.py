"""The set of ticks as a scan, against the same columns in polars and pandas: a day of trades, one trade, many symbols.

python -m benchmarks.bench_ticks [--rows 1000000] [--repeats 5]

All three run on one thread in one process, in turn, so that a busy machine slows them alike; figures are medians. The
rows are one session, which spares polars and pandas the grouping. Results must agree to 1e-9 before anything is
printed, but for pandas' rolling deviations, which lose digits where a window is all but flat: how many is said. The
rivals have no state: for a new trade they compute a tail of 512 rows, which is enough for the windows and not for the
session's VWAP and the exponential averages, which the scan has exactly.
"""

from __future__ import annotations

import os

os.environ["POLARS_MAX_THREADS"] = "1"  # read once, when polars is imported
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from bellwether.config.sections import Session
from benchmarks.bench_features import in_turn, pandas_wilder, polars_wilder, report
from data.features.base import Floats
from data.features.calendar import CLOCK, SessionClock
from data.features.ticks import LOOKBACKS, ticks

SET, TAIL, SYMBOLS, SNAPSHOT = ticks(), 512, 100, 10_000
OPENS = 1_719_840_600_000_000_000  # 2024-07-01 09:30 in New York


def market(rows: int) -> Floats:
    """A walk on a grid of cents over one session; one trade in ten comes without a quote."""
    rng = np.random.default_rng(0)
    price = np.round(200 + np.cumsum(rng.integers(-2, 3, rows) * 0.01), 2)
    price += max(0.0, 50 - price.min())
    half = rng.integers(1, 6, rows) * 0.005
    bid, ask = price - half, price + half
    bid[1:][rng.random(rows - 1) < 0.1] = np.nan
    ts = OPENS + np.arange(rows) * (390 * 60_000_000_000 // rows)
    clock = SessionClock(Session(calendar="XNYS")).at(ts)
    return np.column_stack([price, rng.integers(1, 1_000, rows), bid, ask, clock])


def polars_ema(value: pl.Expr, n: int, first: int) -> pl.Expr:
    """An exponential mean in Polars: seeded by a plain mean at row ``first``."""
    row = pl.int_range(pl.len())
    seed = pl.when(row == first).then(value.rolling_mean(n))
    return seed.when(row > first).then(value).ewm_mean(alpha=2 / (n + 1), adjust=False)


def polars_columns() -> list[pl.Expr]:
    """The features of `ticks` as Polars expressions."""
    p, v = pl.col("price"), pl.col("volume")
    known = pl.col("bid").is_not_nan() & pl.col("ask").is_not_nan()
    bid, ask = (pl.when(known).then(pl.col(side)).forward_fill() for side in ("bid", "ask"))
    spread, mid, move = ask - bid, (bid + ask) / 2, p - p.shift(1)
    vwap = (p * v).cum_sum() / v.cum_sum()
    gain, loss = polars_wilder(move.clip(lower_bound=0)), polars_wilder((-move).clip(lower_bound=0))
    line = polars_ema(p, 12, 25) - polars_ema(p, 26, 25)
    signal = polars_ema(line, 9, 33)
    middle, width = p.rolling_mean(20), 2 * p.rolling_std(20, ddof=0)
    low, high = p.rolling_min(14), p.rolling_max(14)
    spread_out = p.rolling_max(20) > p.rolling_min(20)
    raw = pl.when(high > low).then(100 * (p - low) / (high - low)).otherwise(0.0)
    stoch_k = raw.rolling_mean(3)
    columns = {
        "price_change": move,
        "price_pct": p / p.shift(1) - 1,
        "log_return": (p / p.shift(1)).log(),
        "volume_change": v - v.shift(1),
        "volume_pct": v / v.shift(1) - 1,
        "vwap": vwap,
        "price_vs_vwap": p / vwap - 1,
        "spread": spread,
        "spread_pct": spread / mid,
        "mid": mid,
        "price_vs_mid": p / mid - 1,
        "rsi_14": 100 * gain / (gain + loss),
        "macd": line,
        "macd_signal": signal,
        "macd_hist": line - signal,
        "bollinger_upper": middle + width,
        "bollinger_middle": middle,
        "bollinger_lower": middle - width,
        "bollinger_position": pl.when(spread_out).then((p - middle + width) / (2 * width)).otherwise(0.5),
        "stoch_k": stoch_k,
        "stoch_d": stoch_k.rolling_mean(3),
        "williams_r_14": pl.when(high > low).then(-100 * (high - p) / (high - low)).otherwise(0.0),
        **{name: pl.col(name) for name in CLOCK[1:]},
    }
    for n in LOOKBACKS:
        columns |= polars_lookback(p, v, spread, n)
    return [columns[name].alias(name) for name in SET.outputs]


def polars_lookback(p: pl.Expr, v: pl.Expr, spread: pl.Expr, n: int) -> dict[str, pl.Expr]:
    """Those over the last ``n`` trades."""
    mean, low, high, ema = p.rolling_mean(n), p.rolling_min(n), p.rolling_max(n), polars_ema(p, n, n - 1)
    return {
        f"price_mean_{n}": mean,
        f"price_std_{n}": p.rolling_std(n, ddof=0),
        f"price_min_{n}": low,
        f"price_max_{n}": high,
        f"price_position_{n}": pl.when(high > low).then((p - low) / (high - low)).otherwise(0.5),
        f"price_ema_{n}": ema,
        f"price_vs_mean_{n}": p / mean - 1,
        f"price_vs_ema_{n}": p / ema - 1,
        f"volume_mean_{n}": v.rolling_mean(n),
        f"volume_std_{n}": v.rolling_std(n, ddof=0),
        f"volume_vs_mean_{n}": v / v.rolling_mean(n) - 1,
        f"spread_mean_{n}": spread.rolling_mean(n),
        f"spread_std_{n}": spread.rolling_std(n, ddof=0),
    }


def pandas_ema(value: pd.Series, n: int, first: int) -> pd.Series:
    """The same mean in pandas."""
    seeded = value.copy()
    seeded.iloc[:first] = np.nan
    seeded.iloc[first] = value.iloc[first + 1 - n : first + 1].mean()
    return seeded.ewm(alpha=2 / (n + 1), adjust=False).mean()


def pandas_columns(d: pd.DataFrame) -> pd.DataFrame:
    """The features of `ticks` in pandas."""
    p, v = d["price"], d["volume"]
    known = d["bid"].notna() & d["ask"].notna()
    bid, ask = (d[side].where(known).ffill() for side in ("bid", "ask"))
    spread, mid, move = ask - bid, (bid + ask) / 2, p - p.shift(1)
    vwap = (p * v).cumsum() / v.cumsum()
    gain, loss = pandas_wilder(move.clip(lower=0)), pandas_wilder((-move).clip(lower=0))
    line = pandas_ema(p, 12, 25) - pandas_ema(p, 26, 25)
    signal = pandas_ema(line, 9, 33)
    middle, width = p.rolling(20).mean(), 2 * p.rolling(20).std(ddof=0)
    low, high = p.rolling(14).min(), p.rolling(14).max()
    stoch_k = (100 * (p - low) / (high - low)).where(high > low, 0.0).rolling(3).mean()
    spread_out = p.rolling(20).max() > p.rolling(20).min()
    columns = {
        "price_change": move,
        "price_pct": p / p.shift(1) - 1,
        "log_return": np.log(p / p.shift(1)),
        "volume_change": v - v.shift(1),
        "volume_pct": v / v.shift(1) - 1,
        "vwap": vwap,
        "price_vs_vwap": p / vwap - 1,
        "spread": spread,
        "spread_pct": spread / mid,
        "mid": mid,
        "price_vs_mid": p / mid - 1,
        "rsi_14": 100 * gain / (gain + loss),
        "macd": line,
        "macd_signal": signal,
        "macd_hist": line - signal,
        "bollinger_upper": middle + width,
        "bollinger_middle": middle,
        "bollinger_lower": middle - width,
        "bollinger_position": ((p - middle + width) / (2 * width)).where(spread_out, 0.5),
        "stoch_k": stoch_k,
        "stoch_d": stoch_k.rolling(3).mean(),
        "williams_r_14": (-100 * (high - p) / (high - low)).where(high > low, 0.0),
        **{name: d[name] for name in CLOCK[1:]},
    }
    for n in LOOKBACKS:
        columns |= pandas_lookback(p, v, spread, n)
    return pd.DataFrame({name: columns[name] for name in SET.outputs})


def pandas_lookback(p: pd.Series, v: pd.Series, spread: pd.Series, n: int) -> dict[str, pd.Series]:
    """Those over the last ``n`` trades."""
    mean, low, high, ema = p.rolling(n).mean(), p.rolling(n).min(), p.rolling(n).max(), pandas_ema(p, n, n - 1)
    volume_mean = v.rolling(n).mean()
    return {
        f"price_mean_{n}": mean,
        f"price_std_{n}": p.rolling(n).std(ddof=0),
        f"price_min_{n}": low,
        f"price_max_{n}": high,
        f"price_position_{n}": ((p - low) / (high - low)).where(high > low, 0.5),
        f"price_ema_{n}": ema,
        f"price_vs_mean_{n}": p / mean - 1,
        f"price_vs_ema_{n}": p / ema - 1,
        f"volume_mean_{n}": volume_mean,
        f"volume_std_{n}": v.rolling(n).std(ddof=0),
        f"volume_vs_mean_{n}": v / volume_mean - 1,
        f"spread_mean_{n}": spread.rolling(n).mean(),
        f"spread_std_{n}": spread.rolling(n).std(ddof=0),
    }


def check(x: Floats, table: pl.DataFrame, frame: pd.DataFrame, columns: list[pl.Expr]) -> None:
    """Fail unless Polars and pandas say what the scan says."""
    expected, warm, rounding = SET.scan(x, SET.start()), SET.warmup, 0.0
    for library, got in (("polars", table.select(columns)), ("pandas", pandas_columns(frame))):
        for k, name in enumerate(SET.outputs):
            values, scan, tolerance = got[name].to_numpy()[warm:], expected[warm:, k], 1e-9
            if library == "pandas" and ("_std_" in name or name.startswith("bollinger")):
                tolerance, rounding = 1e-3, max(rounding, float(np.abs(values - scan).max()))
            np.testing.assert_allclose(values, scan, rtol=tolerance, atol=tolerance, err_msg=f"{name} of {library}")
    print(f"polars and pandas agree with the scan to 1e-9; pandas' deviations and their bands to {rounding:.1e}")


def history(x: Floats, table: pl.DataFrame, frame: pd.DataFrame, columns: list[pl.Expr], repeats: int) -> None:
    """Print what a whole history takes."""
    out = np.empty((len(x), len(SET.outputs)))
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        "scan": (lambda: SET.scan(x, SET.start()), 1),
        "scan, caller's array": (lambda: SET.scan(x, SET.start(), None, out), 1),
        "polars": (lambda: table.select(columns), 1),
        "pandas": (lambda: pandas_columns(frame), 1),
    }
    title = (
        f"{len(SET.outputs)} columns, {len(x):,} rows, one thread (polars {pl.__version__}, pandas {pd.__version__})"
    )
    report(title, "µs a row", 1e6 / len(x), in_turn(calls, repeats))


def one_row(x: Floats, table: pl.DataFrame, frame: pd.DataFrame, columns: list[pl.Expr], repeats: int) -> None:
    """Print what one more trade takes."""
    state, row, clock = SET.start(), x[-1:].copy(), SessionClock(Session(calendar="XNYS"))
    who, out = np.zeros(1, np.int64), np.empty((1, len(SET.outputs)))
    ts, told = np.array([OPENS]), np.empty((1, len(CLOCK)))
    SET.scan(x[:-1], state)

    def with_clock() -> None:
        row[:, -len(CLOCK) :] = clock.at(ts, told)
        SET.scan(row, state, who, out)

    calls: dict[str, tuple[Callable[[], Any], int]] = {
        "scan": (lambda: SET.scan(row, state, who, out), 20_000),
        "clock and scan": (with_clock, 20_000),
        f"polars, last {TAIL} rows": (lambda: table.select(columns), 20),
        f"pandas, last {TAIL} rows": (lambda: pandas_columns(frame), 5),
    }
    report("one new trade of one symbol", "µs", 1e6, in_turn(calls, repeats))


def many_symbols(x: Floats, repeats: int) -> None:
    """Print what a trade takes where trades of many symbols come together."""
    state, who, out = SET.start(SYMBOLS), np.arange(SYMBOLS), np.empty((SYMBOLS, len(SET.outputs)))
    blocks = x[: len(x) // SYMBOLS * SYMBOLS].reshape(-1, SYMBOLS, x.shape[1])
    for block in blocks[:TAIL]:
        SET.scan(block, state, who)
    calls = {"scan": (lambda: SET.scan(blocks[-1], state, who, out), 2_000)}
    report(f"a trade of each of {SYMBOLS} symbols in one call", "µs a symbol", 1e6 / SYMBOLS, in_turn(calls, repeats))


def snapshot(x: Floats, repeats: int) -> None:
    """Print what saving and loading the state of many symbols takes."""
    state = SET.start(SNAPSHOT)
    SET.scan(x, state, np.arange(len(x)) % SNAPSHOT)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.npy"
        calls: dict[str, tuple[Callable[[], Any], int]] = {
            "save and load": (lambda: (np.save(path, state), np.load(path)), 1),
            "to bytes and back": (lambda: np.frombuffer(bytearray(state.tobytes()), SET.state), 1),
        }
        measured = in_turn(calls, repeats)
        assert np.load(path).tobytes() == state.tobytes()
    size = f"{state.nbytes / 1e6:.0f} MB"
    report(f"state of {SNAPSHOT:,} symbols, {size}, to a file and back", "ms", 1e3, measured, "save and load")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    x, columns = market(options.rows), polars_columns()
    table = pl.DataFrame(x, schema=list(SET.inputs), orient="row")
    frame = pd.DataFrame(x, columns=list(SET.inputs))
    check(x, table, frame, columns)
    history(x, table, frame, columns, options.repeats)
    one_row(x, table.tail(TAIL), frame.tail(TAIL), columns, options.repeats)
    many_symbols(x, options.repeats)
    snapshot(x, options.repeats)


if __name__ == "__main__":
    main()
