"""The session clock against the calendars themselves and against Python's own clock, minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError
from data.features.base import Floats
from data.features.calendar import CLOCK, SessionClock
from data.features.clock import session_clock

CALENDARS = {
    "XNYS": "America/New_York",
    "XHKG": "Asia/Hong_Kong",
    "XLON": "Europe/London",
    "XBOM": "Asia/Kolkata",
    "CMES": "America/Chicago",
    "24/7": "UTC",
}
HALF_MINUTE = 30_000_000_000


def nanoseconds(text: str, timezone: str = "America/New_York") -> int:
    return pd.Timestamp(text, tz=timezone).value


def clock(text: str, session: Session) -> dict[str, float]:
    """What the clock says at a local time of the session's zone."""
    row = SessionClock(session).at(np.array([nanoseconds(text, session.timezone)]))[0]
    return dict(zip(CLOCK, row.tolist(), strict=True))


@cache
def calendar(code: str) -> Any:
    return exchange_calendars.get_calendar(code, start="2023-06-01", end="2026-06-30", side="left")


def expected(code: str, ts: int) -> tuple[float, ...]:
    """The clock's row, from the calendar's own methods and pandas' time zones: slow, and with no table of its own."""
    known, at = calendar(code), pd.Timestamp(ts, tz="UTC")
    local, minute = at.tz_convert(CALENDARS[code]), at.floor("min")
    is_open = known.is_open_on_minute(minute)
    if known.is_open_on_minute(minute, ignore_breaks=True):
        day = known.minute_to_session(minute)
    else:
        day = local.normalize().tz_localize(None)
    clock = (local.hour, local.minute, local.weekday(), float(is_open))
    number = (day - pd.Timestamp(0)).days
    if not known.is_session(day):
        return (number, *clock, 0.0, 0.0)
    opens, closes = known.session_open(day), known.session_close(day)
    inside = min(max(at, opens), closes)
    return (number, *clock, (inside - opens) / pd.Timedelta("1min"), (closes - inside) / pd.Timedelta("1min"))


@pytest.mark.parametrize("code", CALENDARS)
def test_agrees_with_the_calendar_at_any_minute(code: str) -> None:
    rng = np.random.default_rng(0)
    first, last = nanoseconds("2023-12-20", "UTC"), nanoseconds("2026-01-10", "UTC")
    ts = (
        rng.integers(first, last, 1_500) // (2 * HALF_MINUTE) * 2 * HALF_MINUTE
        + rng.integers(0, 2, 1_500) * HALF_MINUTE
    )
    got = SessionClock(Session(timezone=CALENDARS[code], calendar=code)).at(ts)
    np.testing.assert_allclose(got, [expected(code, int(t)) for t in ts], rtol=0, atol=1e-9)


@pytest.mark.parametrize("code", CALENDARS)
def test_opens_closes_and_breaks_are_exact_to_the_nanosecond(code: str) -> None:
    schedule = calendar(code).schedule
    known = {name: np.array([t.value for t in schedule[name].dropna()], np.int64) for name in schedule}
    seamless = np.intersect1d(known["open"], known["close"])
    clock, is_open = SessionClock(Session(timezone=CALENDARS[code], calendar=code)), CLOCK.index("session_open")
    edges = {"open": (0.0, 1.0), "close": (1.0, 0.0), "break_start": (1.0, 0.0), "break_end": (0.0, 1.0)}
    for name, (before, after) in edges.items():
        ts = np.setdiff1d(known[name], seamless)
        ts = ts[(ts > nanoseconds("2024-01-02", "UTC")) & (ts < nanoseconds("2025-12-30", "UTC"))]
        assert (clock.at(ts)[:, is_open] == after).all(), name
        assert (clock.at(ts - 1)[:, is_open] == before).all(), name
    assert (clock.at(seamless)[:, is_open] == 1.0).all()


ZONES = ("America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC")


@given(seconds=st.integers(0, 4_000_000_000), zone=st.sampled_from(ZONES))
@settings(max_examples=200)
def test_without_a_calendar_every_day_has_the_regular_hours(seconds: int, zone: str) -> None:
    session = Session(timezone=zone, opens=time(9, 30), closes=time(16))
    got = SessionClock(session).at(np.array([seconds * 1_000_000_000]))[0].tolist()
    local = datetime.fromtimestamp(seconds, ZoneInfo(zone))
    opens, closes = (datetime.combine(local.date(), t, local.tzinfo).astimezone(UTC) for t in (time(9, 30), time(16)))
    now = local.astimezone(UTC)
    inside = min(max(now, opens), closes)
    day = (local.date() - date(1970, 1, 1)).days
    minutes = [(inside - opens) / timedelta(minutes=1), (closes - inside) / timedelta(minutes=1)]
    assert got == pytest.approx(
        [day, local.hour, local.minute, local.weekday(), float(opens <= now < closes), *minutes]
    )


def test_holidays_early_closes_and_weekends_are_known() -> None:
    session = Session(calendar="XNYS")
    early = clock("2024-07-03 12:00", session)
    assert (early["session_open"], early["minutes_to_close"]) == (1.0, 60.0)
    assert clock("2024-07-03 14:00", session)["session_open"] == 0.0
    for closed in ("2024-07-04 12:00", "2024-07-06 12:00"):
        assert [clock(closed, session)[name] for name in CLOCK[-3:]] == [0.0, 0.0, 0.0]
        assert clock(closed, Session())["session_open"] == 1.0


def test_outside_the_hours_the_minutes_stand_still() -> None:
    session = Session(calendar="XNYS")
    assert [clock("2024-07-02 08:00", session)[n] for n in CLOCK[-3:]] == [0.0, 0.0, 390.0]
    assert [clock("2024-07-02 19:00", session)[n] for n in CLOCK[-3:]] == [0.0, 390.0, 0.0]


def test_a_break_is_closed_and_the_minutes_go_on() -> None:
    session = Session(timezone="Asia/Hong_Kong", calendar="XHKG")
    lunch = clock("2024-07-02 12:30", session)
    assert [lunch[n] for n in CLOCK[-3:]] == [0.0, 180.0, 210.0]
    assert lunch["session"] == clock("2024-07-02 14:00", session)["session"]


def test_a_session_that_goes_on_over_midnight_keeps_its_number() -> None:
    session = Session(timezone="America/Chicago", calendar="CMES")
    evening, night, noon = (clock(f"2024-07-0{at}", session) for at in ("1 20:00", "2 02:00", "2 12:00"))
    assert evening["session"] == night["session"] == noon["session"]
    assert clock("2024-07-01 12:00", session)["session"] == noon["session"] - 1


def test_the_session_is_the_day_of_the_session_clock() -> None:
    rng = np.random.default_rng(1)
    ts = rng.integers(nanoseconds("2024-01-02"), nanoseconds("2025-12-30"), 5_000)
    for session in (Session(), Session(calendar="XNYS"), Session(timezone="Asia/Kolkata", calendar="XBOM")):
        np.testing.assert_array_equal(SessionClock(session).at(ts)[:, 0], session_clock(ts, session)[:, 0])


@given(steps=st.lists(st.integers(-(10**17), 10**17), min_size=1, max_size=30))
@settings(max_examples=25)
def test_one_at_a_time_and_in_any_order_is_the_same(steps: list[int]) -> None:
    ts = nanoseconds("2022-01-01") + np.cumsum(np.array(steps, np.int64)) % (4 * 10**17)
    session = Session()
    one_by_one, out = SessionClock(session), np.empty((1, len(CLOCK)))
    rows: list[Floats] = [one_by_one.at(ts[i : i + 1], out)[0].copy() for i in range(len(ts))]
    np.testing.assert_array_equal(SessionClock(session).at(ts), rows)


def test_it_writes_where_it_is_told() -> None:
    ts, wide = np.array([nanoseconds("2024-07-02 10:00")]), np.zeros((1, 9))
    SessionClock(Session()).at(ts, wide[:, 2:])
    np.testing.assert_array_equal(wide[:, 2:], SessionClock(Session()).at(ts))
    assert (wide[:, :2] == 0).all()
    assert SessionClock(Session()).at(ts[:0]).shape == (0, len(CLOCK))


def test_an_unknown_calendar_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no calendar 'NYSE2'; known: .*XNYS"):
        clock("2024-07-02 10:00", Session(calendar="NYSE2"))


def test_a_time_the_calendar_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match="calendar XHKG reaches from 1960"):
        clock("2055-07-02 10:00", Session(timezone="Asia/Hong_Kong", calendar="XHKG"))


def test_the_last_year_a_calendar_knows_is_known_whole() -> None:
    session = Session(timezone="Asia/Hong_Kong", calendar="XHKG")
    assert clock("2049-12-30 10:00", session)["session_open"] == 1.0
