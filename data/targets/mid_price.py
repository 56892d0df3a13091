"""Mid price: where the price is some rows later, or at several steps on the way."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Session, Target
from bellwether.models.base import Task
from data.options import checked
from data.targets.ahead import as_it_is, check_series, no_edges, value_ahead, without_nights
from data.targets.base import Floats, Ints, TargetKind


class MidPriceOptions(Frozen):
    """How many steps, each ``target.horizon`` rows long, are predicted at once."""

    steps: int = Field(default=1, ge=1)


def mid_ahead(ts: Ints, value: Floats, session: Session, target: Target) -> tuple[Floats, Ints]:
    """The price at each step, in the quote currency, shape (n,) for one step and (n, steps) for more; and the time of
    the last one.

    Looks ahead ``steps * target.horizon`` rows and no further.
    """
    check_series(ts, value)
    options = checked("target 'mid_price'", MidPriceOptions, target.options)
    ahead = [value_ahead(ts, value, step * target.horizon) for step in range(1, options.steps + 1)]
    t1 = ahead[-1][1]
    steps = [without_nights(later, ts, t1, session, target) for later, _ in ahead]
    return steps[0] if options.steps == 1 else np.column_stack(steps), t1


MID_PRICE = TargetKind(
    kind="mid_price",
    task=Task.REGRESS,
    classes=(),
    outcome=mid_ahead,
    fit=no_edges,
    encode=as_it_is,
    options=MidPriceOptions,
    level=True,
)
"""V[t+h]. "No change", V[t], is the baseline to beat: a level is easily foretold and tells little."""
