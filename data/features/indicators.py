"""TA-Lib's indicators of a price, a value at a time: the compiled steps that kernels share.

Rows are counted from 1 where a series begins. A step's result is TA-Lib's from the row named on; before, it is a
start on the way. Sources: Wilder, New Concepts in Technical Trading Systems (1978), for RSI; Appel, Technical Analysis
(2005), for MACD; Lane, Lane's Stochastics (1984); Williams, How I Made One Million Dollars (1973), for Williams %R.
Where these leave something to say, TA-Lib's conventions are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data.features.compiled import compiled
from data.features.rolling import wilder

FAST, SLOW, SIGNAL = 12, 26, 9
MACD_FIRST = SLOW + SIGNAL - 1
"""Row of the first MACD signal and histogram; the line is there at row 26."""

RSI_PERIOD = 14
STOCHASTIC, SMOOTHING = 14, 3

RSI = np.dtype([("gain", "f8"), ("loss", "f8")])
MACD = np.dtype([("fast", "f8"), ("slow", "f8"), ("signal", "f8")])
STOCH = np.dtype([("raw", "f8", (SMOOTHING,)), ("slow", "f8", (SMOOTHING,))])


@compiled
def ema(previous: float, value: float, period: int, row: int) -> float:
    """Exponential average with weight 2 / (period + 1), started with the mean of the first ``period`` values.

    >>> ema(ema(0.0, 2.0, 2, 1), 4.0, 2, 2)  # mean of the first two
    3.0
    >>> ema(3.0, 6.0, 2, 3)  # then two thirds of the new
    5.0
    """
    if row <= period:
        return previous + value / period
    return previous + (value - previous) * (2.0 / (period + 1))


@compiled
def rsi_step(s: Any, move: float, row: int) -> float:
    """Relative strength index of the ``row``-th move, from row 14 on; 50 where the price has never moved.

    TA-Lib has 0 there, the value of a price that only fell.
    """
    s.gain = wilder(s.gain, max(move, 0.0), RSI_PERIOD, row)
    s.loss = wilder(s.loss, max(-move, 0.0), RSI_PERIOD, row)
    moved = s.gain + s.loss
    return 100.0 * s.gain / moved if moved > 0.0 else 50.0


@compiled
def macd_step(s: Any, value: float, row: int) -> None:
    """Move the two averages of MACD and the signal line on. The fast one starts late, to be ready with the slow one."""
    s.slow = ema(s.slow, value, SLOW, row)
    if row > SLOW - FAST:
        s.fast = ema(s.fast, value, FAST, row - (SLOW - FAST))
    if row >= SLOW:
        s.signal = ema(s.signal, s.fast - s.slow, SIGNAL, row - SLOW + 1)


@compiled
def stochastic_step(s: Any, value: float, low: float, high: float) -> None:
    """Move the slow stochastic on; ``low`` and ``high`` are those of the last 14 values. 0 where they are one."""
    _shift(s.raw, 100.0 * (value - low) / (high - low) if high > low else 0.0)
    _shift(s.slow, _average(s.raw))


@compiled
def stochastic(s: Any) -> tuple[float, float]:
    """Slow %K and %D."""
    return s.slow[SMOOTHING - 1], _average(s.slow)


@compiled
def williams_r(value: float, low: float, high: float) -> float:
    """Williams %R, -100 at the low to 0 at the high; 0 where they are one.

    >>> williams_r(101.0, 100.0, 104.0)
    -75.0
    """
    return -100.0 * (high - value) / (high - low) if high > low else 0.0


@compiled
def _shift(last: Any, value: float) -> None:
    for k in range(last.size - 1):
        last[k] = last[k + 1]
    last[last.size - 1] = value


@compiled
def _average(last: Any) -> float:
    total = 0.0
    for k in range(last.size):
        total += last[k]
    return total / last.size  # type: ignore[no-any-return]
