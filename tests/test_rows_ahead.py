"""When the next rows of a series are due: ahead, on the grid of those before, and while the market trades."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import exchange_calendars
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.features.calendar import CLOCK, SessionClock
from serve_apps.book.ahead import next_rows

MINUTE = 60_000_000_000
FIVE = 5 * MINUTE
HONG_KONG = Session(timezone="Asia/Hong_Kong", calendar="XHKG")
TOKYO = Session(timezone="Asia/Tokyo", calendar="XTKS")
CHICAGO = Session(timezone="America/Chicago", calendar="CMES")
SESSIONS = [Session(), Session(calendar="XNYS"), Session(timezone="UTC", calendar="24/7")]


@pytest.mark.parametrize(
    ("last", "session", "due"),
    [
        ("2025-07-03 12:55-0400", Session(calendar="XNYS"), ["2025-07-03 13:00-0400", "2025-07-07 09:35-0400"]),
        ("2025-07-03 12:55-0400", Session(), ["2025-07-03 13:00-0400", "2025-07-03 13:05-0400"]),
        ("2025-07-04 16:00-0400", Session(), ["2025-07-07 09:35-0400", "2025-07-07 09:40-0400"]),
        ("2025-07-03 07:12-0400", Session(), ["2025-07-03 09:32-0400", "2025-07-03 09:37-0400"]),
        ("2025-03-07 15:55-0500", Session(), ["2025-03-07 16:00-0500", "2025-03-10 09:35-0400"]),
        ("2025-07-02 11:55+0800", HONG_KONG, ["2025-07-02 12:00+0800", "2025-07-02 13:05+0800"]),
        ("2025-07-02 12:10+0800", HONG_KONG, ["2025-07-02 13:05+0800", "2025-07-02 13:10+0800"]),
        ("2025-01-28 11:55+0800", HONG_KONG, ["2025-01-28 12:00+0800", "2025-02-03 09:35+0800"]),
        ("2025-07-02 11:28+0900", TOKYO, ["2025-07-02 12:33+0900", "2025-07-02 12:38+0900"]),
        ("2025-12-31 23:55+0000", Session(timezone="UTC", calendar="24/7"), ["2026-01-01", "2026-01-01 00:05+0000"]),
    ],
)
def test_rows_are_due_while_the_market_trades(last, session, due):
    found = next_rows(pd.Timestamp(last).value, session, FIVE, 2)
    assert found == [pd.Timestamp(t).tz_localize("UTC").value if len(t) == 10 else pd.Timestamp(t).value for t in due]


@given(
    ts=st.integers(pd.Timestamp("2024-01-01").value, pd.Timestamp("2025-12-01").value),
    session=st.sampled_from(SESSIONS),
    count=st.integers(1, 100),
)
@settings(max_examples=50)
def test_rows_rise_from_the_last_one_on_its_grid_and_are_of_open_sessions(ts, session, count):
    found = next_rows(ts, session, FIVE, count)
    assert len(found) == count
    assert all(before < later for before, later in pairwise([ts, *found]))
    assert {(later - ts) % FIVE for later in found} == {0}
    just_before = SessionClock(session).at(np.array(found) - 1)
    assert set(just_before[:, CLOCK.index("session_open")]) == {1.0}


@cache
def ends_of_minutes(calendar):
    """Of every minute of trading, as the calendar has them."""
    known = exchange_calendars.get_calendar(calendar, start="2024-12-01", end="2026-01-31", side="right")
    return known.minutes.as_unit("ns").asi8


@given(
    session=st.sampled_from([HONG_KONG, TOKYO, CHICAGO, *SESSIONS[1:]]),
    minute=st.integers(0, 330 * 24 * 60),
    minutes=st.sampled_from([1, 5, 30, 60]),
    count=st.integers(1, 100),
)
@settings(max_examples=100)
def test_rows_are_due_at_the_calendars_own_minutes_that_are_on_the_grid_and_at_all_of_them(
    session, minute, minutes, count
):
    ts, interval = pd.Timestamp("2025-01-01").value + minute * MINUTE, minutes * MINUTE
    known = ends_of_minutes(session.calendar)
    due = known[(known > ts) & ((known - ts) % interval == 0)][:count]
    assert next_rows(ts, session, interval, count) == due.tolist()


def test_a_market_that_does_not_open_within_a_month_has_no_next_row():
    with pytest.raises(DataError, match="does not open for 20000 rows within a month"):
        next_rows(pd.Timestamp("2025-07-01").value, Session(), FIVE, 20_000)
