"""Triple barrier: which comes first, a gain, a loss, or the end of patience."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Session, Target
from bellwether.models.base import Task
from data.features.compiled import compiled
from data.options import checked
from data.targets.ahead import SAME, check_finite, check_series, no_edges, value_ahead, without_nights
from data.targets.base import NEVER, Floats, Ints, TargetKind

BARRIERS = ("stop", "timeout", "take")


class BarrierOptions(Frozen):
    """Where the barriers stand.

    Parameters
    ----------
    take, stop : float
        Distance of the upper and of the lower barrier from the row's price, in units of ``volatility``.
    span : int
        The volatility of a row is the exponentially weighted root mean square of the returns up to it, with
        alpha = 2 / (span + 1); rows before ``span`` returns are known have none, and so no outcome.
    """

    take: float = Field(default=2.0, gt=0.0)
    stop: float = Field(default=2.0, gt=0.0)
    span: int = Field(default=50, ge=2)


def first_touch(ts: Ints, value: Floats, session: Session, target: Target) -> tuple[Floats, Ints]:
    """1 where the upper barrier is touched first, -1 where the lower is, 0 where neither is in ``horizon`` rows.

    ``t1`` is the time of the touch, or of row t+h. Looks ahead ``target.horizon`` rows and no further. The last h rows
    have NaN and `NEVER`, and with ``overnight="drop"`` those whose row t+h lies in another session have NaN: also where
    a barrier is touched before, or what is left near an end would be those that were. Rows without a price (NaN) have
    no outcome and touch nothing. Source: López de Prado, Advances in Financial Machine Learning (2018), section 3.4.

    >>> price = np.array([100.0, 101.0, 100.0, 101.0, 110.0])
    >>> target = Target(kind="triple_barrier", horizon=2, options={"span": 2})
    >>> first_touch(np.arange(5), price, Session(), target)[0].tolist()
    [nan, nan, 1.0, nan, nan]
    """
    check_series(ts, value)
    options = checked("target 'triple_barrier'", BarrierOptions, target.options)
    outcome, row = np.full(len(ts), np.nan), np.full(len(ts), -1)
    _touch(value, _volatility(value, options.span), target.horizon, options.take, options.stop, outcome, row)
    t1 = np.where(row >= 0, ts[row], NEVER) if len(ts) else np.empty(0, np.int64)
    _, until = value_ahead(ts, value, target.horizon)
    return without_nights(outcome, ts, until, session, target), t1


@compiled
def _volatility(value: Any, span: int) -> Any:
    """Of each row, from returns up to it; NaN before ``span`` of them are known."""
    out = np.full(value.size, np.nan)
    alpha, square, seen, last = 2.0 / (span + 1.0), 0.0, 0, np.nan
    for i in range(value.size):
        if value[i] != value[i]:
            continue
        if last == last:
            change = value[i] / last - 1.0
            if abs(change) < SAME:
                change = 0.0
            square = change * change if seen == 0 else square + alpha * (change * change - square)
            seen += 1
        last = value[i]
        if seen >= span:
            out[i] = np.sqrt(square)
    return out


@compiled
def _touch(value: Any, volatility: Any, horizon: int, take: float, stop: float, outcome: Any, row: Any) -> None:
    n = value.size
    for i in range(n - horizon):
        width = volatility[i]
        if width != width or width == 0.0:
            continue
        upper, lower = value[i] * (1.0 + take * width), value[i] * (1.0 - stop * width)
        for k in range(i + 1, i + horizon + 1):
            if value[k] >= upper:
                outcome[i], row[i] = 1.0, k
                break
            if value[k] <= lower:
                outcome[i], row[i] = -1.0, k
                break
        if row[i] < 0:
            outcome[i], row[i] = 0.0, i + horizon


def touched(outcome: Floats, edges: Floats) -> Ints:
    """Positions in `BARRIERS`."""
    check_finite(outcome)
    return (outcome + 1.0).astype(np.int64)


TRIPLE_BARRIER = TargetKind(
    kind="triple_barrier",
    task=Task.CLASSIFY,
    classes=BARRIERS,
    outcome=first_touch,
    fit=no_edges,
    encode=touched,
    options=BarrierOptions,
)
