"""How far windows stray by themselves: the training rows, cut into windows, each against the others.

A fixed threshold knows neither how many rows a window has nor that neighbouring rows resemble each other, which makes
windows stray further. Windows of the training rows know both. A new window that is like them is exchangeable with them
as far as windows forget one another, so that it exceeds the conformal quantile of their scores with at most the level:
Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World* (2005). Features that remember for longer than a
window lasts exceed it more often.
"""

from __future__ import annotations

import numpy as np

from bellwether.drift.base import Ints


def windows(ts: Ints, bars: int) -> Ints:
    """Number (n,) of the window each row is in: consecutive, disjoint, ``bars`` unique timestamps each.

    Windows are cut from the newest timestamp backwards and numbered in time; what is left at the beginning is in none,
    which is -1.

    >>> windows(np.array([10, 10, 20, 30, 40, 50, 50]), 2).tolist()
    [-1, -1, 0, 0, 1, 1, 1]
    """
    stamps, at = np.unique(ts, return_inverse=True)
    left = len(stamps) % bars
    found: Ints = np.where(at < left, -1, (at - left) // bars)
    return found


def least_windows(level: float) -> int:
    """Windows without which the quantile at a level is not known.

    >>> least_windows(0.05)
    19
    """
    return int(np.ceil(1.0 / level - 1e-9)) - 1


def share_above(count: int, level: float) -> float:
    """How often one more window exceeds the quantile of ``count`` windows, if it is like them and there are no ties.

    At most the level; less where the windows are too few to say it exactly.

    >>> share_above(39, 0.05), round(share_above(26, 0.05), 3)
    (0.05, 0.037)
    """
    rank = int(np.ceil((count + 1) * (1.0 - level) - 1e-9))
    return (count + 1 - rank) / (count + 1)
