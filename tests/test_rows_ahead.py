"""When the next rows of a series are due: ahead, on the grid of those before, and while the market trades."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.recipe import Session
from bellwether.errors import DataError
from data.features.calendar import CLOCK, SessionClock
from serve_apps.book.ahead import next_rows

FIVE = 300_000_000_000
SESSIONS = [Session(), Session(calendar="XNYS"), Session(timezone="UTC", calendar="24/7")]


@pytest.mark.parametrize(
    ("last", "session", "due"),
    [
        ("2025-07-03 12:55-0400", Session(calendar="XNYS"), ["2025-07-03 13:00-0400", "2025-07-07 09:35-0400"]),
        ("2025-07-03 12:55-0400", Session(), ["2025-07-03 13:00-0400", "2025-07-03 13:05-0400"]),
        ("2025-07-04 16:00-0400", Session(), ["2025-07-07 09:35-0400", "2025-07-07 09:40-0400"]),
        ("2025-07-03 07:12-0400", Session(), ["2025-07-03 09:32-0400", "2025-07-03 09:37-0400"]),
        ("2025-03-07 15:55-0500", Session(), ["2025-03-07 16:00-0500", "2025-03-10 09:35-0400"]),
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
@settings(deadline=None, max_examples=50)
def test_rows_rise_from_the_last_one_on_its_grid_and_are_of_open_sessions(ts, session, count):
    found = next_rows(ts, session, FIVE, count)
    assert len(found) == count
    assert all(before < later for before, later in pairwise([ts, *found]))
    assert {(later - ts) % FIVE for later in found} == {0}
    just_before = SessionClock(session).at(np.array(found) - 1)
    assert set(just_before[:, CLOCK.index("session_open")]) == {1.0}


def test_a_market_that_does_not_open_within_a_month_has_no_next_row():
    with pytest.raises(DataError, match="does not open for 20000 rows within a month"):
        next_rows(pd.Timestamp("2025-07-01").value, Session(), FIVE, 20_000)
