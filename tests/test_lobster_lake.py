"""LOBSTER's days in the lake: messages that are lost, days that begin, and files that overlap."""

from __future__ import annotations

import csv
import gzip
import itertools
import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Part, Session
from bellwether.errors import DataError
from data.intake.report import IngestReport
from data.intake.take import Intake, take
from data.lake import Lake
from data.options import checked
from data.orderbook.replay import Replay
from data.orderbook.state import new_book, tallied
from data.sources import lobster_files
from data.sources.base import SourceContext
from data.sources.lobster import LOBSTER, LobsterOptions

MESSAGES = """34200.5,1,11,100,1000000,1
34200.500000001,4,12,30,1000200,-1
34201,5,0,7,1000100,1
34202.25,7,0,0,-1,-1
34203.25,7,0,0,0,-1
34204.25,7,0,0,1,-1
34205,6,-1,500,1000100,-1
34206,2,11,40,1000000,1
34207,3,11,60,1000000,1
34208,4,13,1,1000200,-1
"""
BOOKS = """1000200,80,1000000,100
1000200,50,1000000,100
1000200,50,1000000,100
1000200,50,1000000,100
1000200,50,1000000,100
1000200,50,1000000,100
1000200,50,1000000,100
1000200,50,1000000,60
1000200,50,-9999999999,0
1000200,49,-9999999999,0
"""


def read(root: Path, record: str, **options: Any) -> pa.Table:
    context = SourceContext(root=root, session=Session(), interval_ns=0, record=record)
    return pa.concat_tables(LOBSTER.read(checked("source 'lobster'", LobsterOptions, options), context))


def name(symbol: str, what: str, levels: int = 1) -> str:
    return f"{symbol}_2012-06-21_34200000_57600000_{what}_{levels}.csv"


def write(root: Path, messages: str = MESSAGES, books: str = BOOKS) -> None:
    for what, content in (("message", messages), ("orderbook", books)):
        (root / name("AAA", what)).write_text(content)


def rows(table: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    return list(zip(*(table[c].to_pylist() for c in columns), strict=True))


def column(table: pa.Table, of: str) -> list[Any]:
    values: list[Any] = table[of].to_pylist()
    return values


def cells(root: Path, what: str) -> list[list[str]]:
    """The first messages of a real day, or the books after them."""
    with gzip.open(root / "lobster" / f"{name('AMZN', what, 5)}.gz", "rt") as file:
        return list(csv.reader(itertools.islice(file, 6_000)))


@pytest.mark.parametrize(
    "cell", ["x,80,1000000,100", "1000200,-1,1000000,100", "1000200,80,1000000,0", "1000200,80,,1"]
)
def test_where_the_first_book_cannot_be_read_the_next_one_is_taken(tmp_path, cell):
    write(tmp_path, books=BOOKS.replace("1000200,80,1000000,100", cell, 1))
    first = read(tmp_path, "deltas", path=".").slice(0, 6)
    assert column(first, "action") == ["add", "clear", "execute", "clear", "set", "set"]
    assert column(first, "row") == [1, 1, 2, 2, 2, 2]
    assert column(first, "qty")[-2:] == [50.0, 100.0]


def deltas_where(table: pa.Table, row: int) -> list[tuple[Any, ...]]:
    found = table.filter(pa.compute.equal(table["row"], row))
    return rows(found, "part", "action", "side", "price", "qty")


@pytest.mark.parametrize(("cell", "value"), [(1, "8"), (3, "x"), (3, "-1"), (4, "0"), (5, "")])
def test_after_a_message_that_is_lost_comes_the_book_it_left(tmp_path, cell, value):
    lines = [line.split(",") for line in MESSAGES.splitlines()]
    lines[7][cell] = value
    write(tmp_path, "".join(",".join(line) + "\n" for line in lines))
    table = read(tmp_path, "deltas", path=".")
    assert deltas_where(table, 8)[1:] == [
        (1, "clear", 0, None, None),
        (2, "set", -1, 100.02, 50.0),
        (3, "set", 1, 100.0, 60.0),
    ]
    lost = table.filter(pa.compute.equal(table["row"], 8))
    assert lost["prev_seq"].to_pylist()[1:] == [None] * 3
    after = table.filter(pa.compute.equal(table["row"], 9))
    assert rows(after, "part", "prev_seq") == [(0, lost["seq"][0].as_py())]


def test_if_it_cannot_be_said_there_the_book_comes_after_the_next_message(tmp_path):
    lines = MESSAGES.splitlines()
    lines[7] = "x" + lines[7]
    write(tmp_path, "\n".join(lines) + "\n")
    table = read(tmp_path, "deltas", path=".")
    assert [d[0] for d in deltas_where(table, 8)] == [0]
    assert [d[1] for d in deltas_where(table, 9)] == ["cancel", "clear", "set"]
    assert [d[1] for d in deltas_where(table, 10)] == ["execute"]


@pytest.mark.parametrize(("row", "cell", "value"), [(3, 3, "x"), (3, 4, "0"), (4, 4, "5"), (7, 4, "0")])
def test_messages_that_change_no_book_may_be_lost(tmp_path, row, cell, value):
    lines = [line.split(",") for line in MESSAGES.splitlines()]
    lines[row - 1][cell] = value
    write(tmp_path, "".join(",".join(line) + "\n" for line in lines))
    table = read(tmp_path, "deltas", path=".")
    assert column(table, "action").count("clear") == 1
    seqs = {t["row"]: t["seq"] for t in table.to_pylist()}
    (after,) = [t for t in table.to_pylist() if t["row"] == row + 1]
    assert after["prev_seq"] == seqs[row - 1]


def test_the_numbers_of_messages_whose_time_cannot_be_read_leave_a_hole(tmp_path):
    lines = MESSAGES.splitlines(keepends=True)
    write(tmp_path, lines[0] + lines[1].replace("34200.5", "9h30") + "".join(lines[2:]))
    (tmp_path / name("AAA", "orderbook")).unlink()
    one, _, bad, next_ = read(tmp_path, "deltas", path=".").slice(0, 4).to_pylist()
    assert (bad["ts_event"], bad["prev_seq"]) == (None, one["seq"])
    assert next_["prev_seq"] == bad["seq"] != one["seq"]


def test_a_day_without_order_book_files_begins_with_nothing_known(tmp_path):
    for day in (21, 22):
        (tmp_path / name("AAA", "message").replace("06-21", f"06-{day}")).write_text(MESSAGES)
    table = read(tmp_path, "deltas", path=".")
    assert rows(table.slice(0, 3), "part", "action") == [(0, "add"), (1, "clear"), (0, "execute")]
    assert table.slice(11)["action"].equals(table.slice(0, 11)["action"])
    assert table.slice(11)["prev_seq"].to_pylist()[:3] == [None, None, table["seq"][11].as_py()]


def test_no_book_is_carried_over_midnight(tmp_path):
    """Each day trades at prices of its own, and bids for what the other one asks."""
    days = {21: "1000000", 22: "500000"}
    for day, price in days.items():
        lines = [f"34200.{n},{kind},{n},{100},{price},1" for n, kind in ((1, 1), (2, 4), (3, 4), (4, 1))]
        (tmp_path / name("AAA", "message").replace("06-21", f"06-{day}")).write_text("\n".join(lines) + "\n")
    for depth in (0, 1):
        replay = Replay(new_book(depth), "AAA", 1)
        rebuilt = pa.concat_tables([replay.feed(read(tmp_path, "deltas", path=".")), replay.finish()])
        bids = rebuilt["bid_px_1"].to_pylist()
        assert bids[3] == 100.0
        assert {px for px in bids[4:] if px is not None} == {50.0}
        assert tallied(replay.book).keys() <= {"beyond"}


@given(
    spoilt=st.lists(st.tuples(st.integers(0, 39), st.sampled_from([0, 3, 6])), max_size=12), size=st.integers(60, 600)
)
@settings(max_examples=40)
def test_where_the_book_is_given_is_where_a_slow_reading_gives_it(spoilt, size):
    """Messages and rows of the book are spoilt at will (cell 6: the book); files are read in blocks of any size."""
    lines = [[f"{34200 + n // 2}", "1", f"{n + 1}", "1", "1000000", "1"] for n in range(40)]
    book = [["1000100", "1", "1000000", f"{n + 1}"] for n in range(40)]
    for n, cell in spoilt:
        (book[n] if cell == 6 else lines[n])[0 if cell == 6 else cell] = "x"
    given_at, opened, lost = [], False, True
    for n, (line, levels) in enumerate(zip(lines, book, strict=True), 1):
        timed = line[0] != "x"
        lost = lost or "x" in line
        shown = timed and levels[0] != "x"
        if timed and (not opened or (lost and shown)):
            given_at.append((n, 3 if shown else 1))
            opened, lost = True, lost and not shown
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        write(Path(folder), *("".join(",".join(row) + "\n" for row in rows_) for rows_ in (lines, book)))
        patch.setattr(lobster_files, "BLOCK", size)
        table = read(Path(folder), "deltas", path=".")
    assert sorted(Counter(table.filter(pa.compute.greater(table["part"], 0))["row"].to_pylist()).items()) == given_at
    messages = table.filter(pa.compute.equal(table["part"], 0))
    assert messages["row"].to_pylist() == list(range(1, 41))
    assert messages["prev_seq"].to_pylist() == [None, *messages["seq"].to_pylist()[:-1]]


# a day in files that overlap


def taken(lake: Lake, root: Path, record: str, **options: Any) -> IngestReport:
    part = Part(kind="lobster", options=options)
    return take(Intake(source=part, record=record, session=Session(), root=root), lake)


def cut(root: Path, start: int) -> str:
    """Write the made day from a message on, as a file of other hours."""
    for what, content in (("message", MESSAGES), ("orderbook", BOOKS)):
        lines = content.splitlines(keepends=True)[start:]
        (root / name("AAA", what).replace("34200000", f"{34200000 + start}")).write_text("".join(lines))
    return name("AAA", "message").replace("34200000", f"{34200000 + start}")


@pytest.mark.parametrize("order", [(0, 3), (3, 0), (0, 3, 0)])
def test_files_of_a_day_that_overlap_give_each_event_once(tmp_path, order):
    lake, whole = Lake(str(tmp_path / "lake")), Lake(str(tmp_path / "whole"))
    for record in LOBSTER.records:
        taken(whole, tmp_path, record, path=cut(tmp_path, 0))
        for start in order:
            taken(lake, tmp_path, record, path=cut(tmp_path, start))
        (partition,) = lake.partitions(record)
        found, wanted = lake.read(record, partition), whole.read(record, partition)
        if record == "deltas":  # the later one begins with its book, and knows nothing of the message before
            at = found["seq"].to_pylist().index(read(tmp_path, "books", path=cut(tmp_path, 3))["seq"][0].as_py())
            assert rows(found.slice(at, 4), "part", "action") == [(0, "halt"), (1, "clear"), (2, "set"), (3, "set")]
            found = pa.concat_tables([found.slice(0, at + 1), found.slice(at + 4)])
            found, wanted = (t.drop_columns("prev_seq") for t in (found, wanted))
        assert found.equals(wanted)


def test_files_of_other_levels_are_another_series(tmp_path):
    write(tmp_path)
    (tmp_path / name("AAA", "message", 5).replace("06-21", "06-22")).write_text(MESSAGES)
    with pytest.raises(DataError, match="files of 1 and 5 levels, which tell of different messages: say `levels`"):
        read(tmp_path, "ticks", path=".")
    assert read(tmp_path, "ticks", path=".", levels=1).num_rows == 4
    with pytest.raises(DataError, match=r"holds no LOBSTER file .* of 10 levels"):
        read(tmp_path, "ticks", path=".", levels=10)
    lake = Lake(str(tmp_path / "lake"))
    taken(lake, tmp_path, "ticks", path=".", levels=1)
    with pytest.raises(DataError, match="lobster:1 levels; this one is lobster:5 levels"):
        taken(lake, tmp_path, "ticks", path=".", levels=5)


# days with cells that cannot be read, rebuilt


@pytest.mark.parametrize("books", [True, False])
@pytest.mark.parametrize(("cell", "value"), [(0, "x"), (1, "x"), (3, "x"), (4, "-5"), (5, "0")])
def test_what_is_rebuilt_of_a_day_with_bad_cells_is_true(market_data, tmp_path, cell, value, books):
    """Of messages that change the book, 20 are spoilt; the order book file is the check."""
    messages, lines = (cells(market_data, what) for what in ("message", "orderbook"))
    changing = [k for k in range(300, 6_000) if messages[k][1] in "134"]
    spoilt = sorted(random.Random(1).sample(changing, 20))
    for k in spoilt:
        messages[k][cell] = value
    for what, made in (("message", messages), ("orderbook", lines if books else [])):
        if made:
            (tmp_path / name("AMZN", what, 5)).write_text("".join(",".join(m) + "\n" for m in made))
    lake = Lake(str(tmp_path / "lake"))
    report = taken(lake, tmp_path, "deltas", path=".")
    assert report.kept + 20 == report.rows_in
    replay = Replay(new_book(depth=5), "AMZN", 5)
    deltas = lake.read("deltas", "AMZN/2012-06-21")
    rebuilt = pa.concat_tables([replay.feed(deltas), replay.finish()])
    told = books and cell != 0  # then the spoilt message's own row of the book stands in for it
    at = [k for k in range(6_000) if told or k not in spoilt]
    assert rebuilt.num_rows == len(at)
    known = Counter[bool]()
    for level, (n, of) in itertools.product(range(5), enumerate(("ask_px", "ask_qty", "bid_px", "bid_qty"))):
        wanted = np.array([float(lines[k][4 * level + n]) / (10_000 if n % 2 == 0 else 1) for k in at])
        found = rebuilt[f"{of}_{level + 1}"].to_numpy()
        there = ~np.isnan(found)
        np.testing.assert_array_equal(found[there], wanted[there])
        known.update(there[spoilt[0] :].tolist())
    assert report.gap_is == "break in the numbering"
    if books:
        assert known[True] > 0.3 * known.total()
        assert report.gaps == (0 if told else 20)
    else:
        assert known[True] == 0
        assert report.gaps == 20
