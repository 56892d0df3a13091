"""The intervals of a trading session: which one an event belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from bellwether.config.sections import Session
from bellwether.errors import ConfigError
from data.derive.base import DeriveContext
from data.records.sessions import session_hours

Ints = NDArray[np.int64]

OUTSIDE = -1
"""The interval of an event outside of the market's hours."""


def interval_ends(ts: Ints, session: Session, step: int) -> tuple[Ints, Ints]:
    """Return where the session opened that each event is in, and where its interval in it ends.

    Intervals follow each other from the opening; the last of a session ends with it, however short that makes it, so
    that one as long as the session or longer is the session. An event at the very end of an interval belongs to it,
    as it is known when the interval is; one at the opening belongs to the first, or to a session that closes then.

    Parameters
    ----------
    ts : int64 array of shape (n,)
        Rising UTC nanoseconds.
    session : Session
        The market's hours, with holidays and early closes where it has a calendar.
    step : int
        Length of an interval, nanoseconds.

    Returns
    -------
    two int64 arrays of shape (n,)
        UTC nanoseconds; `OUTSIDE` for an event outside of the hours.

    Raises
    ------
    ConfigError, DataError
        There is no such calendar, or it does not reach so far.

    >>> hour, session = 3_600_000_000_000, Session(timezone="UTC", opens="08:00", closes="10:30")
    >>> opens, ends = interval_ends(np.array([9 * hour, 9 * hour + 1, 10 * hour + 1, 11 * hour]), session, hour)
    >>> (opens[:3] / hour).tolist(), (ends[:3] / hour).tolist(), ends[3] == OUTSIDE
    ([8.0, 8.0, 8.0], [9.0, 10.0, 10.5], np.True_)
    """
    if not len(ts):
        return ts, ts
    hours = session_hours(session, _year(int(ts[0])), _year(int(ts[-1])))
    which = np.searchsorted(hours[:, 0], ts, side="left") - 1  # the last that opened before
    within = (which >= 0) & (ts <= hours[which, 1])
    which += ~within
    opens, closes = hours[np.minimum(which, len(hours) - 1)].T
    within |= ts == opens
    steps = np.maximum(-((opens - ts) // step), 1)
    ends = np.minimum(opens + steps * step, closes)
    return np.where(within, opens, OUTSIDE), np.where(within, ends, OUTSIDE)


def _year(ts: int) -> int:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts // 1_000)).year


def checked_step(kind: str, context: DeriveContext) -> int:
    """Return the interval's length in nanoseconds; `ConfigError` if the recipe gives none."""
    if context.interval_ns <= 0:
        raise ConfigError(f"derivation {kind!r} works by the interval: give the recipe one, e.g. 1h or 1d")
    return context.interval_ns
