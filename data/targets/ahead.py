"""What targets share: rows ahead, nights in between, and the checks of their input."""

from __future__ import annotations

import numpy as np

from bellwether.config.sections import Session, Target
from bellwether.errors import DataError
from data.features.clock import session_clock
from data.targets.base import NEVER, Floats, Ints

SAME = 1e-12
"""Returns below this are rounding: two mids that are equal in cents may differ in the last bit."""


def check_series(ts: Ints, value: Floats, *, positive: bool = True) -> None:
    """Raise `DataError` unless there is one value a time, times never fall, and values are what a target can use.

    NaN is let through: a book without a best quote has no mid, and its row no outcome.
    """
    if len(ts) != len(value):
        raise DataError(f"{len(ts)} times and {len(value)} values: give one value for each time")
    if (falls := np.flatnonzero(np.diff(ts) < 0)).size:
        row = int(falls[0]) + 1
        raise DataError(f"times must not fall: row {row} has {ts[row]} after {ts[row - 1]}; sort the records")
    bad = np.isinf(value) | (value <= 0.0) if positive else np.isinf(value)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(f"values must be {'positive' if positive else 'finite'} numbers: row {row} has {value[row]}")


def check_finite(outcome: Floats) -> None:
    """Raise `DataError` if an outcome is not a number: rows without one have no class."""
    if (bad := np.flatnonzero(~np.isfinite(outcome))).size:
        raise DataError(f"outcomes must be finite: row {bad[0]} has {outcome[bad[0]]}; leave out rows without outcome")


def value_ahead(ts: Ints, value: Floats, horizon: int) -> tuple[Floats, Ints]:
    """Value ``horizon`` rows later and its time; NaN and `NEVER` in the last rows.

    >>> value_ahead(np.array([1, 2, 3]), np.array([4.0, 5.0, 6.0]), 2)[0].tolist()
    [6.0, nan, nan]
    """
    later, t1 = np.full(len(ts), np.nan), np.full(len(ts), NEVER)
    later[:-horizon] = value[horizon:]
    t1[:-horizon] = ts[horizon:]
    return later, t1


def return_ahead(ts: Ints, value: Floats, session: Session, target: Target) -> tuple[Floats, Ints]:
    """Simple return V[t+h]/V[t] - 1 of each row of one symbol, and the time of row t+h.

    Looks ahead ``target.horizon`` rows and no further. The last h rows have NaN and `NEVER`. With
    ``overnight="drop"``, so has NaN (and its true t1) each row whose row t+h lies in another session.

    >>> value, t1 = return_ahead(np.array([1, 2, 3]), np.array([4.0, 5.0, 4.0]), Session(), Target())
    >>> value.tolist(), t1[:2].tolist()
    ([0.25, -0.19999999999999996, nan], [2, 3])
    """
    check_series(ts, value)
    later, t1 = value_ahead(ts, value, target.horizon)
    return without_nights(simple_return(value, later), ts, t1, session, target), t1


def simple_return(value: Floats, later: Floats) -> Floats:
    """later / value - 1, and exactly 0 where that is rounding.

    >>> simple_return(np.array([30.02, 100.0]), np.array([30.020000000000003, 101.0])).tolist()
    [0.0, 0.010000000000000009]
    """
    change = later / value - 1.0
    return np.where(np.abs(change) < SAME, 0.0, change)


def without_nights(outcome: Floats, ts: Ints, until: Ints, session: Session, target: Target) -> Floats:
    """Leave out rows that look into another session, where the target says ``overnight: drop``.

    ``until`` is the last time a row may look at, whether it turns out to be needed or not: leaving rows out by what
    became of them would make the session's clock foretell their class.
    """
    if target.overnight == "keep" or not len(ts):
        return outcome
    known = until != NEVER
    own = session_clock(ts, session)[:, 0]
    other = np.zeros(len(ts), bool)
    other[known] = session_clock(until[known], session)[:, 0] != own[known]
    return np.where(other, np.nan, outcome)


def no_edges(outcome: Floats, target: Target) -> Floats:
    """Edges of a target that has none to fit."""
    return np.empty(0)


def as_it_is(outcome: Floats, edges: Floats) -> Floats:
    """What a regression predicts: the outcome itself."""
    check_finite(outcome)
    return outcome
