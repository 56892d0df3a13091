"""Sell rates: the share of volume that sellers initiate, in the next interval or, as an identity, in this one."""

from __future__ import annotations

import numpy as np

from bellwether.config.sections import Session, Target
from bellwether.errors import DataError
from bellwether.models.base import Task
from data.targets.ahead import as_it_is, check_finite, check_series, no_edges, value_ahead, without_nights
from data.targets.base import Floats, Ints, TargetKind

SELL_RATE_FACTOR = "initiative_sell_rate"
LEVELS = ("low", "high")


def next_rate(ts: Ints, value: Floats, session: Session, target: Target) -> tuple[Floats, Ints]:
    """The rate ``target.horizon`` intervals later, a share, and the end of that interval. Looks no further ahead."""
    check_series(ts, value, positive=False)
    later, t1 = value_ahead(ts, value, target.horizon)
    return without_nights(later, ts, t1, session, target), t1


def same_rate(ts: Ints, value: Floats, session: Session, target: Target) -> tuple[Floats, Ints]:
    """The rate of the row's own interval: known when the row is."""
    check_series(ts, value, positive=False)
    return value.copy(), ts.copy()


def training_median(outcome: Floats, target: Target) -> Floats:
    """One edge: the median of ``outcome``, which holds training rows only."""
    check_finite(outcome)
    if not len(outcome):
        raise DataError("no training rates to take the median of")
    return np.array([np.median(outcome)])


def low_or_high(outcome: Floats, edges: Floats) -> Ints:
    """Positions in `LEVELS`: high is above the edge.

    >>> low_or_high(np.array([0.4, 0.5, 0.6]), np.array([0.5])).tolist()
    [0, 0, 1]
    """
    check_finite(outcome)
    high: Ints = (outcome > edges[0]).astype(np.int64)
    return high


SELL_RATE = TargetKind(
    kind="sell_rate",
    task=Task.REGRESS,
    classes=(),
    outcome=next_rate,
    fit=no_edges,
    encode=as_it_is,
    reads=SELL_RATE_FACTOR,
    level=True,
)
"""The initiative sell rate of the next interval."""

SELL_RATE_HIGH = TargetKind(
    kind="sell_rate_high",
    task=Task.CLASSIFY,
    classes=LEVELS,
    outcome=next_rate,
    fit=training_median,
    encode=low_or_high,
    reads=SELL_RATE_FACTOR,
)
"""Whether the next interval's initiative sell rate is above the median of the training rows."""

SELL_RATE_IDENTITY = TargetKind(
    kind="sell_rate_identity",
    task=Task.REGRESS,
    classes=(),
    outcome=same_rate,
    fit=no_edges,
    encode=as_it_is,
    reads=SELL_RATE_FACTOR,
    identity=True,
)
"""The initiative sell rate of the *same* interval. An identity, not a prediction: where every trade is signed it is one
minus the buy rate, which is a feature of the row. It is here to show what a perfect score on it is worth: nothing.
"""
