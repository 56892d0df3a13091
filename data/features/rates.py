"""The rates of one interval as they come: what a client can post without a history."""

from __future__ import annotations

import logging
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from data.arrow import pc
from data.features.base import FeatureKind, FeatureSet, Floats, InputContext, Ints
from data.features.compiled import compiled
from data.wall import times

logger = logging.getLogger(__name__)

POSTED = ("initiative_buy_rate", "large_buy_rate", "large_sell_rate")
UNSAID = "initiative_sell_rate"

UNSIGNED = 0.001
"""Share of the volume that may be nobody's, for a sell rate that is said to be one minus the buy rate."""


@compiled
def rates_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
    """One interval in, the same out."""
    for i in range(x.shape[0]):
        state[who[i]].rows += 1
        out[i, :] = x[i]


def rates_inputs(fs: FeatureSet, records: pa.Table, context: InputContext) -> tuple[Ints, Floats]:
    """Bring factors of one symbol, a row each, into a row an interval: those of which the three rates are known.

    An interval whose buy and sell rates do not add up to 1 is left out, and the log says how many were: whoever has the
    three rates takes the sell rate to be one minus the buy rate, which holds where every trade is signed.
    """
    ts, value, factor = times(records), records["value"].to_numpy(), records["factor"]
    chosen = {name: pc.equal(factor, name).to_numpy() for name in (*POSTED, UNSAID)}
    known = reduce(np.intersect1d, (ts[chosen[name]] for name in POSTED))
    x = np.empty((len(known), len(POSTED)))
    for k, name in enumerate(POSTED):
        x[:, k] = value[chosen[name]][np.searchsorted(ts[chosen[name]], known)]
    sold = chosen[UNSAID]
    both, here, there = np.intersect1d(known, ts[sold], return_indices=True)
    unsigned = both[np.abs(x[here, 0] + value[sold][there] - 1.0) > UNSIGNED]
    if len(unsigned):
        why = "their buy and sell rates do not add up to 1"
        logger.warning("%d of %d intervals of %s left out: %s", len(unsigned), len(known), context.symbol, why)
    kept = ~np.isin(known, unsigned)
    return known[kept], x[kept]


RATES_NOW = FeatureSet(
    name="rates",
    inputs=POSTED,
    outputs=POSTED,
    warmup=0,
    state=np.dtype([("rows", "i8")]),
    kernel=rates_kernel,
    inputs_from=(rates_inputs, times),
)
"""Shares of an interval's volume, 0 to 1: that which buyers initiated, and that in large trades which buyers and which
sellers initiated. One row is all there is to know, so that a prediction needs no history.
"""

KIND = FeatureKind(kind="rates", record="factors", build=lambda options: RATES_NOW, inputs=rates_inputs, alone=True)
