"""Direction: whether the price is lower, the same or higher some rows later."""

from __future__ import annotations

import numpy as np

from bellwether.models.base import Task
from data.targets.ahead import check_finite, no_edges, return_ahead
from data.targets.base import Floats, Ints, TargetKind

MOVES = ("down", "flat", "up")


def signs(outcome: Floats, edges: Floats) -> Ints:
    """Positions in `MOVES`; flat is a return of exactly zero, which at tick scale is the commonest of all.

    >>> signs(np.array([-0.1, 0.0, 1e-9]), np.empty(0)).tolist()
    [0, 1, 2]
    """
    check_finite(outcome)
    return (np.sign(outcome) + 1).astype(np.int64)


DIRECTION = TargetKind(
    kind="direction", task=Task.CLASSIFY, classes=MOVES, outcome=return_ahead, fit=no_edges, encode=signs
)
"""Sign of V[t+h]/V[t] - 1. With ``horizon: 5`` it is the usual direction_5."""
