"""Time as a market counts it: only while it trades."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from bellwether.config.sections import Session

SECOND = 1_000_000_000


def trading_time(ts: int, session: Session) -> int:
    """Nanoseconds the market has traded up to ``ts``, from Monday 0001-01-01.

    The difference of two such numbers is how long it traded between two times. It trades from the session's open to
    its close on Monday to Friday: nights and weekends take no time. Holidays and days that close early are not known
    here and count like any other weekday, so data looks older on the morning after one, never newer.

    Parameters
    ----------
    ts : int
        UTC nanoseconds.
    session : Session
        The market's hours; daylight saving is that of its time zone.

    Examples
    --------
    >>> friday = int(datetime(2025, 6, 27, 19, 30, tzinfo=UTC).timestamp()) * SECOND  # 15:30 in New York
    >>> monday = int(datetime(2025, 6, 30, 14, 30, tzinfo=UTC).timestamp()) * SECOND  # 10:30
    >>> (trading_time(monday, Session()) - trading_time(friday, Session())) / (3600 * SECOND)
    1.5
    """
    day, clock = _local(ts, session)
    opens, length = _nanoseconds(session.opens), session_length(session)
    weeks, weekday = divmod(day, 7)
    today = min(max(clock - opens, 0), length) if weekday < 5 else 0
    return (weeks * 5 + min(weekday, 5)) * length + today


def session_length(session: Session) -> int:
    """Nanoseconds from open to close.

    >>> session_length(Session()) / (3600 * SECOND)
    6.5
    """
    return _nanoseconds(session.closes) - _nanoseconds(session.opens)


def bars_left(ts: int, session: Session, interval_ns: int) -> int:
    """How many bars of the session close after ``ts`` on its day; the last may be a short one.

    >>> at = int(datetime(2025, 6, 27, 18, 30, tzinfo=UTC).timestamp()) * SECOND  # 14:30 in New York
    >>> [bars_left(at + minutes * 60 * SECOND, Session(), 3600 * SECOND) for minutes in (0, 60, 90)]
    [2, 1, 0]
    """
    _, clock = _local(ts, session)
    return max(-((clock - _nanoseconds(session.closes)) // interval_ns), 0)


def iso(ts: int) -> str:
    """UTC nanoseconds as ISO 8601; the fraction has nine digits and is left out where it is zero.

    >>> iso(1_751_313_600_000_000_000), iso(1_751_313_600_000_000_001)
    ('2025-06-30T20:00:00Z', '2025-06-30T20:00:00.000000001Z')
    """
    seconds, rest = divmod(ts, SECOND)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}Z" if rest else f"{text}Z"


def _local(ts: int, session: Session) -> tuple[int, int]:
    """Days since Monday 0001-01-01, and nanoseconds since midnight, on the market's clock."""
    seconds, rest = divmod(ts, SECOND)
    local = datetime.fromtimestamp(seconds, ZoneInfo(session.timezone))
    return local.toordinal() - 1, _nanoseconds(local.time()) + rest


def _nanoseconds(clock: time) -> int:
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * SECOND + clock.microsecond * 1_000
