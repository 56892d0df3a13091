"""The features of one hourly bar, second set: moves in units of volatility, and the usual size of the coming one."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import numpy as np

from data.features.base import FeatureKind, FeatureSet, MarketScan
from data.features.calendar import CLOCKWORK
from data.features.compiled import compiled
from data.features.hourly import hourly_definition, hourly_inputs, hourly_market
from data.features.market import MarketContext, market_context
from data.features.windows import push_windows, window_deviation, window_mean, windows

LENGTHS = (2, 3, 7, 14, 35, 70)
"""Bars of the windows of returns: of seven bars a session 7 are a day, 35 a week and 70 a fortnight."""

SHORT = (7, 35, 70)
"""Bars of the other windows."""

SLOTS, SESSIONS, DECAY = 25, 20, 0.9
"""Times of day: 24 hours and the close of the session; what is remembered of each, and what a session's age costs."""

LEAST, SMALLEST, UNSEEN = 1e-5, 0.01, 0.8
"""Smallest size that a logarithm is taken of, a tenth of a basis point, and smallest surprise. The mean size of a
normal move is 0.8 deviations, which stands in at a time of day that has never been seen."""

WARMUP = 182
"""26 sessions of seven bars: a week of surprises (35), each against the 20 sessions before it (140), and a session."""

SLOT = np.dtype([("ring", "f8", (SLOTS, SESSIONS)), ("count", "i8", (SLOTS,))])
STATE = np.dtype(
    [
        ("rows", "i8"),
        ("known", "i8"),
        ("session", "f8"),
        ("slot", "i8"),
        ("close", "f8"),
        ("opened", "f8"),
        ("returns", windows(LENGTHS)),
        ("parkinson", windows(SHORT)),
        ("garman_klass", windows(SHORT)),
        ("surprise", windows(SHORT)),
        ("volumes", windows(SHORT)),
        ("basket", windows(SHORT)),
        ("relative", windows(SHORT)),
        ("moves", SLOT),
        ("traded", SLOT),
    ]
)


@compiled
def hourly_wide_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
    """One row in, one row out; see `HOURLY_WIDE` for the columns."""
    for i in range(x.shape[0]):
        s = state[who[i]]
        opens, high, low, close, volume = x[i, 0], x[i, 1], x[i, 2], x[i, 3], x[i, 4]
        first = s.rows == 0 or x[i, 5] != s.session
        change = log(close / s.close) if s.rows > 0 else 0.0
        gap = log(opens / s.close) if s.rows > 0 and first else 0.0
        slot = SLOTS - 1 if x[i, 7] >= 1.0 else int(x[i, 6]) % (SLOTS - 1)
        _remember_move(s, change)
        usual_volume = _usual(s.traded, slot)
        _remember(s.traded, slot, volume)
        if first:
            s.opened = opens
        push_windows(s.returns, LENGTHS, change)
        span, body = log(high / low), log(close / opens)
        push_windows(s.parkinson, SHORT, span * span / (4.0 * log(2.0)))
        push_windows(s.garman_klass, SHORT, 0.5 * span * span - (2.0 * log(2.0) - 1.0) * body * body)
        push_windows(s.volumes, SHORT, volume)
        if x[i, 8] == x[i, 8]:
            push_windows(s.basket, SHORT, x[i, 8])
            push_windows(s.relative, SHORT, change - x[i, 8])
            s.known += 1
        s.close, s.session, s.slot, s.rows = close, x[i, 5], slot, s.rows + 1
        if s.rows <= WARMUP:
            out[i, :] = np.nan
            continue
        unit = max(window_deviation(s.returns, 4, 35), LEAST)
        _trend(s, out[i], change, unit)
        out[i, 7] = gap / unit
        out[i, 8] = log(close / s.opened) / unit
        out[i, 9] = body / unit
        out[i, 10] = span / unit
        out[i, 11] = (close - low) / (high - low) if high > low else 0.5
        _volatility(s, out[i])
        _coming(s, out[i], slot, unit)
        out[i, 24] = _contrast(volume, usual_volume)
        out[i, 25] = _contrast(window_mean(s.volumes, 0, 7), window_mean(s.volumes, 2, 70))
        _market(s, out[i], x[i, 8], x[i, 9], change, unit)
        out[i, 35] = x[i, 6]
        out[i, 36] = x[i, 7]
        out[i, 37] = 1.0 if slot == SLOTS - 1 else 0.0


@compiled
def _trend(s: Any, row: Any, change: float, unit: float) -> None:
    row[0] = change / unit
    for k in range(len(LENGTHS)):
        row[1 + k] = window_mean(s.returns, k, LENGTHS[k]) * sqrt(LENGTHS[k]) / unit


@compiled
def _volatility(s: Any, row: Any) -> None:
    """Columns 12 to 17: levels and ratios of sizes, of which no one is the sum of others."""
    day, week = _size(window_deviation(s.returns, 2, 7)), _size(window_deviation(s.returns, 4, 35))
    fortnight = _size(window_deviation(s.returns, 5, 70))
    row[12], row[13], row[14] = day, day - week, week - fortnight
    row[15] = _size(_root(window_mean(s.parkinson, 0, 7)))
    row[16] = row[15] - _size(_root(window_mean(s.parkinson, 1, 35)))
    row[17] = fortnight - _size(_root(window_mean(s.garman_klass, 2, 70)))


@compiled
def _coming(s: Any, row: Any, slot: int, unit: float) -> None:
    """Columns 18 to 23: what came after this time of day in earlier sessions, and whether moves are larger now."""
    row[18] = _size(_usual(s.moves, slot) if s.moves.count[slot] > 0 else UNSEEN * unit)
    row[19] = log(max(window_mean(s.surprise, 0, 7), SMALLEST))
    row[20] = log(max(window_mean(s.surprise, 1, 35), SMALLEST))
    row[21] = _mean_move(s.moves, slot, 1) / unit
    row[22] = _mean_move(s.moves, slot, 5) / unit
    row[23] = _mean_move(s.moves, slot, SESSIONS) / unit


@compiled
def _market(s: Any, row: Any, change: float, volatility: float, own: float, unit: float) -> None:
    """Columns 26 to 34; NaN where the basket is not known now, or has been known for fewer bars than its windows."""
    known = 0.0 * change if s.known >= SHORT[2] else np.nan
    scale = max(window_deviation(s.basket, 1, 35), LEAST)
    row[26] = change / scale + known
    row[27] = window_mean(s.basket, 0, 7) * sqrt(7.0) / scale + known
    row[28] = window_mean(s.basket, 1, 35) * sqrt(35.0) / scale + known
    row[29] = _size(window_deviation(s.basket, 0, 7)) + known
    row[30] = _size(volatility) + known
    row[31] = _size(window_deviation(s.basket, 2, 70)) + known
    row[32] = (own - change) / unit + known
    row[33] = window_mean(s.relative, 0, 7) * sqrt(7.0) / unit + known
    row[34] = window_mean(s.relative, 1, 35) * sqrt(35.0) / unit + known


@compiled
def _remember_move(s: Any, change: float) -> None:
    """The move belongs to the slot of the bar before it; how it compares with what is usual there is kept too."""
    if s.rows == 0:
        return
    usual = _usual(s.moves, s.slot)
    push_windows(s.surprise, SHORT, abs(change) / usual if usual > LEAST else 1.0)
    _remember(s.moves, s.slot, change)


@compiled
def _remember(slots: Any, slot: int, value: float) -> None:
    slots.ring[slot, slots.count[slot] % SESSIONS] = value
    slots.count[slot] += 1


@compiled
def _usual(slots: Any, slot: int) -> float:
    """Exponentially weighted mean size of the slot's last values, 0 if there is none."""
    total, weights, weight = 0.0, 0.0, 1.0
    newest = slots.count[slot] - 1
    for age in range(min(slots.count[slot], SESSIONS)):
        total += weight * abs(slots.ring[slot, (newest - age) % SESSIONS])
        weights += weight
        weight *= DECAY
    return total / weights if weights > 0.0 else 0.0


@compiled
def _mean_move(slots: Any, slot: int, most: int) -> float:
    """Mean of the slot's last ``most`` values, 0 if there is none."""
    total, n = 0.0, min(slots.count[slot], most)
    for age in range(n):
        total += slots.ring[slot, (slots.count[slot] - 1 - age) % SESSIONS]
    return total / n if n > 0 else 0.0


@compiled
def _root(square: float) -> float:
    return sqrt(max(square, 0.0))


@compiled
def _size(value: float) -> float:
    return log(max(value, LEAST))


@compiled
def _contrast(a: float, b: float) -> float:
    """(a - b) / (a + b) of two amounts, -1 to 1; 0 where there is neither."""
    return (a - b) / (a + b) if a + b > 0.0 else 0.0


HOURLY_WIDE = FeatureSet(
    name="hourly-wide",
    inputs=(
        "open",
        "high",
        "low",
        "close",
        "volume",
        "session",
        "hour",
        "session_position",
        "basket_return",
        "basket_volatility",
    ),
    outputs=(
        "return_1",
        "return_2",
        "return_3",
        "return_7",
        "return_14",
        "return_35",
        "return_70",
        "overnight_gap",
        "since_open",
        "body",
        "range",
        "close_location",
        "volatility_7",
        "volatility_7_vs_35",
        "volatility_35_vs_70",
        "parkinson_7",
        "parkinson_7_vs_35",
        "volatility_vs_garman_klass_70",
        "usual_move",
        "surprise_7",
        "surprise_35",
        "same_slot_1",
        "same_slot_5",
        "same_slot_20",
        "volume_vs_slot",
        "volume_7_vs_70",
        "basket_return_1",
        "basket_return_7",
        "basket_return_35",
        "basket_volatility_7",
        "basket_volatility_20",
        "basket_volatility_70",
        "relative_1",
        "relative_7",
        "relative_35",
        "hour",
        "session_position",
        "night_next",
    ),
    warmup=WARMUP,
    state=STATE,
    kernel=hourly_wide_kernel,
    inputs_from=(hourly_inputs, market_context, MarketContext.at, *CLOCKWORK),
)
r"""What a model sees of an hourly bar, with volatility and the time of day taken out of moves and put beside them.

Sizes are logarithms, floored at a tenth of a basis point. The *unit* of a bar is the population standard deviation of
its last 35 log returns. A bar's *slot* is the hour of its close, or the session's close; what follows it is the move to
the next bar's close, which from the session's close is the night and the next session's first bar.

=============================== ========================================================================================
return_1, 2, 3, 7, 14, 35, 70   log return over so many bars, over the unit and the root of their number
overnight_gap                   log of open over the last session's close, in units, on a session's first bar; else 0
since_open                      log of close over the session's first open, in units
body, range                     log of close over open, and of high over low, in units
close_location                  (close - low) / (high - low); 0.5 where they are equal
volatility_7                    size of the deviation of the last 7 log returns
volatility_7_vs_35, 35_vs_70    size of one deviation less that of the other
parkinson_7                     size of Parkinson's volatility, of highs and lows, over 7 bars
parkinson_7_vs_35               less that over 35
volatility_vs_garman_klass_70   deviation of 70 returns against Garman and Klass's of the bars alone: what gaps add
usual_move                      size of the moves that followed this slot in its last 20 sessions: mean of \|return\|,
                                a session weighing 0.9 times the next; the usual size of the *coming* bar's move
surprise_7, 35                  logarithm of the mean of \|return\| over what was usual for it, over so many bars
same_slot_1, 5, 20              mean move that followed this slot in so many earlier sessions, in units
volume_vs_slot                  volume against the usual one of its slot, v and u: (v - u) / (v + u); 0 without either
volume_7_vs_70                  the same of the mean volumes of 7 and 70 bars
basket_return_1, 7, 35          the basket's log return, over its own deviation of 35 bars and the root of their number
basket_volatility_7, 20, 70     size of the basket's deviation
relative_1, 7, 35               log return less the basket's, over the unit and the root of their number
hour, session_position          of the close, as in the set ``hourly``
night_next                      1 at the session's close
=============================== ========================================================================================

A volume of zero is a value like any other. NaN is allowed in the two basket columns only: it makes the nine basket and
relative columns NaN in that row and leaves no trace in the state; so they are, too, until 70 returns of the basket are
known, as its windows hold the last known ones.

Nothing is remembered for longer than the warm-up where sessions have seven bars; a session that closes early makes some
slots reach a session further back. Without a calendar such a close counts as its hour, and the night after it as what
followed that hour.

Sources: Heston, Korajczyk and Sadka, "Intraday patterns in the cross-section of stock returns", Journal of Finance 65
(2010), for moves at the same time of day; Andersen and Bollerslev, "Intraday periodicity and volatility persistence in
financial markets", Journal of Empirical Finance 4 (1997), for size as time of day times what is left; Parkinson,
Journal of Business 53 (1980); Garman and Klass, Journal of Business 53 (1980).
"""

KIND = FeatureKind(
    kind="hourly-wide",
    record="bars",
    build=lambda options: HOURLY_WIDE,
    inputs=hourly_inputs,
    market=MarketScan(columns=("close",), scan=hourly_market, definition=hourly_definition),
)
