"""Market direction: whether the mid moves by more than it costs to trade, within a span of time."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Session, Target
from bellwether.models.base import Task
from data.options import checked
from data.targets.ahead import check_finite, check_series, simple_return, without_nights
from data.targets.base import NEVER, Floats, Ints, TargetKind
from data.targets.direction import MOVES

SECOND = 1_000_000_000


class MoveOptions(Frozen):
    """How long the market has, and how far it must go.

    Parameters
    ----------
    seconds : float
        From the row to when its outcome is read, a year at most. ``target.horizon`` plays no part.
    cost_bp : float
        What a round trip costs, in basis points of the mid: smaller moves are flat.
    """

    seconds: float = Field(default=10.0, gt=0.0, le=31_536_000.0)
    cost_bp: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)


def move_within(ts: Ints, value: Floats, session: Session, target: Target) -> tuple[Floats, Ints]:
    """Simple return of the price from each row to the last row at or before ``seconds`` later, which is ``t1``.

    Looks ahead that long and no further. It is unknown, NaN and `NEVER`, where the rows end before that: the price
    might have moved in the meantime. With ``overnight="drop"`` it is NaN where the rows of the session do: a market
    that has closed stands still, and the hour would foretell that. It is also NaN where either price is.

    >>> at = np.array([0, 4, 9, 12]) * SECOND
    >>> move_within(at, np.array([100.0, 101.0, 102.0, 99.0]), Session(), Target(kind="market_direction"))[0].tolist()
    [0.020000000000000018, nan, nan, nan]
    """
    check_series(ts, value)
    span = int(_options(target).seconds * SECOND)
    outcome, t1 = np.full(len(ts), np.nan), np.full(len(ts), NEVER)
    known = ts + span <= (ts[-1] if len(ts) else 0)
    there = np.searchsorted(ts, ts[known] + span, side="right") - 1
    outcome[known] = simple_return(value[known], value[there])
    t1[known] = ts[known] + span
    next_row, until = np.minimum(np.searchsorted(ts, ts[known] + span), len(ts) - 1), np.full(len(ts), NEVER)
    until[known] = ts[next_row]
    return without_nights(outcome, ts, until, session, target), t1


def cost_edges(outcome: Floats, target: Target) -> Floats:
    """The edges (-cost, cost), fractions: given, not fitted."""
    cost = _options(target).cost_bp * 1e-4
    return np.array([-cost, cost])


def beyond_cost(outcome: Floats, edges: Floats) -> Ints:
    """Positions in `MOVES`; a move of exactly the cost is flat.

    >>> beyond_cost(np.array([-0.02, -0.01, 0.0, 0.01, 0.02]), np.array([-0.01, 0.01])).tolist()
    [0, 1, 1, 1, 2]
    """
    check_finite(outcome)
    move: Ints = 1 + (outcome > edges[1]).astype(np.int64) - (outcome < edges[0])
    return move


def _options(target: Target) -> MoveOptions:
    return checked("target 'market_direction'", MoveOptions, target.options)


MARKET_DIRECTION = TargetKind(
    kind="market_direction",
    task=Task.CLASSIFY,
    classes=MOVES,
    outcome=move_within,
    fit=cost_edges,
    encode=beyond_cost,
    options=MoveOptions,
)
