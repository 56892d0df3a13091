"""Simulated Level-2 factor rates: buyers' and sellers' shares of an interval's volume, and those of large trades.

Of each symbol and interval the log odds that a traded share was bought actively follow

    x[t+1] = phi * x[t] + sqrt(1 - phi²) * noise,    initiative_buy_rate = 1 / (1 + exp(-SPREAD * x))

so phi² is the share of the variance of the next interval's log odds that is known beforehand. The sell rate is one
minus the buy rate, as it is wherever every trade is signed. Large trades are an independent share of each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPREAD, LARGE = 0.25, (2.0, 8.0)
"""Sd of the log odds; the beta distribution of the share of volume in large trades."""


def rates(rng: np.random.Generator, intervals: int, phi: float) -> Floats:
    """Return (intervals, 4): initiative buy and sell rate, large buy and sell rate; the first row is stationary.

    >>> made = rates(np.random.default_rng(0), 5, 0.3)
    >>> bool(np.allclose(made[:, 0] + made[:, 1], 1.0)) and bool((made[:, 2:] <= made[:, :2]).all())
    True
    """
    x, noise = np.empty(intervals), rng.standard_normal(intervals)
    level = 0.0
    for t in range(intervals):
        level = noise[t] if t == 0 else phi * level + np.sqrt(1.0 - phi**2) * noise[t]
        x[t] = level
    buy = 1.0 / (1.0 + np.exp(-SPREAD * x))
    share = rng.beta(*LARGE, size=(intervals, 2))
    return np.column_stack([buy, 1.0 - buy, share[:, 0] * buy, share[:, 1] * (1.0 - buy)])
