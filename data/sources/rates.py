"""Simulated Level-2 factor rates: buyers' and sellers' shares of an interval's volume, and those of large trades.

Of each symbol and interval the log odds that a traded share was bought actively follow

    x[t+1] = phi * g[t] * x[t] + sqrt(1 - phi²) * noise,    initiative_buy_rate = 1 / (1 + exp(-SPREAD * x))

where ``g[t]`` is `GOES_ON` while large trades have more of the volume than usual, and `TURNS` otherwise: what large
traders have begun they continue, and what small ones did turns back. The mean of g² is 1, so phi² is the share of the
variance of the next interval's log odds that is known beforehand; a line through x alone finds 14 % of it. The sell
rate is one minus the buy rate, as it is wherever every trade is signed. Large trades are an independent share of each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPREAD, LARGE = 0.25, (2.0, 8.0)
"""Sd of the log odds; the beta distribution of the share of volume in large trades."""

USUAL = 0.191
"""Median share of the volume in large trades."""

GOES_ON, TURNS = 1.3, -(0.31**0.5)
"""How much of x the next interval keeps; their mean square is 1."""


def rates(rng: np.random.Generator, intervals: int, phi: float) -> Floats:
    """Return (intervals, 4): initiative buy and sell rate, large buy and sell rate; the first row is stationary.

    >>> made = rates(np.random.default_rng(0), 5, 0.3)
    >>> bool(np.allclose(made[:, 0] + made[:, 1], 1.0)) and bool((made[:, 2:] <= made[:, :2]).all())
    True
    """
    x, noise = np.empty(intervals), rng.standard_normal(intervals)
    share = rng.beta(*LARGE, size=(intervals, 2))
    level = 0.0
    for t in range(intervals):
        level = noise[t] if t == 0 else phi * level + np.sqrt(1.0 - phi**2) * noise[t]
        x[t] = level
        level *= GOES_ON if _large(share[t], _bought(x[t])) > USUAL else TURNS
    buy = _bought(x)
    return np.column_stack([buy, 1.0 - buy, share[:, 0] * buy, share[:, 1] * (1.0 - buy)])


def _bought(x: Any) -> Any:
    """The share bought actively, of its log odds in sd."""
    return 1.0 / (1.0 + np.exp(-SPREAD * x))


def _large(share: Floats, buy: float) -> float:
    """The share of the volume in large trades, of their share of each side."""
    return float(share[0] * buy + share[1] * (1.0 - buy))
