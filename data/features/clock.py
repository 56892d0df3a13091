"""Where in its trading session a bar closes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bellwether.config.sections import Session
from data.features.calendar import CLOCK, MINUTE, SessionClock
from data.wall import DAY, of_day, wall_times

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND


def session_clock(ts: NDArray[np.int64], session: Session) -> NDArray[np.float64]:
    """Session number, local hour and position in the session of bars that close at ``ts``.

    Parameters
    ----------
    ts : int64 array of shape (n,)
        Closes in UTC nanoseconds.
    session : Session
        The market's hours: those of its calendar, if it names one; daylight saving is that of its time zone.

    Returns
    -------
    float64 array of shape (n, 3)
        The trading day the bar lies in, in days since 1970-01-01: that of the session that is open just before the
        close, else the local date, which a close at midnight ends; without a calendar, the local date. The hour of the
        local clock at the close, 0 to 24. The share of that day's session gone by at the close: 0 before it opens, 1
        from its close on, and 0 on a day without one; breaks count.

    Raises
    ------
    ConfigError
        There is no such calendar.
    DataError
        The calendar does not reach so far.

    >>> import pandas as pd
    >>> close = pd.Timestamp("2025-01-06 12:45", tz="America/New_York").value
    >>> session_clock(np.array([close]), Session()).tolist()
    [[20094.0, 12.0, 0.5]]
    >>> closes_early = pd.Timestamp("2024-11-29 13:00", tz="America/New_York").value
    >>> session_clock(np.array([closes_early]), Session(calendar="XNYS")).tolist()
    [[20056.0, 13.0, 1.0]]
    """
    local = wall_times(ts, session.timezone)
    day = (local - 1) // DAY
    since_midnight = local - day * DAY
    out = np.empty((len(ts), 3))
    out[:, 1] = since_midnight // HOUR
    if session.calendar:
        out[:, 0], out[:, 2] = _on_calendar(ts, session)
        return out
    opens, closes = of_day(session.opens), of_day(session.closes)
    out[:, 0] = day
    out[:, 2] = np.clip((since_midnight - opens) / (closes - opens), 0.0, 1.0)
    return out


def _on_calendar(ts: NDArray[np.int64], session: Session) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Trading day and position: where the bar's last nanosecond lies, as its close may be the next session's open."""
    last = SessionClock(session).at(ts - 1)
    day, since, until = (last[:, CLOCK.index(c)] for c in ("session", "minutes_since_open", "minutes_to_close"))
    gone, length = np.rint(since * MINUTE), np.rint((since + until) * MINUTE)
    gone = np.minimum(np.where(gone > 0.0, gone + 1.0, 0.0), length)
    return day, gone / np.maximum(length, 1.0)
