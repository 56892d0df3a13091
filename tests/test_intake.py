"""Any source into the lake: nothing is lost, and how its rows were cut and ordered makes no difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Part, Session
from bellwether.errors import ConfigError, DataError, EmptySource
from data.intake import take as module
from data.intake.batch import SOURCE
from data.intake.cells import codes
from data.intake.gaps import SILENCE
from data.intake.spool import Place, Spool
from data.intake.take import Intake, take
from data.lake import Lake
from data.records import RecordKind, record_kind
from data.sources.base import Source, SourceContext

DAY = 86_400 * 10**9
TICK = {"symbol": "A", "ts_event": 0, "price": 1.0, "volume": 1.0, "side": 0}
Row = dict[str, Any]
Rows = Sequence[Row]

FEED: list[pa.Table] = []
"""What the source `feed` yields."""


class FeedOptions(Frozen):
    """Which of several feeds."""

    name: str = ""


def read(options: FeedOptions, context: SourceContext) -> Iterator[pa.Table]:
    yield from FEED


SOURCE_OF_FEED = Source(
    kind="feed",
    options=FeedOptions,
    read=read,
    identity=lambda options: options.name,
    records=("ticks", "books", "deltas", "factors"),
    sampled=("books",),
)


@pytest.fixture(autouse=True, scope="module")
def feed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "source", lambda kind: SOURCE_OF_FEED)
        yield


def raw(kind: RecordKind, rows: Rows) -> pa.Table:
    columns = {}
    for field in kind.raw:
        cells = [{"file": "f", "row": n, **row}.get(field.name) for n, row in enumerate(rows, 1)]
        whole = pa.types.is_timestamp(field.type)
        columns[field.name] = pa.array(cells, pa.int64()).cast(field.type) if whole else pa.array(cells, field.type)
    return pa.table(columns, schema=kind.raw)


def taken(lake: Lake, *batches: Rows, record: str = "ticks", interval: str | None = None, **options: Any):
    FEED[:] = [raw(record_kind(record), rows) for rows in batches]
    part = Part(kind="feed", options=options)
    return take(Intake(source=part, record=record, interval=interval, session=Session(), root=Path()), lake)


def held(lake: Lake, kind: str = "ticks") -> list[Row]:
    """Everything the lake has of a kind, times as numbers."""
    rows = []
    for partition in lake.partitions(kind):
        table = lake.read(kind, partition)
        at = table.schema.get_field_index("ts_event")
        rows += table.set_column(at, "ts_event", table["ts_event"].cast(pa.int64())).to_pylist()
    return rows


def rejected(lake: Lake, partition: str) -> list[Row]:
    return lake.read("quarantine/ticks", partition).drop_columns(["ts_event"]).to_pylist()


def state(lake: Lake) -> dict[str, str]:
    return {kind: lake.version(kind) for kind in lake.kinds()}


def tick(ts: int, price: float = 1.0, **more: Any) -> Row:
    return TICK | {"ts_event": ts, "price": price} | more


# --- nothing is lost, and cuts and order make no difference ---------------------------------------------

instants = st.sampled_from([5, 6, 7, DAY - 1, DAY, 3 * DAY])
some_ticks = st.lists(
    st.builds(
        tick,
        instants,
        st.sampled_from([1.0, 2.0, 3.0, -1.0, math.nan]),
        symbol=st.sampled_from(["A", "B", None]),
        bid=st.sampled_from([None, 0.5, math.nan]),
    ),
    max_size=25,
)


def cut(rows: Rows, places: Sequence[int]) -> list[Rows]:
    bounds = [0, *sorted(min(place, len(rows)) for place in places), len(rows)]
    return [rows[first:last] for first, last in pairwise(bounds) if last > first]


def slow_reason(row: Row) -> str | None:
    if row["symbol"] is None:
        return "missing_value"
    if math.isnan(row["price"]):
        return "not_finite"
    return "non_positive_price" if row["price"] <= 0 else None


def slow_numbers(rows: Rows) -> tuple[dict[tuple, int], list[str]]:
    """Number good rows as one would: a new one at an instant gets the next number, one said before is a duplicate."""
    known: dict[tuple, int] = {}
    rejected = []
    for row in rows:
        bid = None if row["bid"] is None or math.isnan(row["bid"]) else row["bid"]
        key = (row["symbol"], row["ts_event"], row["price"], bid)
        if reason := slow_reason(row):
            rejected.append(reason)
        elif key in known:
            rejected.append("duplicate")
        else:
            known[key] = sum(other[:2] == key[:2] for other in known)
    return known, rejected


@settings(max_examples=40)
@given(some_ticks, st.lists(st.integers(0, 25), max_size=4), st.lists(st.integers(0, 25), max_size=3))
def test_unnumbered_records_are_numbered_as_they_come_however_they_are_cut(tmp_path_factory, rows, batches, files):
    assume(rows)
    rows = [row | {"row": n} for n, row in enumerate(rows, 1)]
    whole, parts = (Lake(str(tmp_path_factory.mktemp("lake"))) for _ in range(2))
    report = taken(whole, *cut(rows, batches))
    known, rejected = slow_numbers(rows)
    assert report.rows_in == len(rows) == report.kept + sum(report.quarantined.values())
    assert report.quarantined == {reason: rejected.count(reason) for reason in sorted(set(rejected))}
    found = {(r["symbol"], r["ts_event"], r["price"], r["bid"]): r["seq"] for r in held(whole)}
    assert found == known
    for file in cut(rows, files):
        taken(parts, file)
    assert parts.version("ticks") == whole.version("ticks")
    before = state(whole)
    again = taken(whole, *cut(rows, files))
    assert (again.added, again.revised, again.unchanged) == (0, 0, report.kept)
    assert state(whole) == before


@settings(max_examples=40)
@given(some_ticks, st.randoms())
def test_unnumbered_records_are_the_same_in_any_order_and_overlap(tmp_path_factory, rows, random):
    lakes = [Lake(str(tmp_path_factory.mktemp("lake"))) for _ in range(2)]
    mixed = random.sample(rows, len(rows))
    for lake, files in zip(lakes, ([rows], [mixed[:12], mixed[6:], rows[:3]]), strict=True):
        for file in filter(None, files):
            taken(lake, file)
    said = [sorted([r["symbol"], r["ts_event"], r["price"], str(r["bid"])] for r in held(lake)) for lake in lakes]
    assert said[0] == said[1]
    numbers: dict[tuple, list[int]] = {}
    for r in held(lakes[1]):
        numbers.setdefault((r["symbol"], r["ts_event"]), []).append(r["seq"])
    assert all(found == list(range(len(found))) for found in numbers.values())


@settings(max_examples=40)
@given(st.integers(1, 30), st.randoms(), st.lists(st.integers(0, 30), max_size=4), st.integers(1, 3))
def test_numbered_records_make_the_same_lake_in_any_order(tmp_path_factory, n, random, places, cuts):
    rows = [tick((k // 3) * DAY // 4, 1.0 + k, seq=k % 7 + 10 * (k // 7), symbol="AB"[k % 2]) for k in range(n)]
    whole, mixed = (Lake(str(tmp_path_factory.mktemp("lake"))) for _ in range(2))
    report = taken(whole, rows)
    assert (report.added, report.quarantined) == (n, {})
    shuffled = random.sample(rows, n)
    for file in cut(shuffled, places[:cuts]):
        taken(mixed, *cut(file, places))
    assert mixed.version("ticks") == whole.version("ticks")
    for symbol in "AB":
        ours = sorted((r["ts_event"], r["seq"]) for r in rows if r["symbol"] == symbol)
        assert [(r["ts_event"], r["seq"]) for r in held(whole) if r["symbol"] == symbol] == ours


def test_a_numbered_record_that_says_something_else_is_a_conflict_in_a_batch_and_a_revision_in_the_lake(tmp_path):
    lake = Lake(str(tmp_path))
    rows = [tick(5, 1.0, seq=1), tick(5, 2.0, seq=1), tick(5, 1.0, seq=1), tick(5, 1.0, seq=2)]
    report = taken(lake, rows)
    assert report.quarantined == {"conflicting_duplicate": 1, "duplicate": 1}
    assert [(r["seq"], r["price"]) for r in held(lake)] == [(1, 1.0), (2, 1.0)]
    report = taken(lake, [tick(5, 3.0, seq=1), tick(6, 1.0, seq=1)])
    assert (report.added, report.revised, report.unchanged) == (1, 1, 0)
    assert [(r["seq"], r["price"]) for r in held(lake)] == [(1, 3.0), (2, 1.0), (1, 1.0)]


def test_nothing_that_is_said_tells_null_from_nan_or_zero_from_minus_zero(tmp_path):
    lake = Lake(str(tmp_path))
    rows = [tick(5, bid=None), tick(5, bid=math.nan), tick(6, ask_qty=0.0), tick(6, ask_qty=-0.0)]
    assert taken(lake, rows).quarantined == {"duplicate": 2}
    assert lake.read("ticks", "A/1970-01-01")["bid"].null_count == 2


@pytest.mark.parametrize("seqs", [(None, None), (1, 2)])
def test_a_record_before_those_that_are_there_finds_its_place(tmp_path, seqs):
    lake = Lake(str(tmp_path))
    taken(lake, [tick(9, seq=seqs[0])])
    assert taken(lake, [tick(4, seq=seqs[1]), tick(9, seq=seqs[0])]).added == 1
    assert [r["ts_event"] for r in held(lake)] == [4, 9]


# --- where it goes ---------------------------------------------------------------------------------------


def test_events_are_kept_by_symbol_and_date_and_only_changed_partitions_are_written(tmp_path):
    lake = Lake(str(tmp_path))
    taken(lake, [tick(DAY - 1), tick(DAY), tick(5, symbol="X/Y")])
    assert lake.partitions("ticks") == ("A/1970-01-01", "A/1970-01-02", "X/Y/1970-01-01")
    before = lake.parts("ticks")
    report = taken(lake, [tick(DAY + 1), tick(DAY - 1)])
    assert (report.added, report.unchanged, report.symbols) == (1, 1, ("A",))
    changed = [name for name, entries in lake.parts("ticks").items() if entries != before[name]]
    assert changed == ["A/1970-01-02"]


def test_parts_that_a_stream_appended_are_merged_with(tmp_path):
    lake = Lake(str(tmp_path))
    taken(lake, [tick(5)])
    more = lake.read("ticks", "A/1970-01-01").set_column(
        1, "ts_event", pa.array([7]).cast(pa.timestamp("ns", tz="UTC"))
    )
    entry = lake.append("ticks", "A", more.cast(record_kind("ticks").schema), {SOURCE: "feed"}, date="1970-01-01")
    lake.commit("ticks", [entry])
    report = taken(lake, [tick(7), tick(6)])
    assert (report.added, report.unchanged) == (1, 1)
    assert [r["ts_event"] for r in held(lake)] == [5, 6, 7]
    assert len(lake.parts("ticks")["A/1970-01-01"]) == 1


def test_what_is_rejected_is_in_quarantine_as_it_came(tmp_path):
    lake = Lake(str(tmp_path))
    rows = [tick(5), tick(6, -1.0), tick(5, symbol=""), tick(DAY, ts_event=None), tick(5)]
    assert taken(lake, rows).quarantined == {"duplicate": 1, "missing_value": 2, "non_positive_price": 1}
    assert lake.partitions("quarantine/ticks") == ("-/1970-01-01", "A", "A/1970-01-01")
    found = [
        (name, r["row"], r["reason"]) for name in lake.partitions("quarantine/ticks") for r in rejected(lake, name)
    ]
    assert found == [
        ("-/1970-01-01", 3, "missing_value"),
        ("A", 4, "missing_value"),
        ("A/1970-01-01", 2, "non_positive_price"),
        ("A/1970-01-01", 5, "duplicate"),
    ]


def test_entries_name_their_source_and_two_sources_are_not_mixed(tmp_path):
    lake = Lake(str(tmp_path))
    taken(lake, [tick(5)])
    assert {entry.note[SOURCE] for entry in lake.entries("ticks").values()} == {"feed"}
    before = state(lake)
    with pytest.raises(DataError, match=r"has ticks of A from another source, feed; this one is feed:other"):
        taken(lake, [tick(DAY)], name="other")
    assert state(lake) == before
    assert taken(lake, [tick(DAY, symbol="B")], name="other").added == 1


def test_a_failed_take_leaves_the_lake_as_it_was(tmp_path):
    lake = Lake(str(tmp_path))
    with pytest.raises(EmptySource, match="source 'feed' has no ticks"):
        taken(lake)
    for record, interval, message in (
        ("bars", "1h", "has no bars; it has: ticks, books"),
        ("ticks", "1h", "are events and have no interval"),
        ("factors", None, "factors have an interval"),
    ):
        with pytest.raises(ConfigError, match=message):
            Intake(
                source=Part(kind="feed"), record=record, interval=interval, session=Session(), root=tmp_path
            ).opened()
    assert lake.kinds() == ()


# --- gaps ------------------------------------------------------------------------------------------------


def delta(seq: int, prev: int | None, ts: int = 0, **more: Any) -> Row:
    row = {"symbol": "A", "ts_event": ts or seq, "seq": seq, "prev_seq": prev, "part": 0, "action": "clear", "side": 0}
    return row | more


def test_gaps_of_numbered_messages_are_breaks_of_the_feeds_numbering(tmp_path):
    lake = Lake(str(tmp_path))
    rows = [delta(1, None), delta(2, 1), delta(2, 1, part=1), delta(4, 2), delta(9, 7), delta(20, 9, ts=DAY)]
    report = taken(lake, rows, record="deltas")
    assert (report.gaps, report.gap_is) == (1, "break in the numbering")  # 9 does not follow 4; over midnight 20 does
    snapshot = [
        delta(30, None, ts=DAY + 1),
        delta(33, 28, ts=DAY + 2),
        delta(1, 0, symbol="B"),
        delta(5, 1, symbol="B"),
    ]
    report = taken(lake, snapshot, record="deltas")
    assert report.gaps == 0  # a snapshot follows nothing, nothing follows it by number, and symbols are their own


def test_a_break_over_midnight_is_one(tmp_path):
    rows = [delta(1, None), delta(2, 1), delta(9, 7, ts=DAY), delta(10, 9, ts=2 * DAY), delta(5, 4, symbol="B")]
    assert taken(Lake(str(tmp_path)), rows, record="deltas").gaps == 1


def test_gaps_of_other_events_are_silences(tmp_path):
    rows = [tick(0), tick(SILENCE), tick(2 * SILENCE + 1), tick(DAY), tick(0, symbol="B"), tick(DAY - 1, symbol="B")]
    report = taken(Lake(str(tmp_path)), rows)
    assert (report.gaps, report.gap_is) == (2, "silence")
    report = taken(Lake(str(tmp_path)), [delta(1, None), delta(2, None, ts=DAY - 1)], record="deltas")
    assert (report.gaps, report.gap_is) == (1, "silence")


def factor(symbol: str, ts: int, name: str = "buy_rate") -> Row:
    return {"symbol": symbol, "ts_event": ts, "factor": name, "value": 0.5}


def test_gaps_of_records_with_an_interval_are_times_that_others_have(tmp_path):
    lake = Lake(str(tmp_path))
    rows = [factor("A", ts) for ts in (1, 2, 4)] + [factor("B", ts, n) for ts in (2, 3, 4) for n in ("x", "y")]
    report = taken(lake, rows, record="factors", interval="1d")
    assert (report.gaps, report.gap_is) == (1, "missing interval")
    books = [{"symbol": s, "ts_event": ts, "trade_side": 0} for s, ts in [("A", 0), ("A", 3 * DAY), ("B", DAY)]]
    assert taken(lake, books, record="books", interval="5min").gaps == 1
    later = [{"symbol": "A", "ts_event": 4 * DAY, "trade_side": 0}, {"symbol": "B", "ts_event": DAY, "trade_side": 0}]
    assert taken(lake, later, record="books", interval="5min").gaps == 1  # dates the batch has nothing of count too


def test_every_nan_has_one_code():
    nans = np.array([0x7FF8000000000000, 0x7FF8000000000001, 0xFFF8000000000000], np.uint64).view(np.float64)
    found = codes(pa.array([*nans, None, 1.0], from_pandas=False))
    assert len({*found[:4].tolist()}) == 1
    assert found[4] not in found[:4]


# --- the parts -------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from(["A", "B", "", None]), st.integers(0, 3)), max_size=40),
    st.lists(st.integers(0, 40), max_size=5),
    st.sampled_from([1, 200, 10**9]),
    st.booleans(),
)
def test_rows_put_aside_come_back_by_place_in_the_order_they_came(tmp_path_factory, rows, places, budget, dated):
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, dated=dated, budget=budget)
    for part in cut(list(enumerate(rows)), places):
        ts = pa.array([day * DAY for _, (_, day) in part]).cast(pa.timestamp("ns", tz="UTC"))
        names = pa.array([name for _, (name, _) in part], pa.string())
        spool.add(pa.table({"symbol": names, "ts_event": ts, "row": [n for n, _ in part]}))
    expected: dict[Place, list[int]] = {}
    for n, (name, day) in enumerate(rows):
        expected.setdefault(Place(name or "", f"1970-01-0{day + 1}" if dated else ""), []).append(n)
    found = {place: table["row"].to_pylist() for place, table in spool}
    assert list(found) == sorted(expected)
    if budget == 10**9:
        assert len(list(folder.iterdir())) <= 1  # however many places
    assert {place: sorted(rows) for place, rows in found.items()} == expected
    assert all(found[place] == rows for place, rows in expected.items() if place.symbol)
