"""The features of a bar among the bars of its universe: rank, beta, correlation, lead and lag, and the regime."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import pyarrow as pa

from data.features.base import FeatureKind, FeatureSet, Floats, InputContext, Ints, MarketScan
from data.features.compiled import compiled
from data.features.cross_market import COMMON, OWN
from data.features.cross_section_market import CrossContext, cross_context, cross_definition
from data.features.moments import centre, history, latest, product, remember
from data.wall import times

WINDOW = 60
WARMUP = 80

PAIRS = np.dtype([("own", history(WINDOW)), ("other", history(WINDOW))])
STATE = np.dtype([("rows", "i8"), ("close", "f8"), ("with_index", PAIRS), ("with_leaders", PAIRS)])


@compiled
def cross_section_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
    """One bar in, one row out; see `CROSS_SECTION` for the columns."""
    a, b = np.empty(WINDOW), np.empty(WINDOW)
    for i in range(x.shape[0]):
        s = state[who[i]]
        close, basket_return, index_return = x[i, 0], x[i, 1], x[i, 3]
        change = log(close / s.close) if s.rows > 0 else np.nan
        _pair(s.with_index, change, index_return)
        _pair(s.with_leaders, change, x[i, 9])
        s.close = close
        s.rows += 1
        if s.rows <= WARMUP:
            out[i, :] = np.nan
            continue
        beta, correlation = _line(s.with_index, a, b)
        out[i, 0] = change
        out[i, 1:4] = x[i, 1:4]
        out[i, 4] = change - basket_return
        out[i, 5] = x[i, 7]
        out[i, 6] = beta
        out[i, 7] = correlation
        out[i, 8] = change - beta * index_return
        out[i, 9] = x[i, 8]
        out[i, 10] = _line(s.with_leaders, a, b)[1]
        out[i, 11:14] = x[i, 4:7]


@compiled
def _pair(pairs: Any, own: float, other: float) -> None:
    """Remember two returns of one bar, if both are known."""
    if own == own and other == other:
        remember(pairs.own, own)
        remember(pairs.other, other)


@compiled
def _line(pairs: Any, a: Any, b: Any) -> tuple[float, float]:
    """Slope of own returns on the others, and their correlation; 0 of what does not vary, NaN of too few."""
    if pairs.own.count < WINDOW:
        return np.nan, np.nan
    _, own = centre(latest(pairs.own, WINDOW), a)
    _, other = centre(latest(pairs.other, WINDOW), b)
    if other == 0.0:
        return 0.0, 0.0
    both = product(a, b)
    return both / other, both / np.sqrt(own * other) if own > 0.0 else 0.0


def cross_section_inputs(fs: FeatureSet, records: pa.Table, context: InputContext) -> tuple[Ints, Floats]:
    """Bring bars of one symbol beside what its universe did; ``context.market`` is a `CrossContext`."""
    ts = times(records)
    return ts, np.column_stack([records["close"].to_numpy(), context.market.at(context.symbol, ts)])


CROSS_SECTION = FeatureSet(
    name="cross-section",
    inputs=("close", *COMMON, *OWN),
    outputs=(
        "log_return",
        "basket_return",
        "basket_volatility",
        "index_return",
        "relative_return",
        "rank",
        f"beta_{WINDOW}",
        f"correlation_{WINDOW}",
        "index_residual",
        "leader_return",
        f"leader_correlation_{WINDOW}",
        "market_trend",
        "market_stress",
        "market_regime",
    ),
    warmup=WARMUP,
    state=STATE,
    kernel=cross_section_kernel,
    inputs_from=(cross_section_inputs, CrossContext.at, cross_context),
)
"""What a model sees of a bar beside those of the universe. Returns are logarithmic, since the own last bar.

======================== ===============================================================================================
log_return               of the component
basket_return            of the components together, and the volatility of that (`data.features.basket`)
index_return             of the index; without bars of it, of the basket
relative_return          log_return minus basket_return
rank                     of log_return among the components that have a bar now, 0 lowest to 1 highest
beta_60                  slope of the component's returns on the index's over the last 60 bars that have both
correlation_60           of the same
index_residual           log_return minus beta_60 times index_return
leader_return            of the three heaviest other components, the newest known; NaN for a component that is the
                         only one with a weight from the first bar on
leader_correlation_60    of the component's returns with what the leaders did the bar before, over the last 60
market_trend             of the basket: see `data.features.cross_market.cross_market`, also for
                         ``market_stress`` and ``market_regime``, which is one of four states
======================== ===============================================================================================

Where returns do not vary, slope and correlation are 0. The first 80 rows are NaN. After them a row has NaN only where
the market does not know one of its columns, which it does from its own 81st timestamp on, or where fewer than 60 bars
yet had a return to compare with, as when the index begins late. What is not known leaves no trace in the state.

Sources: beta, Sharpe, "A simplified model for portfolio analysis", Management Science 9 (1963); leaders and laggards,
Lo and MacKinlay, "When are contrarian profits due to stock market overreaction?", Review of Financial Studies 3 (1990).
"""

KIND = FeatureKind(
    kind="cross-section",
    record="bars",
    build=lambda options: CROSS_SECTION,
    inputs=cross_section_inputs,
    market=MarketScan(columns=("close",), scan=cross_context, definition=cross_definition, index=True),
)
