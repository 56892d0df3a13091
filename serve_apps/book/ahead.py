"""When the next rows of a series that is taken once an interval are due."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bellwether.config.recipe import Session
from bellwether.errors import DataError
from data.features.base import Ints
from data.features.clock import session_clock
from data.records.sessions import session_hours
from data.wall import DAY, wall_times

REACH = 31 * DAY
"""How far ahead the next session is looked for."""


def next_rows(ts: int, session: Session, interval_ns: int, count: int) -> list[int]:
    """Times of the next ``count`` rows after ``ts``: a whole number of intervals later, while the market trades.

    A row is the book at the end of its interval, so the first of a session is due an interval after it opens, or less
    where intervals do not begin with it, and the last at its close. Hours are those of the session's calendar; without
    one they are the regular ones of Monday to Friday, whatever holidays there are.

    Raises
    ------
    DataError
        The market does not open within a month, or the calendar does not reach so far.

    >>> from data.wall import of_day
    >>> monday = 20_269 * DAY  # 2025-06-30; New York opens at 13:30 UTC and closes at 20:00
    >>> late = monday + (19 * 60 + 55) * 60_000_000_000
    >>> [(t - monday) / 3_600_000_000_000 for t in next_rows(late, Session(), 300_000_000_000, 3)]
    [20.0, 37.583333333333336, 37.666666666666664]
    """
    found: list[int] = []
    for opens, closes in _sessions(ts, session):
        first = max(ts, ts + (opens - ts) // interval_ns * interval_ns)  # the last of the grid not after it opens
        found += range(first + interval_ns, closes + 1, interval_ns)[: count - len(found)]
        if len(found) == count:
            return found
    raise DataError(f"the market does not open for {count} rows within a month")


def in_session(ts: int, later: list[int], session: Session) -> list[bool]:
    """Which of the times are in the session of ``ts``, as targets tell sessions apart.

    >>> hour = 3_600_000_000_000
    >>> in_session(20_269 * DAY + 19 * hour, [20_269 * DAY + 20 * hour, 20_270 * DAY + 15 * hour], Session())
    [True, False]
    """
    number = session_clock(np.array([ts, *later], np.int64), session)[:, 0]
    return [bool(own == number[0]) for own in number[1:]]


def _sessions(ts: int, session: Session) -> Ints:
    """Opening and close of the sessions that close after ``ts``, (n, 2)."""
    first, last = (int(str(np.datetime64(at, "ns"))[:4]) for at in (ts, ts + REACH))
    hours = _trading(session, first, last)
    found: Ints = hours[(hours[:, 1] > ts) & (hours[:, 0] < ts + REACH)]
    return found


@lru_cache(maxsize=64)
def _trading(session: Session, first: int, last: int) -> Ints:
    """Hours of the sessions of some years, (n, 2); without a calendar those of Monday to Friday."""
    hours = session_hours(session, first, last)
    if session.calendar:
        return hours
    weekday = (wall_times(hours[:, 0], session.timezone) // DAY + 3) % 7
    return hours[weekday < 5]
