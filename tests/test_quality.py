"""Every raw row is either a bar or in quarantine with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.intake.quality import NOISE, REASONS, REJECTED, VALUES, screen, screen_rows, stamps
from data.records import BARS
from data.sources.base import RAW

SESSION = Session()
NEW_YORK = ZoneInfo(SESSION.timezone)
NAN, INF = math.nan, math.inf


def at(clock: str, day: str = "2025-03-05") -> int:
    """UTC nanoseconds of a New York wall time."""
    return int(datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=NEW_YORK).timestamp()) * 1_000_000_000


NOW = at("16:00", "2025-03-06")


def row(**changes: object) -> dict[str, object]:
    good = {
        "symbol": "A",
        "ts_event": at("10:30"),
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume": 5.0,
    }
    return good | changes


def raw(*rows: dict[str, object]) -> pa.Table:
    numbered = [{"file": "a.csv", "row": n, **r} for n, r in enumerate(rows, 1)]
    columns = {name: [r[name] for r in numbered] for name in RAW.names}
    columns["ts_event"] = pa.array(columns["ts_event"], pa.int64()).cast(RAW.field("ts_event").type)
    return pa.table(columns, schema=RAW)


def reasons(*rows: dict[str, object]) -> list[str]:
    return screen_rows(raw(*rows), SESSION).rejected["reason"].to_pylist()


BROKEN = [
    ("missing_value", {"symbol": None}),
    ("missing_value", {"symbol": ""}),
    ("missing_value", {"ts_event": None}),
    ("unusable_symbol", {"symbol": "long " * 60}),
    ("missing_value", {"close": None}),
    ("missing_value", {"volume": None}),
    ("not_finite", {"open": NAN}),
    ("not_finite", {"high": INF}),
    ("not_finite", {"high": INF, "low": INF}),
    ("not_finite", {"volume": NAN}),
    ("non_positive_price", {"low": 0.0}),
    ("non_positive_price", {"open": -1.0}),
    ("negative_volume", {"volume": -1.0}),
    ("high_below_low", {"high": 9.0, "low": 12.0}),
    ("outside_range", {"open": 12.1}),
    ("outside_range", {"close": 8.9}),
    ("outside_session", {"ts_event": at("09:30")}),  # nothing can have closed when the session opens
    ("outside_session", {"ts_event": at("16:00") + 1}),
    ("outside_session", {"ts_event": at("00:00")}),
    ("outside_session", {"ts_event": at("17:00", "2025-03-07")}),  # told by the zone check, whenever it is
    ("not_closed", {"ts_event": at("10:30", "2025-03-07")}),
]


@pytest.mark.parametrize(("reason", "change"), BROKEN)
def test_a_broken_row_goes_to_quarantine_with_its_reason_and_where_it_is_from(reason, change):
    screened = screen(raw(row(ts_event=at("11:30")), row(**change), row(ts_event=at("16:00"))), SESSION, NOW)
    assert screened.kept.num_rows == 2
    (rejected,) = screened.rejected.to_pylist()
    assert (rejected["reason"], rejected["file"], rejected["row"]) == (reason, "a.csv", 2)
    assert repr(rejected["close"]) == repr(row(**change)["close"])  # as it came


def test_every_row_rule_is_covered_above():
    assert {reason for reason, _ in BROKEN} == set(REASONS[:-2])


@pytest.mark.parametrize("clock", ["09:30:01", "10:30", "16:00"])
@pytest.mark.parametrize("day", ["2025-03-07", "2025-03-10", "2025-10-31", "2025-11-03"])  # around both clock changes
def test_the_session_is_kept_in_its_own_zone(clock, day):
    assert reasons(row(ts_event=at(clock, day))) == []


def test_a_repeated_row_is_a_duplicate_and_the_first_of_a_conflict_is_kept():
    same, other = row(), row(close=11.5)
    screened = screen_rows(raw(row(symbol="B"), same, other, same, row(ts_event=at("11:30"))), SESSION)
    assert screened.rejected["reason"].to_pylist() == ["conflicting_duplicate", "duplicate"]
    assert screened.rejected["row"].to_pylist() == [3, 4]
    assert screened.kept.filter(pa.compute.equal(screened.kept["symbol"], "A"))["close"].to_pylist() == [11.0, 11.0]


def test_a_broken_row_does_not_take_the_place_of_a_good_one():
    assert reasons(row(close=NAN), row()) == ["not_finite"]


def test_rows_out_of_order_are_sorted_and_counted_not_rejected():
    hours = ["12:30", "10:30", "11:30", "13:30"]
    screened = screen(raw(*(row(ts_event=at(h)) for h in hours), row(symbol="B")), SESSION)
    assert screened.unsorted == 2
    assert screened.rejected.num_rows == 0
    kept = screened.kept.to_pydict()
    assert list(zip(kept["symbol"], kept["ts_event"], strict=True)) == sorted(
        zip(kept["symbol"], kept["ts_event"], strict=True)
    )


def test_prices_may_contradict_each_other_by_what_float32_loses():
    assert reasons(row(close=12.0 * (1 + NOISE / 2)), row(ts_event=at("11:30"), open=9.0 * (1 - NOISE / 2))) == []
    assert reasons(row(close=12.0 * (1 + NOISE * 2))) == ["outside_range"]


def test_a_source_in_another_zone_is_refused_as_a_whole():
    wrong = [row(ts_event=at(f"{h:02}:30")) for h in (1, 2, 3, 10)]
    with pytest.raises(DataError, match=r"3 of 4 rows are outside the session.*timezone.*stamped"):
        screen(raw(*wrong), SESSION)
    half = [row(ts_event=at(clock)) for clock in ("01:30", "10:30")]
    assert screen(raw(*half), SESSION).kept.num_rows == 1


def test_a_bar_is_closed_from_the_instant_of_its_close():
    bars = raw(row(ts_event=at("11:30")), row(ts_event=at("12:30")))
    assert screen_rows(bars, SESSION, at("12:30")).rejected.num_rows == 0
    assert screen_rows(bars, SESSION, at("12:30") - 1).rejected["reason"].to_pylist() == ["not_closed"]


# --- which end of the bar ------------------------------------------------------------------------------

STARTS = [f"{hour:02}:30" for hour in range(9, 16)]
CLOSES = [*STARTS[1:], "16:00"]
DAYS = [f"2025-03-{day:02}" for day in range(3, 8)]


def grid(clocks: Iterable[str], days: Iterable[str] = DAYS) -> list[dict[str, object]]:
    return [row(ts_event=at(clock, day)) for day in days for clock in clocks]


@pytest.mark.parametrize("days", [DAYS[:1], DAYS], ids=["one day", "a week"])
def test_starts_that_are_read_as_closes_are_refused_and_it_says_what_to_set(days):
    with pytest.raises(DataError, match=r"stamped at their start. Set `stamped: start`"):
        screen(raw(*grid(STARTS, days)), SESSION)


def test_starts_of_long_bars_are_told_apart_from_another_zone():
    with pytest.raises(DataError, match="stamped at their start"):
        screen(raw(*grid(["09:30"])), SESSION)


def test_starts_are_told_by_the_source_not_by_a_row_or_a_symbol():
    late = [r | {"symbol": "B"} for r in grid(["11:30"])]
    with pytest.raises(DataError, match="on 5 of 5 days"):
        screen(raw(*grid(STARTS), *late), SESSION)


@pytest.mark.parametrize(
    "rows",
    [
        grid(CLOSES),
        grid(["09:30", *CLOSES]),  # an opening print on a grid of closes
        [*grid(CLOSES), *grid(["09:30"], DAYS[:2])],
        grid(["09:00", *STARTS]),  # trades before the session: its clock is not the session's
        [*grid(STARTS[1:]), *grid(["09:30"], DAYS[:2])],  # on fewer than half of the days
    ],
    ids=["closes", "opening print", "some opening prints", "before the opening", "few days"],
)
def test_what_may_be_closes_is_not_refused(rows):
    assert screen(raw(*rows), SESSION).kept.num_rows > 0


def test_stamps_of_parts_add_up_to_those_of_the_whole():
    rows = [*grid(STARTS, DAYS[:3]), *grid(["08:00", *CLOSES], DAYS[2:])]
    parts = stamps(raw(*rows[:10]), SESSION) | stamps(raw(*rows[10:]), SESSION) | stamps(raw(), SESSION)
    assert parts == stamps(raw(*rows, row(ts_event=None)), SESSION)
    assert (len(parts.days), len(parts.opening), len(parts.closing), parts.early) == (5, 3, 3, 3)


def test_nothing_in_nothing_out():
    screened = screen(RAW.empty_table(), SESSION)
    assert (screened.kept.num_rows, screened.rejected.num_rows, screened.unsorted) == (0, 0, 0)
    assert screened.kept.schema == BARS
    assert screened.rejected.schema == REJECTED


prices = st.sampled_from([10.0, 9.0, 12.0, 11.0, -1.0, 0.0, NAN, INF, None])
some_rows = st.lists(
    st.fixed_dictionaries(
        {
            "symbol": st.sampled_from(["A", "B", None]),
            "ts_event": st.sampled_from([at("10:30"), at("11:30"), at("16:00"), at("17:00"), None]),
            "open": st.just(10.0),
            "high": st.sampled_from([12.0, 11.0, 8.0]),
            "low": st.just(9.0),
            "close": prices,
            "volume": st.sampled_from([0.0, 5.0, -5.0]),
        }
    ),
    max_size=30,
)


def slow_reason(r: dict, kept: dict) -> str | None:
    """The rules one row at a time, as one would say them."""
    values = [r[name] for name in VALUES]
    if r["symbol"] is None or r["ts_event"] is None or None in values:
        return "missing_value"
    if not all(map(math.isfinite, values)):
        return "not_finite"
    if min(values[:4]) <= 0:
        return "non_positive_price"
    if r["volume"] < 0:
        return "negative_volume"
    if r["high"] < r["low"]:
        return "high_below_low"
    if not all(r["low"] <= r[name] <= r["high"] for name in ("open", "close")):
        return "outside_range"
    if not SESSION.opens < datetime.fromtimestamp(r["ts_event"] // 10**9, NEW_YORK).time() <= SESSION.closes:
        return "outside_session"
    first = kept.setdefault((r["symbol"], r["ts_event"]), r)
    if first is r:
        return None
    return "duplicate" if all(first[n] == r[n] for n in VALUES) else "conflicting_duplicate"


@settings(max_examples=150)
@given(some_rows)
def test_the_rules_agree_with_the_same_rules_one_row_at_a_time(rows):
    kept: dict = {}
    expected = [(n, slow_reason(r, kept)) for n, r in enumerate(rows, 1)]
    screened = screen_rows(raw(*rows), SESSION)
    got = zip(screened.rejected["row"].to_pylist(), screened.rejected["reason"].to_pylist(), strict=True)
    assert list(got) == [(n, reason) for n, reason in expected if reason]
    assert screened.kept.num_rows + screened.rejected.num_rows == len(rows)
    ts = screened.kept["ts_event"].cast(pa.int64()).to_pylist()
    table = zip(screened.kept["symbol"].to_pylist(), ts, screened.kept["close"].to_pylist(), strict=True)
    assert list(table) == [(*key, kept[key]["close"]) for key in sorted(kept)]
