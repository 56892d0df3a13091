"""When the sessions of a market's calendar open and close."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.features.calendar import session_pieces
from data.wall import DAY, of_day, wall_times

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
NEVER = -(2**63)
"""The time of a session there is none of."""


@lru_cache(maxsize=64)
def session_hours(session: Session, first: int, last: int) -> Ints:
    """Return openings and closes of the sessions of some UTC years and the days around them, (S, 2), rising.

    Raises
    ------
    ConfigError, DataError
        There is no such calendar, or it does not reach so far.
    """
    pieces = session_pieces(session, first, last)
    both = np.unique(np.column_stack([pieces["opens"], pieces["closes"]]), axis=0)
    return both[both[:, 1] > both[:, 0]]


def last_opened(ts: Ints, session: Session, *, at: bool) -> tuple[Ints, Ints]:
    """Return the opening and the close of the last session that opened before each time, or ``at`` it, where asked.

    Both are `NEVER` in years that the calendar does not reach.

    Raises
    ------
    ConfigError
        There is no such calendar.

    >>> hour, always = 3_600_000_000_000, Session(timezone="UTC", calendar="24/7")
    >>> [int(found[0]) // hour - 24 * 20_000 for found in last_opened(np.array([20_000 * 24 * hour]), always, at=False)]
    [-24, 0]
    """
    found = np.full((len(ts), 2), NEVER)
    years = _years(ts)
    for year in np.unique(years):
        of = np.flatnonzero(years == year)
        hours = _reached(session, int(year))
        which = np.searchsorted(hours[:, 0], ts[of], side="right" if at else "left") - 1
        found[of[which >= 0]] = hours[which[which >= 0]]
    return found[:, 0], found[:, 1]


def reached(ts: Ints, session: Session) -> Flags:
    """Tell which times are in years that the market's calendar knows; without one, all are.

    Raises
    ------
    ConfigError
        There is no such calendar.

    >>> tokyo = Session(timezone="Asia/Tokyo", calendar="XTKS")
    >>> reached(np.array(["1985-06-03", "2005-06-03"], "M8[ns]").astype(np.int64), tokyo).tolist()
    [False, True]
    """
    years = _years(ts)
    unknown = [year for year in np.unique(years) if not len(_reached(session, int(year)))]
    return ~np.isin(years, unknown)


def is_close(ts: Ints, session: Session) -> Flags:
    """Tell which times are those of a bar's close: after the opening of a session, and no later than it closes.

    A day on which the market closes early has its regular hours too: sources that do not know of it stamp its last bar
    with the regular close.
    """
    _, closes = last_opened(ts, session, at=False)
    days, clock = np.divmod(wall_times(ts, session.timezone), DAY)
    regular = (clock > of_day(session.opens)) & (clock <= of_day(session.closes))
    _, today = last_opened(ts, session, at=True)
    trading = (today > NEVER) & (wall_times(np.maximum(today, 0), session.timezone) // DAY == days)
    flags: Flags = (ts <= closes) & (closes > NEVER) | (regular & trading)
    return flags


def _years(ts: Ints) -> Ints:
    return ts.view("M8[ns]").astype("M8[Y]").astype(np.int64) + 1970


@lru_cache(maxsize=64)
def _reached(session: Session, year: int) -> Ints:
    try:
        return session_hours(session, year, year)
    except (DataError, OverflowError):  # years in which not every day is one in nanoseconds
        return np.empty((0, 2), np.int64)
