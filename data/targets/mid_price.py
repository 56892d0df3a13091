"""Mid price: where the price is some rows later."""

from __future__ import annotations

from bellwether.config.recipe import Session, Target
from bellwether.models.base import Task
from data.targets.ahead import as_it_is, check_series, no_edges, value_ahead, without_nights
from data.targets.base import Floats, Ints, TargetKind


def mid_ahead(ts: Ints, value: Floats, session: Session, target: Target) -> tuple[Floats, Ints]:
    """The price ``target.horizon`` rows later, in the quote currency, and the time of that row.

    Looks ahead ``target.horizon`` rows and no further.
    """
    check_series(ts, value)
    later, t1 = value_ahead(ts, value, target.horizon)
    return without_nights(later, ts, t1, session, target), t1


MID_PRICE = TargetKind(
    kind="mid_price", task=Task.REGRESS, classes=(), outcome=mid_ahead, fit=no_edges, encode=as_it_is
)
"""V[t+h]. "No change", V[t], is the baseline to beat: a level is easily foretold and tells little."""
