"""When the next rows of a series that is taken once an interval are due."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.features.base import Ints
from data.features.calendar import session_pieces
from data.features.clock import session_clock
from data.wall import DAY, wall_times

REACH = 31 * DAY
"""How far ahead the next session is looked for."""


def next_rows(ts: int, session: Session, interval_ns: int, count: int) -> list[int]:
    """Times of the next ``count`` rows after ``ts``: a whole number of intervals later, while the market trades.

    A row is the book at the end of its interval, so the first of a session is due an interval after it opens, or less
    where intervals do not begin with it, and the last at its close; in a break nothing changes, so it is a close and an
    opening. Hours are those of the session's calendar; without one they are the regular ones of Monday to Friday,
    whatever holidays there are.

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
    for start, end in _trading_after(ts, session):
        first = max(ts, ts + (start - ts) // interval_ns * interval_ns)  # the last of the grid not after the start
        found += range(first + interval_ns, end + 1, interval_ns)[: count - len(found)]
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


def _trading_after(ts: int, session: Session) -> Ints:
    """Start and end of the stretches of trading that end after ``ts``, (n, 2)."""
    first, last = (int(str(np.datetime64(at, "ns"))[:4]) for at in (ts, ts + REACH))
    stretches = _trading(session, first, last)
    found: Ints = stretches[(stretches[:, 1] > ts) & (stretches[:, 0] < ts + REACH)]
    return found


@lru_cache(maxsize=64)
def _trading(session: Session, first: int, last: int) -> Ints:
    """When the market trades in some years, in stretches (n, 2) that rise; without a calendar from Monday to Friday.

    A session over midnight is several, one after the other, which is the same for rows: one at a seam ends the first.
    """
    pieces = session_pieces(session, first, last)
    found: Ints = np.column_stack([pieces["starts"][:-1], pieces["starts"][1:]])[pieces["is_open"][:-1] == 1]
    if session.calendar:
        return found
    weekday = (wall_times(found[:, 0], session.timezone) // DAY + 3) % 7
    return found[weekday < 5]
