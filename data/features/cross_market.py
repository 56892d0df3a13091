"""What the components of a universe do together at each timestamp: its index, ranks, leaders and regime."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from data.features.base import FeatureSet
from data.features.basket import BASKET_WINDOW
from data.features.compiled import compiled
from data.features.moments import history, latest, remember, total

LEADERS, PAST = 3, 60
COMMON = ("basket_return", "basket_volatility", "index_return", "market_trend", "market_stress", "market_regime")
OWN = ("rank", "leader_return", "leader_return_before")
CALM, TURBULENT = 0.0, 2.0
"""What the basket's volatility adds to the regime; a trend that is not up adds 1."""


@compiled
def cross_market_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
    """One timestamp in, one row out; see `cross_market` for the columns."""
    n = (x.shape[1] - 3) // 2
    heaviest = np.empty(min(LEADERS + 1, n), np.int64)
    for i in range(x.shape[0]):
        s = state[who[i]]
        _returns(x[i, : n + 1], s.close, s.change)
        _regime(x[i, 2 * n + 1], x[i, 2 * n + 2], s, out[i, 1:4])
        out[i, 0] = s.change[n]
        _ranks(s.change[:n], out[i, 4 : 4 + n])
        weights = x[i, n + 1 : 2 * n + 1]
        weighed = _choose(weights, heaviest)
        for k in range(n):
            out[i, 4 + 2 * n + k] = s.led[k] if s.heard[k] > 0 else np.nan
            led = _lead(k, heaviest, weights, weighed, s.change)
            if led == led:
                s.led[k], s.heard[k] = led, 1
            out[i, 4 + n + k] = s.led[k] if s.heard[k] > 0 else np.nan


@compiled
def _returns(now: Any, close: Any, change: Any) -> None:
    """Log returns since each one's own last bar, NaN without one; takes the new closes."""
    for k in range(now.size):
        known = now[k] == now[k]
        change[k] = np.log(now[k] / close[k]) if known and close[k] > 0.0 else np.nan
        close[k] = now[k] if known else close[k]


@compiled
def _regime(change: float, volatility: float, s: Any, out: Any) -> None:
    """Trend, stress and regime of the basket, NaN until its past is long enough; an unknown basket changes nothing."""
    if change == change:
        if s.deviations.count == PAST:
            usual = total(latest(s.deviations, PAST)) / PAST
            s.stress, s.ready = volatility / usual - 1.0 if usual > 0.0 else 0.0, 1
        remember(s.changes, change)
        remember(s.deviations, volatility)
        trend = total(latest(s.changes, BASKET_WINDOW)) / BASKET_WINDOW
        s.trend = trend / volatility if volatility > 0.0 else 0.0
    if s.ready == 0:
        out[:] = np.nan
        return
    out[0], out[1] = s.trend, s.stress
    out[2] = (TURBULENT if s.stress > 0.0 else CALM) + (0.0 if s.trend > 0.0 else 1.0)


@compiled
def _ranks(change: Any, out: Any) -> None:
    """Place of each known value among them, lowest 0, highest 1; ties share the mean of their places."""
    known = np.sort(change[change == change])
    for k in range(change.size):
        if change[k] != change[k]:
            out[k] = np.nan
        elif known.size == 1:
            out[k] = 0.5
        else:
            below = np.searchsorted(known, change[k], side="left")
            up_to = np.searchsorted(known, change[k], side="right")
            out[k] = 0.5 * (below + up_to - 1) / (known.size - 1)


@compiled
def _choose(weights: Any, heaviest: Any) -> bool:
    """Write who weighs most, heaviest first; of equals the first of the universe. Return whether anybody has a weight.

    Nobody having one, all are equal.
    """
    most = np.full(heaviest.size, -1.0)
    for k in range(weights.size):
        weight = weights[k] if weights[k] > 0.0 else 0.0
        place = heaviest.size
        while place > 0 and weight > most[place - 1]:
            place -= 1
        for after in range(heaviest.size - 1, place, -1):
            most[after], heaviest[after] = most[after - 1], heaviest[after - 1]
        if place < heaviest.size:
            most[place], heaviest[place] = weight, k
    return most[0] > 0.0  # type: ignore[no-any-return]


@compiled
def _lead(k: int, heaviest: Any, weights: Any, weighed: bool, change: Any) -> float:
    """Weighted mean return of the leaders other than ``k``; NaN where none has one. One alone leads itself."""
    weight_sum, led, chosen = 0.0, 0.0, 0
    for j in heaviest:
        if chosen == LEADERS or (j == k and weights.size > 1):
            continue
        chosen += 1
        weight = weights[j] if weighed else 1.0
        if weight > 0.0 and change[j] == change[j]:
            weight_sum += weight
            led += weight * change[j]
    return led / weight_sum if weight_sum > 0.0 else np.nan


@cache
def cross_market(n: int) -> FeatureSet:
    """What ``n`` components do together, as a scan over timestamps.

    Inputs: the closes of the components and of the index at one timestamp, NaN where there is no bar; the components'
    weights in force, NaN where there is none; ``basket_return`` and ``basket_volatility`` as `basket` has them. Returns
    are logarithmic and since the own last bar.

    ========================= ==========================================================================================
    index_return              of the index
    market_trend              mean of the last 20 basket returns over ``basket_volatility``, their deviation; 0 without
    market_stress             ``basket_volatility`` over the mean of the 60 before it, minus 1
    market_regime             0 up and calm, 1 down and calm, 2 up and turbulent, 3 down and turbulent: up where the
                              trend is above 0, turbulent where the stress is
    rank_k                    of the return of component k among those that have one now: 0 lowest, 1 highest, ties
                              share their mean; 0.5 of one alone; NaN without a return
    leader_return_k           newest known weighted mean return of the three heaviest components other than k, by the
                              weights in force, of those that have one; without any weight, of the first three, equally
    leader_return_before_k    that of the timestamps before this one: what the leaders had done by then
    ========================= ==========================================================================================

    The three of the market are NaN until 80 basket returns are known; a timestamp without one leaves them as they were.
    While a single component has a weight it leads all others and has no leaders itself: its two leader columns keep
    what they last knew, NaN if that was never anything.

    >>> cross_market(2).outputs  # doctest: +NORMALIZE_WHITESPACE
    ('index_return', 'market_trend', 'market_stress', 'market_regime', 'rank_0', 'rank_1',
     'leader_return_0', 'leader_return_1', 'leader_return_before_0', 'leader_return_before_1')
    """
    each = (n,)
    closes = [("close", "f8", (n + 1,)), ("change", "f8", (n + 1,))]
    leaders = [("led", "f8", each), ("heard", "i8", each)]
    market = [("changes", history(BASKET_WINDOW)), ("deviations", history(PAST)), ("trend", "f8"), ("stress", "f8")]
    weights = (f"weight_{k}" for k in range(n))
    return FeatureSet(
        name=f"cross_market_{n}",
        inputs=(*(f"close_{k}" for k in range(n)), "index_close", *weights, *COMMON[:2]),
        outputs=(*COMMON[2:], *(f"{name}_{k}" for name in OWN for k in range(n))),
        warmup=PAST + BASKET_WINDOW,
        state=np.dtype([*closes, *leaders, *market, ("ready", "i8")]),
        kernel=cross_market_kernel,
    )
