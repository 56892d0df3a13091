"""The hourly set as a scan, against the same columns in polars and pandas: a long history, and one new bar.

python -m benchmarks.bench_features [--rows 1000000] [--repeats 5]

All three run on one thread in one process, in turn, so that a busy machine slows them alike; figures are medians. The
results must agree to 1e-9 before anything is printed. A new bar costs the scan one row; polars and pandas have no
state and compute the tail that the declared warm-up asks for.
"""

from __future__ import annotations

import os

os.environ["POLARS_MAX_THREADS"] = "1"  # read once, when polars is imported
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from data.features.base import Floats
from data.features.hourly import FAST, HOURLY, SLOW, WARMUP, WILDER


def market(rows: int) -> Floats:
    """A random walk in sessions of seven bars, in the columns the hourly kernel reads."""
    rng = np.random.default_rng(0)
    at = np.arange(rows)
    close = 150 * np.exp(np.cumsum(rng.normal(0, 0.001, rows)))
    opens = np.roll(close, 1) * np.exp(rng.normal(0, 0.0003, rows))
    high = np.maximum(opens, close) * (1 + np.abs(rng.normal(0, 0.0003, rows)))
    low = np.minimum(opens, close) * (1 - np.abs(rng.normal(0, 0.0003, rows)))
    volume = rng.integers(0, 10_000_000, rows)
    context = np.column_stack([rng.normal(0, 0.001, rows), np.abs(rng.normal(0.001, 0.0002, rows))])
    return np.column_stack([opens, high, low, close, volume, at // 7, 10 + at % 7, (1 + at % 7) / 7, context])


def polars_wilder(value: pl.Expr) -> pl.Expr:
    """Wilder's average in Polars: seeded by a plain mean."""
    row = pl.int_range(pl.len())
    seed = pl.when(row == WILDER).then(value.rolling_mean(WILDER))
    return seed.when(row > WILDER).then(value).ewm_mean(alpha=1 / WILDER, adjust=False)


def polars_columns() -> list[pl.Expr]:
    """The features of `hourly` as Polars expressions."""
    o, h, low, c, v, session = (pl.col(n) for n in ("open", "high", "low", "close", "volume", "session"))
    before, fast, slow = c.shift(1), c.rolling_mean(FAST), c.rolling_mean(SLOW)
    returns, move = (c / before).log(), c - before
    gain, loss = polars_wilder(move.clip(lower_bound=0)), polars_wilder((-move).clip(lower_bound=0))
    true_range = pl.max_horizontal(h, before) - pl.min_horizontal(low, before)
    columns = {
        "log_return": returns,
        "range": (h - low) / c,
        "body": (c - o) / c,
        "close_vs_sma_5": c / fast - 1,
        "close_vs_sma_20": c / slow - 1,
        "sma_5_vs_sma_20": fast / slow - 1,
        "std_20": returns.rolling_std(SLOW, ddof=0),
        "rsi_14": 100 * gain / (gain + loss),
        "atr_14": polars_wilder(true_range) / c,
        "bollinger_width_20": 4 * c.rolling_std(SLOW, ddof=0) / slow,
        "volume_vs_mean_20": v / v.rolling_mean(SLOW) - 1,
        "hour": pl.col("hour"),
        "session_position": pl.col("session_position"),
        "overnight_gap": pl.when(session != session.shift(1)).then(o / before - 1).otherwise(0.0),
        "basket_return": pl.col("basket_return"),
        "basket_volatility": pl.col("basket_volatility"),
        "relative_return": returns - pl.col("basket_return"),
    }
    return [columns[name].alias(name) for name in HOURLY.outputs]


def pandas_wilder(value: pd.Series) -> pd.Series:
    """The same average in pandas."""
    seeded = value.copy()
    seeded.iloc[:WILDER] = np.nan
    seeded.iloc[WILDER] = value.iloc[1 : WILDER + 1].mean()
    return seeded.ewm(alpha=1 / WILDER, adjust=False).mean()


def pandas_columns(d: pd.DataFrame) -> pd.DataFrame:
    """The features of `hourly` in pandas."""
    c, before = d["close"], d["close"].shift(1)
    fast, slow = c.rolling(FAST).mean(), c.rolling(SLOW).mean()
    returns, move = np.log(c / before), c - before
    gain, loss = pandas_wilder(move.clip(lower=0)), pandas_wilder((-move).clip(lower=0))
    true_range = np.maximum(d["high"], before) - np.minimum(d["low"], before)
    first = d["session"] != d["session"].shift(1)
    columns = {
        "log_return": returns,
        "range": (d["high"] - d["low"]) / c,
        "body": (c - d["open"]) / c,
        "close_vs_sma_5": c / fast - 1,
        "close_vs_sma_20": c / slow - 1,
        "sma_5_vs_sma_20": fast / slow - 1,
        "std_20": returns.rolling(SLOW).std(ddof=0),
        "rsi_14": 100 * gain / (gain + loss),
        "atr_14": pandas_wilder(true_range) / c,
        "bollinger_width_20": 4 * c.rolling(SLOW).std(ddof=0) / slow,
        "volume_vs_mean_20": d["volume"] / d["volume"].rolling(SLOW).mean() - 1,
        "hour": d["hour"],
        "session_position": d["session_position"],
        "overnight_gap": (d["open"] / before - 1).where(first, 0.0),
        "basket_return": d["basket_return"],
        "basket_volatility": d["basket_volatility"],
        "relative_return": returns - d["basket_return"],
    }
    return pd.DataFrame({name: columns[name] for name in HOURLY.outputs})


def seconds(call: Callable[[], Any], times: int = 1) -> float:
    """Mean seconds of a call."""
    started = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - started) / times


def in_turn(calls: dict[str, tuple[Callable[[], Any], int]], repeats: int) -> dict[str, float]:
    """Median seconds of each call, one round of all after the other."""
    rounds = [{name: seconds(call, times) for name, (call, times) in calls.items()} for _ in range(repeats)]
    return {name: median(r[name] for r in rounds) for name in calls}


def check(x: Floats, table: pl.DataFrame, frame: pd.DataFrame, columns: list[pl.Expr]) -> None:
    """Fail unless Polars and pandas say what the scan says."""
    expected = HOURLY.scan(x, HOURLY.start())[WARMUP:]
    rivals = {"polars": table.select(columns).to_numpy(), "pandas": pandas_columns(frame).to_numpy()}
    for name, got in rivals.items():
        np.testing.assert_allclose(got[WARMUP:], expected, rtol=1e-9, atol=1e-9, err_msg=name)


def report(title: str, unit: str, scale: float, measured: dict[str, float], base: str = "scan") -> None:
    """Print each figure, and its multiple of the base."""
    print(title)
    for name, value in measured.items():
        print(f"  {name:<28}{value * scale:12.3f} {unit}   {value / measured[base]:8.1f} x {base}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    x = market(options.rows)
    table, columns = pl.DataFrame(x, schema=list(HOURLY.inputs), orient="row"), polars_columns()
    frame = pd.DataFrame(x, columns=list(HOURLY.inputs))
    check(x, table, frame, columns)
    report(
        f"{len(HOURLY.outputs)} columns, {options.rows:,} rows, one thread (polars {pl.__version__}, "
        f"pandas {pd.__version__}); all agree to 1e-9",
        "µs a row",
        1e6 / options.rows,
        in_turn(
            {
                "scan": (lambda: HOURLY.scan(x, HOURLY.start()), 1),
                "polars": (lambda: table.select(columns), 1),
                "pandas": (lambda: pandas_columns(frame), 1),
            },
            options.repeats,
        ),
    )
    one_row(x, table.tail(WARMUP + 1), frame.tail(WARMUP + 1), columns, options.repeats)


def one_row(x: Floats, tail: pl.DataFrame, tail_frame: pd.DataFrame, columns: list[pl.Expr], repeats: int) -> None:
    """Print what one more bar takes."""
    state, row = HOURLY.start(), x[-1:].copy()
    who, out = np.zeros(1, np.int64), np.empty((1, len(HOURLY.outputs)))
    HOURLY.scan(x[:-1], state)
    calls: dict[str, tuple[Callable[[], Any], int]] = {
        "scan": (lambda: HOURLY.scan(row, state), 20_000),
        "scan, caller's arrays": (lambda: HOURLY.scan(row, state, who, out), 20_000),
        "kernel alone": (lambda: HOURLY.kernel(row, who, state, out), 20_000),
        f"polars, last {len(tail)} rows": (lambda: tail.select(columns), 20),
        f"pandas, last {len(tail)} rows": (lambda: pandas_columns(tail_frame), 5),
    }
    report("one new row, state of one symbol", "µs", 1e6, in_turn(calls, repeats))


if __name__ == "__main__":
    main()
