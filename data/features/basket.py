"""The cap-weighted basket of an index's components: what all of them did in the same bar."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from data.features.base import FeatureSet
from data.features.compiled import compiled
from data.features.rolling import deviation, push, window

BASKET_WINDOW = 20


@compiled
def basket_kernel(x: Any, who: Any, state: Any, out: Any) -> None:
    """One timestamp in, one row out; see `basket` for the columns."""
    for i in range(x.shape[0]):
        s = state[who[i]]
        change = _basket_return(x, i, s)
        if change == change:
            push(s.changes, change, s.slot)
            s.slot = s.slot + 1 if s.slot + 1 < BASKET_WINDOW else 0
            s.known += 1
        s.rows += 1
        if change != change or s.known < BASKET_WINDOW:
            out[i, 0] = out[i, 1] = np.nan
        else:
            out[i, 0] = change
            out[i, 1] = deviation(s.changes)


@compiled
def _basket_return(x: Any, i: int, s: Any) -> float:
    """Weighted mean of the log returns of row ``i``; NaN where no component with a weight has one. Updates closes."""
    n = x.shape[1] // 2
    equal = _no_weights(x, i, n)
    total, weights = 0.0, 0.0
    for k in range(n):
        close, before = x[i, k], s.close[k]
        if close != close:
            continue
        s.close[k] = close
        weight = 1.0 if equal else x[i, n + k]
        if before > 0.0 and weight > 0.0:
            total += weight * log(close / before)
            weights += weight
    return total / weights if weights > 0.0 else np.nan


@compiled
def _no_weights(x: Any, i: int, n: int) -> bool:
    missing = 0
    for k in range(n, 2 * n):
        missing += int(x[i, k] != x[i, k])
    return missing == n


def basket(n: int) -> FeatureSet:
    """Return and volatility of a basket of ``n`` components, as a scan over timestamps.

    Inputs: the closes of the components at one timestamp, NaN for one without a bar there, then their weights in
    force, NaN for one without. Weights need not add up: they are taken relative to each other.

    Outputs: ``basket_return``, the weighted mean of the log returns of the components that have a bar now and had one
    before, each since its own last bar, as its ``log_return`` feature has it; ``basket_volatility``, the population
    standard deviation of the last 20 basket returns. While no component has a known weight, all weigh the same; once
    one has, those without count for nothing. Both outputs are NaN in the warm-up and at a timestamp where no return is
    known, which leaves the volatility's window as it was.

    >>> basket(2).inputs
    ('close_0', 'close_1', 'weight_0', 'weight_1')
    """
    return FeatureSet(
        name=f"basket_{n}",
        inputs=tuple(f"{what}_{k}" for what in ("close", "weight") for k in range(n)),
        outputs=("basket_return", "basket_volatility"),
        warmup=BASKET_WINDOW,
        state=np.dtype(
            [
                ("rows", "i8"),
                ("known", "i8"),
                ("slot", "i8"),
                ("close", "f8", (n,)),
                ("changes", window(BASKET_WINDOW)),
            ]
        ),
        kernel=basket_kernel,
    )
