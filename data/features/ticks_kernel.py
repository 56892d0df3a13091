"""The scan behind the set of ticks: one trade in, one row of features out."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Any

import numpy as np

from data.features.compiled import compiled
from data.features.indicators import (
    MACD,
    MACD_FIRST,
    RSI,
    STOCH,
    STOCHASTIC,
    ema,
    macd_step,
    rsi_step,
    stochastic,
    stochastic_step,
    williams_r,
)
from data.features.windows import (
    begin_extremes,
    begin_windows,
    extremes,
    push_extremes,
    push_windows,
    window_deviation,
    window_mean,
    windows,
)

BANDS, BAND_WIDTH = 20, 2.0
PASSED_ON = 6
"""Columns of the clock, last in ``x`` and passed on last in ``out``."""


def price_lengths(lookbacks: tuple[int, ...]) -> tuple[int, ...]:
    """Windows of the price: those asked for, and those of Bollinger's bands and of the stochastics."""
    return tuple(sorted({*lookbacks, BANDS, STOCHASTIC}))


def tick_warmup(lookbacks: tuple[int, ...]) -> int:
    """Rows of a session before the longest window is full and TA-Lib has its first MACD signal.

    >>> tick_warmup((5, 10)), tick_warmup((5, 50))
    (33, 49)
    """
    return max(*lookbacks, MACD_FIRST) - 1


def tick_state(lookbacks: tuple[int, ...]) -> np.dtype[np.void]:
    """What a symbol remembers: the moving windows, the indicators, and the sums and the last quote of the session."""
    lengths = price_lengths(lookbacks)
    return np.dtype(
        [
            ("rows", "i8"),
            ("session", "f8"),
            ("price", "f8"),
            ("volume", "f8"),
            ("bid", "f8"),
            ("ask", "f8"),
            ("quoted", "i8"),
            ("traded", "f8"),
            ("paid", "f8"),
            ("ema", "f8", (len(lookbacks),)),
            ("rsi", RSI),
            ("macd", MACD),
            ("stoch", STOCH),
            ("prices", windows(lengths)),
            ("range", extremes(lengths)),
            ("volumes", windows(lookbacks)),
            ("spreads", windows(lookbacks)),
        ]
    )


def tick_kernel(lookbacks: tuple[int, ...]) -> Callable[..., None]:
    """Compile the scan for these lookbacks; `data.features.ticks` has the columns."""
    lengths = price_lengths(lookbacks)
    asked = tuple(lengths.index(n) for n in lookbacks)
    bands, stoch, warmup = lengths.index(BANDS), lengths.index(STOCHASTIC), tick_warmup(lookbacks)

    @compiled
    def ticks_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
        for i in range(x.shape[0]):
            s = state[who[i]]
            price, volume = x[i, 0], x[i, 1]
            if s.rows == 0 or x[i, 4] != s.session:
                _restart(s, x[i, 4], price, volume)
            before, traded_before = s.price, s.volume
            s.rows += 1
            s.price, s.volume = price, volume
            push_windows(s.prices, lengths, price)
            push_extremes(s.range, s.prices, lengths, price)
            push_windows(s.volumes, lookbacks, volume)
            s.traded += volume
            s.paid += price * volume
            _quote(s, lookbacks, x[i, 2], x[i, 3])
            for k in range(len(lookbacks)):
                s.ema[k] = ema(s.ema[k], price, lookbacks[k], s.rows)
            low, high = s.range.low[stoch], s.range.high[stoch]
            rsi = rsi_step(s.rsi, price - before, s.rows - 1) if s.rows > 1 else 50.0
            macd_step(s.macd, price, s.rows)
            stochastic_step(s.stoch, price, low, high)
            if s.rows <= warmup:
                out[i, :] = np.nan
                continue
            row = out[i]
            at = _write_price(s, lookbacks, asked, before, row)
            at = _write_volume(s, lookbacks, traded_before, row, at)
            at = _write_spread(s, lookbacks, row, at)
            at = _write_indicators(s, bands, rsi, williams_r(price, low, high), row, at)
            for k in range(PASSED_ON):
                row[at + k] = x[i, 5 + k]

    return ticks_kernel


@compiled
def _restart(s: Any, session: float, price: float, volume: float) -> None:
    """Forget the session before, every field of it."""
    s.rows, s.session, s.price, s.volume = 0, session, price, volume
    s.bid, s.ask, s.quoted = 0.0, 0.0, 0
    s.traded, s.paid = 0.0, 0.0
    s.ema[:] = 0.0
    s.rsi.gain, s.rsi.loss = 0.0, 0.0
    s.macd.fast, s.macd.slow, s.macd.signal = 0.0, 0.0, 0.0
    s.stoch.raw[:] = 0.0
    s.stoch.slow[:] = 0.0
    begin_windows(s.prices, price)
    begin_extremes(s.range, price)
    begin_windows(s.volumes, volume)
    begin_windows(s.spreads, 0.0)


@compiled
def _quote(s: Any, lookbacks: Any, bid: float, ask: float) -> None:
    """Take the quote of this row, or let the last one of the session stand where a side of it is not known."""
    if bid == bid and ask == ask:
        s.bid, s.ask = bid, ask
    elif s.quoted == 0:
        return
    spread = s.ask - s.bid
    if s.quoted == 0:
        begin_windows(s.spreads, spread)
    s.quoted += 1
    push_windows(s.spreads, lookbacks, spread)


@compiled
def _write_price(s: Any, lookbacks: Any, asked: Any, before: float, row: Any) -> int:
    price = s.price
    row[0], row[1], row[2] = price - before, price / before - 1.0, log(price / before)
    at = 3
    for k in range(len(lookbacks)):
        w, n = asked[k], lookbacks[k]
        mean, low, high = window_mean(s.prices, w, n), s.range.low[w], s.range.high[w]
        row[at] = mean
        row[at + 1] = window_deviation(s.prices, w, n)
        row[at + 2], row[at + 3] = low, high
        row[at + 4] = (price - low) / (high - low) if high > low else 0.5
        row[at + 5] = s.ema[k]
        row[at + 6] = price / mean - 1.0
        row[at + 7] = price / s.ema[k] - 1.0
        at += 8
    return at


@compiled
def _write_volume(s: Any, lookbacks: Any, before: float, row: Any, at: int) -> int:
    row[at], row[at + 1] = s.volume - before, s.volume / before - 1.0
    at += 2
    for k in range(len(lookbacks)):
        mean = window_mean(s.volumes, k, lookbacks[k])
        row[at], row[at + 1] = mean, window_deviation(s.volumes, k, lookbacks[k])
        row[at + 2] = s.volume / mean - 1.0
        at += 3
    vwap = s.paid / s.traded
    row[at], row[at + 1] = vwap, s.price / vwap - 1.0
    return at + 2


@compiled
def _write_spread(s: Any, lookbacks: Any, row: Any, at: int) -> int:
    """NaN where the session has shown no quote yet, or too few for a window."""
    spread, mid = s.ask - s.bid, (s.bid + s.ask) / 2.0
    known = s.quoted > 0
    row[at] = spread if known else np.nan
    row[at + 1] = spread / mid if known else np.nan
    row[at + 2] = mid if known else np.nan
    row[at + 3] = s.price / mid - 1.0 if known else np.nan
    at += 4
    for k in range(len(lookbacks)):
        n = lookbacks[k]
        full = s.quoted >= n
        row[at] = window_mean(s.spreads, k, n) if full else np.nan
        row[at + 1] = window_deviation(s.spreads, k, n) if full else np.nan
        at += 2
    return at


@compiled
def _write_indicators(s: Any, bands: int, rsi: float, williams: float, row: Any, at: int) -> int:
    line, (k, d) = s.macd.fast - s.macd.slow, stochastic(s.stoch)
    row[at] = rsi
    row[at + 1], row[at + 2], row[at + 3] = line, s.macd.signal, line - s.macd.signal
    middle, width = window_mean(s.prices, bands, BANDS), BAND_WIDTH * window_deviation(s.prices, bands, BANDS)
    row[at + 4], row[at + 5], row[at + 6] = middle + width, middle, middle - width
    row[at + 7] = (s.price - middle + width) / (2.0 * width) if width > 0.0 else 0.5
    row[at + 8], row[at + 9], row[at + 10] = k, d, williams
    return at + 11
