"""Exchange calendars: in which trading day an event falls, and how far its session has come."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError
from data.features.compiled import compiled

SECOND = 1_000_000_000
MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
EPOCH = date(1970, 1, 1)

CLOCK = ("session", "hour", "minute", "weekday", "session_open", "minutes_since_open", "minutes_to_close")
"""Columns of `SessionClock.at`."""

PIECE = np.dtype(
    [("starts", "i8"), ("session", "i8"), ("offset", "i8"), ("is_open", "i8"), ("opens", "i8"), ("closes", "i8")]
)
"""A stretch of time, to the next piece's start, in which nothing but the time itself changes; UTC nanoseconds."""


@dataclass(frozen=True, kw_only=True)
class Hours:
    """A session of the market: its date in days since 1970-01-01, and UTC nanoseconds; breaks may be empty."""

    number: int
    opens: int
    closes: int
    break_starts: int = 0
    break_ends: int = 0


def _edges(h: Hours) -> tuple[int, ...]:
    """Where a session opens, pauses or closes."""
    pause = (h.break_starts, h.break_ends) if h.break_ends else ()
    return (h.opens, *pause, h.closes)


def _trades(h: Hours, ts: int) -> bool:
    """Whether the market is open at ``ts``; at the close it no longer is."""
    return h.opens <= ts < h.closes and not h.break_starts <= ts < h.break_ends


class SessionClock:
    """Says of event times where in the market's sessions they lie; quick for a history and for one event after another.

    The hours are those of ``session.calendar`` (holidays, early closes, breaks) or, without one, ``opens`` to
    ``closes`` on every day of the week. Hour, minute and weekday are those of ``session.timezone``.

    Parameters
    ----------
    session : Session
        The market's hours.

    >>> import pandas as pd
    >>> clock = SessionClock(Session(calendar="XNYS"))
    >>> closes_early = pd.Timestamp("2024-11-29 12:30", tz="America/New_York").value
    >>> dict(zip(CLOCK, clock.at(np.array([closes_early]))[0].tolist()))  # doctest: +NORMALIZE_WHITESPACE
    {'session': 20056.0, 'hour': 12.0, 'minute': 30.0, 'weekday': 4.0, 'session_open': 1.0,
     'minutes_since_open': 180.0, 'minutes_to_close': 30.0}
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._years = (0, 0)
        self._pieces: NDArray[np.void] = np.zeros(1, PIECE)
        self._hint = np.zeros(1, np.int64)

    def at(self, ts: NDArray[np.int64], out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the clock's columns for events at ``ts``.

        Parameters
        ----------
        ts : int64 array of shape (n,)
            UTC nanoseconds, in any order; rising ones are quickest.
        out : float64 array of shape (n, len(CLOCK)), optional
            Where the columns go.

        Returns
        -------
        float64 array of shape (n, len(CLOCK))
            ``session`` is the trading day, in days since 1970-01-01: the date of the session that is open, and the
            local date while none is. ``hour``, ``minute`` and ``weekday`` (Monday is 0) are local. ``session_open``
            is 1 from the open until the close, 0 outside and in a break. ``minutes_since_open`` and
            ``minutes_to_close`` count that day's session, breaks included; before it opens they are 0 and its
            length, after its close its length and 0, and both 0 on a day without one.

        Raises
        ------
        ConfigError
            There is no such calendar.
        DataError
            The calendar does not reach so far.
        """
        if out is None:
            out = np.empty((len(ts), len(CLOCK)))
        done = 0
        while (done := _place(ts, done, self._pieces, self._hint, out)) < len(ts):
            self._reach(int(ts[done]))
        return out

    def _reach(self, ts: int) -> None:
        year = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts // 1_000)).year
        first, last = self._years
        self._years = (min(first, year), max(last, year)) if last else (year, year)
        self._pieces, self._hint[0] = _known_pieces(self.session, *self._years), 0


@compiled
def _place(ts: Any, done: int, pieces: Any, hint: Any, out: Any) -> int:
    """Fill rows from ``done`` on; return the first that lies outside of the pieces, of which the last only ends."""
    k, last = hint[0], len(pieces) - 1
    for i in range(done, len(ts)):
        t = ts[i]
        if t < pieces[0].starts or t >= pieces[last].starts:
            return i
        if t < pieces[k].starts or t >= pieces[k + 1].starts:
            k = np.searchsorted(pieces.starts, t, side="right") - 1
        p = pieces[k]
        local = t + p.offset
        minute = local // MINUTE
        out[i, 0] = p.session
        out[i, 1] = minute // 60 % 24
        out[i, 2] = minute % 60
        out[i, 3] = (local // DAY + 3) % 7
        out[i, 4] = p.is_open
        out[i, 5] = (min(max(t, p.opens), p.closes) - p.opens) / MINUTE
        out[i, 6] = (p.closes - min(max(t, p.opens), p.closes)) / MINUTE
    hint[0] = k
    return len(ts)


def session_pieces(session: Session, first: int, last: int) -> NDArray[np.void]:
    """Cut the UTC years ``first`` to ``last`` where something changes; the last piece only says where it ends."""
    zone, start = ZoneInfo(session.timezone), date(first - 1, 12, 31)
    days = [start + timedelta(days=k) for k in range((date(last + 1, 1, 3) - start).days + 1)]
    hours = _calendar_hours(session.calendar, days) if session.calendar else _regular_hours(session, zone, days)
    midnights = [_utc(day, time(0), zone) for day in days[:-1]]
    edges = {*midnights, *_clock_changes(zone, midnights), *(edge for h in hours for edge in _edges(h))}
    starts = sorted(edge for edge in edges if midnights[0] <= edge <= midnights[-1])
    return np.array([_piece(start, hours, zone) for start in starts], PIECE)


_known_pieces = lru_cache(maxsize=64)(session_pieces)


def _piece(start: int, hours: Sequence[Hours], zone: ZoneInfo) -> tuple[int, ...]:
    """Find the session of the time from ``start`` on: the one that is open, or that of the local date."""
    offset = _offset(start, zone)
    running = bisect_right(hours, start, key=lambda h: h.opens) - 1
    if running >= 0 and start < hours[running].closes:
        h = hours[running]
        return start, h.number, offset, int(_trades(h, start)), h.opens, h.closes
    today = (start + offset) // DAY
    at = bisect_right(hours, today, key=lambda h: h.number) - 1
    opens, closes = (hours[at].opens, hours[at].closes) if at >= 0 and hours[at].number == today else (0, 0)
    return start, today, offset, 0, opens, closes


def _regular_hours(session: Session, zone: ZoneInfo, days: Sequence[date]) -> list[Hours]:
    return [
        Hours(number=_number(day), opens=_utc(day, session.opens, zone), closes=_utc(day, session.closes, zone))
        for day in days
    ]


def _calendar_hours(code: str, days: Sequence[date]) -> list[Hours]:
    import exchange_calendars

    try:
        known = exchange_calendars.get_calendar(code)
        lowest, highest = known.bound_min(), known.bound_max()
        start = max(days[0], lowest.date()) if lowest is not None else days[0]
        end = min(days[-1], highest.date()) if highest is not None else days[-1]
        if start > days[1] or end < days[-4]:
            raise DataError(
                f"calendar {code} reaches from {lowest} to {highest}; it is asked for {days[1]} to {days[-4]}: "
                "use session.opens and session.closes without a calendar, or check the dates"
            )
        schedule = exchange_calendars.get_calendar(code, start=str(start), end=str(end)).schedule
    except exchange_calendars.errors.InvalidCalendarName as error:
        codes = ", ".join(exchange_calendars.get_calendar_names(include_aliases=False))
        raise ConfigError(f"session.calendar: no calendar {code!r}; known: {codes}") from error
    except ValueError as error:
        raise DataError(f"calendar {code} cannot be read for {days[1]} to {days[-4]}: {str(error)[:200]}") from error
    return list(_schedule_hours(schedule))


def _schedule_hours(schedule: Any) -> Iterator[Hours]:
    """Sessions of a schedule, a frame of UTC times by date; no break is a missing time."""
    times = [schedule[name].array for name in ("open", "close", "break_start", "break_end")]
    for day, opens, closes, pause, resume in zip(schedule.index, *times, strict=True):
        number = _number(day.date())
        if pause == pause:
            yield Hours(
                number=number,
                opens=opens.value,
                closes=closes.value,
                break_starts=pause.value,
                break_ends=resume.value,
            )
        else:
            yield Hours(number=number, opens=opens.value, closes=closes.value)


def _clock_changes(zone: ZoneInfo, midnights: Sequence[int]) -> Iterator[int]:
    """Seconds at which the zone's clock is moved, by bisection of the days in which it is."""
    for low, high in pairwise(midnights):
        before = _offset(low, zone)
        if _offset(high, zone) == before:
            continue
        a, b = low // SECOND, high // SECOND
        while b - a > 1:
            middle = (a + b) // 2
            a, b = (middle, b) if _offset(middle * SECOND, zone) == before else (a, middle)
        yield b * SECOND


def _offset(ts: int, zone: ZoneInfo) -> int:
    """Nanoseconds the local clock is ahead of UTC."""
    ahead = datetime.fromtimestamp(ts // SECOND, zone).utcoffset() or timedelta(0)
    return int(ahead.total_seconds()) * SECOND


def _utc(day: date, clock: time, zone: ZoneInfo) -> int:
    return round(datetime.combine(day, clock, zone).timestamp() * 1_000_000) * 1_000


def _number(day: date) -> int:
    return (day - EPOCH).days


CLOCKWORK = (
    SessionClock.at,
    session_pieces,
    _piece,
    _regular_hours,
    _calendar_hours,
    _schedule_hours,
    _clock_changes,
    _edges,
    _trades,
    _offset,
    _utc,
    _number,
)
"""All that the clock's columns are computed by, for the definitions of feature sets that use them."""
