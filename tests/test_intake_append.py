"""Events appended as they happen: judged as ingest judges them, in order, once, and in quarantine if not taken."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from benchmarks.tick_installation import FIRST_OPEN, SECOND, date_of, trades_of
from data.intake import append as appending
from data.intake.append import Stream, append
from data.intake.batch import SOURCE
from data.lake import Lake
from data.records import TIME, record_kind
from data.wall import DAY, times

TICKS = record_kind("ticks")
STREAM = Stream(record=TICKS, kind="ticks", session=Session(), identity="feed")
LATER = FIRST_OPEN + 10 * DAY


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def trade(second, symbol="A", price=100.0, volume=10.0, seq=None, **more):
    return {
        "symbol": symbol,
        "ts_event": FIRST_OPEN + second * SECOND,
        "price": price,
        "volume": volume,
        "seq": seq,
        **more,
    }


def raw(*trades):
    rows = [{"side": 0, "file": "test", "row": n, **trade} for n, trade in enumerate(trades, 1)]
    arrays = []
    for field in TICKS.raw:
        values = [row.get(field.name) for row in rows]
        is_time = field.type == TIME
        arrays.append(pa.array(values, pa.int64()).cast(TIME) if is_time else pa.array(values, field.type))
    return pa.table(arrays, schema=TICKS.raw)


def post(lake, *trades):
    done = append(STREAM, lake, raw(*trades), LATER)
    return done.added, done.unchanged, done.rejected["reason"].to_pylist()


def prices(lake, symbol="A"):
    return (
        lake.read("ticks", f"{symbol}/{date_of(0)}")
        .sort_by([("ts_event", "ascending"), ("seq", "ascending")])["price"]
        .to_pylist()
    )


def test_a_post_is_one_part_of_each_symbol_and_date(lake):
    assert post(lake, trade(0), trade(1, price=101.0), trade(0, "B"), trade(86_400)) == (4, 0, [])
    assert prices(lake) == [100.0, 101.0]
    assert [(e.partition, e.rows) for e in lake.entries("ticks").values()] == [
        (f"A/{date_of(0)}", 2),
        (f"A/{date_of(1)}", 1),
        (f"B/{date_of(0)}", 1),
    ]
    assert {e.note[SOURCE] for e in lake.entries("ticks").values()} == {"feed"}


def test_it_is_in_the_lake_as_if_it_had_come_at_once(lake, tmp_path):
    whole, cut = trades_of("A", 0, 60), Lake(str(tmp_path / "cut"))
    rows = [
        {**row, "ts_event": ts}
        for row, ts in zip(whole.drop_columns("ts_event").to_pylist(), times(whole).tolist(), strict=True)
    ]
    post(lake, *rows)
    for first in range(0, 60, 7):
        post(cut, *rows[first : first + 7])
    both = [one.read("ticks", f"A/{date_of(0)}") for one in (lake, cut)]
    assert both[0].equals(both[1])
    assert both[0].equals(whole)


def test_what_was_sent_before_is_left_alone(lake):
    sent = [trade(0), trade(1), trade(1, price=101.0)]
    assert post(lake, *sent) == (3, 0, [])
    version = lake.version("ticks")
    assert post(lake, *sent) == (0, 3, [])
    assert lake.version("ticks") == version
    assert post(lake, *sent, trade(2)) == (1, 3, [])


def test_trades_of_one_instant_are_numbered_on(lake):
    post(lake, trade(0), trade(0, price=101.0))
    assert post(lake, trade(0, price=102.0), trade(0, price=101.0)) == (1, 1, [])
    assert prices(lake) == [100.0, 101.0, 102.0]
    assert sorted(lake.read("ticks", f"A/{date_of(0)}")["seq"].to_pylist()) == [0, 1, 2]


def test_what_stands_before_the_newest_is_put_aside(lake):
    post(lake, trade(5, seq=3))
    assert post(lake, trade(4), trade(5, seq=2), trade(5, seq=3, price=9.0), trade(6)) == (
        1,
        0,
        ["out_of_order", "out_of_order", "conflicting_duplicate"],
    )
    assert prices(lake) == [100.0, 100.0]
    aside = lake.read("quarantine/ticks", f"A/{date_of(0)}")
    assert aside["reason"].to_pylist() == ["out_of_order", "out_of_order", "conflicting_duplicate"]
    assert aside["row"].to_pylist() == [1, 2, 3]


def test_a_trade_that_only_lacks_the_quote_that_is_known_is_no_news(lake):
    post(lake, trade(0, seq=0, bid=99.0, ask=101.0))
    assert post(lake, trade(0, seq=0)) == (0, 1, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": -1.0}, "non_positive_price"),
        ({"price": float("nan")}, "not_finite"),
        ({"price": None}, "missing_value"),
        ({"volume": 0.0}, "non_positive_volume"),
        ({"bid": 101.0, "ask": 100.0}, "crossed_quote"),
        ({"side": 2}, "bad_side"),
        ({"ts_event": LATER + 1}, "not_yet"),
    ],
)
def test_the_rules_are_those_of_ingest(lake, change, reason):
    assert post(lake, trade(0) | change, trade(1)) == (1, 0, [reason])
    assert prices(lake) == [100.0]


def test_a_series_goes_on_under_the_source_it_is_from(lake):
    entry = lake.stage("ticks", "A", trades_of("A", 0, 3), {SOURCE: "simulator seed 7"}, date=date_of(0))
    lake.commit("ticks", [entry])
    post(lake, trade(86_400), trade(0, "B"))
    assert [e.note for e in lake.entries("ticks").values()] == [{SOURCE: "simulator seed 7"}] * 2 + [{SOURCE: "feed"}]


def test_two_that_append_at_once_both_arrive(lake):
    def send(k):
        return [post(Lake(lake.uri), trade(0, "AB"[n % 2], price=100.0 + k + 2 * n)) for n in range(6)]

    with ThreadPoolExecutor(2) as pool:
        said = [one for many in pool.map(send, range(2)) for one in many]
    assert said == [(1, 0, [])] * 12
    found = np.concatenate([prices(lake, symbol) for symbol in "AB"])
    assert sorted(found) == sorted(100.0 + k + 2 * n for k in range(2) for n in range(6))
    assert all(len(set(lake.read("ticks", f"{s}/{date_of(0)}")["seq"].to_pylist())) == 6 for s in "AB")


def test_what_came_meanwhile_is_looked_at_again(lake, monkeypatch):
    post(lake, trade(0))
    judge, once = appending._judge, iter([True])

    def interrupted(*rest):
        found = judge(*rest)
        if next(once, False):
            post(Lake(lake.uri), trade(9))
        return found

    monkeypatch.setattr(appending, "_judge", interrupted)
    assert post(lake, trade(5), trade(10)) == (1, 0, ["out_of_order"])
    assert times(lake.read("ticks", f"A/{date_of(0)}"))[-1] == FIRST_OPEN + 10 * SECOND
