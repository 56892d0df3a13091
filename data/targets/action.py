"""The five actions: the return over the horizon, cut where training returns are small, middling and large."""

from __future__ import annotations

import numpy as np

from bellwether.actions import ACTIONS
from bellwether.config.sections import Target
from bellwether.errors import DataError
from bellwether.models.base import Task
from data.targets.ahead import check_finite, return_ahead
from data.targets.base import Floats, Ints, TargetKind

QUANTILES = (0.4, 0.8)
"""Of absolute returns: below the first is a hold, from the second on a strong move."""


def action_edges(outcome: Floats, target: Target) -> Floats:
    """The edges (-t2, -t1, t1, t2), t1 and t2 being the 40 % and 80 % quantiles of absolute returns.

    Give it the returns of training rows only: edges are fitted parameters.

    Raises
    ------
    DataError
        There are no returns, some are not finite, or they are too alike to be cut into five.

    >>> action_edges(np.array([-0.04, 0.01, -0.02, 0.03, 0.05, 0.0]), Target()).round(4).tolist()
    [-0.04, -0.02, 0.02, 0.04]
    """
    check_finite(outcome)
    if not len(outcome):
        raise DataError("no training returns to fit class edges to")
    t1, t2 = (float(q) for q in np.quantile(np.abs(outcome), QUANTILES))
    if not 0.0 < t1 < t2:
        low, high = (f"{q:.0%}" for q in QUANTILES)
        raise DataError(
            f"the {low} and {high} quantiles of |return| over {len(outcome)} training rows are {t1} and {t2}; five "
            "classes need 0 < first < second: look for idle or repeated prices, or use longer bars or horizon"
        )
    return np.array([-t2, -t1, t1, t2])


def action_classes(outcome: Floats, edges: Floats) -> Ints:
    """Positions in `ACTIONS`. A return of exactly an edge is the larger move, up as down.

    So hold is -t1 < r < t1, buy t1 <= r < t2, strong_buy t2 <= r, and the mirror image below zero.

    Raises
    ------
    DataError
        A return is not finite, or the edges are not four that rise.

    >>> action_classes(np.array([-0.02, -0.01, 0.0, 0.01, 0.02]), np.array([-0.02, -0.01, 0.01, 0.02])).tolist()
    [0, 1, 2, 3, 4]
    """
    check_finite(outcome)
    if len(edges) != 4 or not (np.diff(edges) > 0.0).all():
        raise DataError(f"five actions need four edges that rise; got {np.asarray(edges).tolist()}")
    down = np.digitize(outcome, edges[:2], right=True)
    up = np.digitize(outcome, edges[2:], right=False)
    return (down + up).astype(np.int64)


ACTION_5 = TargetKind(
    kind="action_5",
    task=Task.CLASSIFY,
    classes=ACTIONS,
    outcome=return_ahead,
    fit=action_edges,
    encode=action_classes,
)
"""r = C[t+h]/C[t] - 1 cut at (-t2, -t1, t1, t2) into `bellwether.actions.ACTIONS`."""
