"""The features of Level-2 factor rates: whose initiative the volume was, how unusual that is and how it lasts."""

from __future__ import annotations

import logging
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from data.arrow import pc
from data.features.base import FeatureKind, FeatureSet, Floats, InputContext, Ints
from data.features.compiled import compiled
from data.features.moments import autocorrelation, centre, history, latest, remember
from data.records.factors import RATES
from data.wall import times

logger = logging.getLogger(__name__)

SERIES = (*RATES, "initiative_imbalance", "large_imbalance")
LEVELS = (*SERIES, "small_imbalance", "large_share")
LAGS, SHORT, LONG = 3, 5, 20
WARMUP = LONG - 1

ROLLING = (
    "change",
    *(f"{what}_{length}" for length in (SHORT, LONG) for what in ("mean", "std")),
    f"zscore_{LONG}",
    f"persistence_{LONG}",
)
"""What there is of each of `SERIES`."""

RUNS = ("initiative_run", "large_run")

STATE = np.dtype([("rows", "i8"), ("last", history(LONG), (len(SERIES),)), ("run", "i8", (len(RUNS),))])


@compiled
def level2_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
    """One interval in, one row out; see `LEVEL2_FACTORS` for the columns."""
    level, distances = np.empty(len(LEVELS)), np.empty(LONG)
    for i in range(x.shape[0]):
        s = state[who[i]]
        _levels(x[i], level)
        for k in range(len(SERIES)):
            remember(s.last[k], level[k])
        for k in range(len(RUNS)):
            s.run[k] = _run(s.run[k], level[len(RATES) + k])
        s.rows += 1
        if s.rows <= WARMUP:
            out[i, :] = np.nan
            continue
        out[i, : len(LEVELS)] = level
        at = len(LEVELS)
        for k in range(len(RATES)):
            for lag in range(1, LAGS + 1):
                out[i, at] = latest(s.last[k], lag + 1)[0]
                at += 1
        for k in range(len(SERIES)):
            _rolling(s.last[k], distances, out[i, at : at + len(ROLLING)])
            at += len(ROLLING)
        for k in range(len(RUNS)):
            out[i, at + k] = s.run[k]


@compiled
def _levels(rates: Any, level: Any) -> None:
    buy, sell, large_buy, large_sell = rates[0], rates[1], rates[2], rates[3]
    level[:4] = rates
    level[4] = buy - sell
    level[5] = large_buy - large_sell
    level[6] = (buy - large_buy) - (sell - large_sell)
    level[7] = large_buy + large_sell


@compiled
def _run(before: int, value: float) -> int:
    """Number of values in a row with the sign of ``value``, with that sign."""
    if value > 0.0:
        return max(before, 0) + 1
    return min(before, 0) - 1 if value < 0.0 else 0


@compiled
def _rolling(last: Any, distances: Any, out: Any) -> None:
    values = latest(last, LONG)
    out[0] = values[LONG - 1] - values[LONG - 2]
    out[1], energy = centre(values[LONG - SHORT :], distances[:SHORT])
    out[2] = np.sqrt(energy / SHORT)
    out[3], energy = centre(values, distances)
    out[4] = np.sqrt(energy / LONG)
    out[5] = distances[LONG - 1] / out[4] if energy > 0.0 else 0.0
    out[6] = autocorrelation(distances, 1, energy)


def level2_inputs(fs: FeatureSet, records: pa.Table, context: InputContext) -> tuple[Ints, Floats]:
    """Bring factors of one symbol, a row each, into a row an interval: those of which all four rates are known.

    Factors of other names are passed over, and so are intervals that lack a rate: the first that
    `data.derive.trade_rates` makes has no large rates. A rate that is in none is named in the log.
    """
    ts, value, factor = times(records), records["value"].to_numpy(), records["factor"]
    chosen = [pc.equal(factor, name).to_numpy() for name in RATES]
    if lacking := [name for name, of in zip(RATES, chosen, strict=True) if len(ts) and not of.any()]:
        logger.warning("factors of %s have no %s: no features without", context.symbol, ", ".join(lacking))
    known = reduce(np.intersect1d, (ts[of] for of in chosen))
    x = np.empty((len(known), len(RATES)))
    for k, of in enumerate(chosen):
        x[:, k] = value[of][np.searchsorted(ts[of], known)]
    return known, x


LEVEL2_FACTORS = FeatureSet(
    name="level2-factors",
    inputs=RATES,
    outputs=(
        *LEVELS,
        *(f"{rate}_lag_{lag}" for rate in RATES for lag in range(1, LAGS + 1)),
        *(f"{name}_{what}" for name in SERIES for what in ROLLING),
        *RUNS,
    ),
    warmup=WARMUP,
    state=STATE,
    kernel=level2_kernel,
    inputs_from=(level2_inputs, times),
)
"""What a model sees of an interval's rates, `data.records.factors.RATES`: shares of its volume, 0 to 1.

=========================== ============================================================================================
initiative_buy_rate         the four rates as they come: ``initiative_sell_rate``, ``large_buy_rate``,
                            ``large_sell_rate``
initiative_imbalance        buy minus sell rate, -1 to 1; ``large_imbalance`` of large trades, ``small_imbalance`` of
                            the others: their sum is the first
large_share                 share of the volume in large trades
<rate>_lag_1 … _3           each rate so many intervals before
<series>_change             since the interval before; a series is a rate or one of the first two imbalances
<series>_mean_5, _mean_20   over the last 5 and 20 intervals; ``_std_5``, ``_std_20`` population standard deviation
<series>_zscore_20          distance from that mean over 20, in those standard deviations; 0 of what has not varied
<series>_persistence_20     autocorrelation at lag 1 within the last 20 (`data.features.moments.autocorrelation`), 0 of
                            what has not varied
initiative_run, large_run   how many intervals in a row the imbalance has had its sign, with that sign; 0 where it is 0
=========================== ============================================================================================

Intervals are counted, not hours: nothing starts anew with a session. The first 19 rows are NaN: until the longest
window is full. Where every trade is signed, the buy and the sell rate say the same.

Source: daily imbalance of buyer- and seller-initiated volume, and that it persists: Chordia, Roll and Subrahmanyam,
"Order imbalance, liquidity, and market returns", Journal of Financial Economics 65 (2002).
"""

KIND = FeatureKind(
    kind="level2-factors",
    record="factors",
    build=lambda options: LEVEL2_FACTORS,
    inputs=level2_inputs,
)
