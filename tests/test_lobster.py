"""LOBSTER's days: every cell of the real ones against a slow reading of them, and made ones for what they lack."""

from __future__ import annotations

import csv
import gzip
import zipfile
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError, EmptySource
from data.options import checked
from data.records import record_kind
from data.sources import lobster_files
from data.sources.base import SourceContext
from data.sources.lobster import LOBSTER, LobsterOptions

MIDNIGHT = int(datetime(2012, 6, 21, tzinfo=ZoneInfo("America/New_York")).timestamp()) * 10**9
ROWS = {"AMZN": 155_935, "GOOG": 112_673}
TYPES = {
    "AMZN": {1: 77_381, 2: 450, 3: 66_685, 4: 8_974, 5: 2_445},
    "GOOG": {1: 54_907, 2: 16, 3: 46_072, 4: 7_765, 5: 3_913},
}
ACTION = {1: "add", 2: "cancel", 3: "cancel", 4: "execute", 5: "hidden"}

each_day = pytest.mark.parametrize("symbol", ROWS)


def read(root: Path, record: str, **options: Any) -> pa.Table:
    context = SourceContext(root=root, session=Session(), interval_ns=0, record=record)
    tables = list(LOBSTER.read(checked("source 'lobster'", LobsterOptions, options), context))
    assert all(t.schema.equals(record_kind(record).raw) for t in tables)
    return pa.concat_tables(tables)


def name(symbol: str, what: str, levels: int = 5) -> str:
    return f"{symbol}_2012-06-21_34200000_57600000_{what}_{levels}.csv"


def cells(root: Path, symbol: str, what: str) -> list[list[str]]:
    with gzip.open(root / "lobster" / f"{name(symbol, what)}.gz", "rt") as file:
        return list(csv.reader(file))


def rows(table: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    return list(zip(*(table[c].to_pylist() for c in columns), strict=True))


def times(table: pa.Table) -> list[int]:
    return table["ts_event"].cast(pa.int64()).to_pylist()


def utc(seconds: str) -> int:
    return MIDNIGHT + int(Decimal(seconds) * 10**9)


# the real days


@each_day
def test_deltas_are_the_messages_behind_the_first_book(market_data, symbol):
    table = read(market_data, "deltas", path=f"lobster/{symbol}*")
    messages = cells(market_data, symbol, "message")
    assert {k: Counter(int(m[1]) for m in messages)[k] for k in range(1, 6)} == TYPES[symbol]
    first, all_ = table.slice(1, 11), pa.concat_tables([table.slice(0, 1), table.slice(12)])
    assert all_.num_rows == len(messages) == ROWS[symbol]
    assert times(all_) == [utc(m[0]) for m in messages]
    assert all_["row"].to_pylist() == list(range(1, ROWS[symbol] + 1))
    assert set(all_["part"].to_pylist()) == {0}
    assert all_["action"].to_pylist() == [ACTION[int(m[1])] for m in messages]
    assert all_["order_id"].to_pylist() == [int(m[2]) or None for m in messages]
    assert all_["qty"].to_pylist() == [float(m[3]) for m in messages]
    assert all_["price"].to_pylist() == [int(m[4]) / 10000.0 for m in messages]
    assert all_["side"].to_pylist() == [int(m[5]) for m in messages]
    at: Counter[str] = Counter()
    seqs = []
    for m in messages:
        seqs.append(int(Decimal(m[0]) * 10**9) * 65_536 + at[m[0]])
        at[m[0]] += 1
    assert all_["seq"].to_pylist() == seqs
    assert all_["prev_seq"].to_pylist() == [None, *seqs[:-1]]
    row = cells(market_data, symbol, "orderbook")[0]
    assert first["part"].to_pylist() == list(range(1, 12))
    assert first["action"].to_pylist() == ["clear"] + ["set"] * 10
    assert first["price"].to_pylist() == [None, *(int(px) / 10000.0 for px in row[::2])]
    assert first["qty"].to_pylist() == [None, *(float(qty) for qty in row[1::2])]
    assert first["side"].to_pylist() == [0, *[-1, 1] * 5]
    assert set(times(first)) == {utc(messages[0][0])}
    assert set(rows(first, "seq", "prev_seq", "row")) == {(seqs[0], None, 1)}


@pytest.mark.parametrize(("symbol", "n"), [("AMZN", 375), ("GOOG", 190)])
def test_deltas_rebuild_the_best_levels_of_the_first_rows(market_data, symbol, n):
    """Until an order leaves from beyond the fifth level, the best levels are those of the deltas alone."""
    book: dict[int, Counter[float]] = {1: Counter(), -1: Counter()}
    best = []
    columns = ("row", "action", "side", "price", "qty")
    table = read(market_data, "deltas", path=f"lobster/{symbol}*").select(columns).slice(0, n + 11)
    for d in table.to_pylist():
        if d["action"] == "clear":
            book = {1: Counter(), -1: Counter()}
        sign = {"set": 1, "add": 1, "cancel": -1, "execute": -1}.get(d["action"], 0)
        if sign:
            book[d["side"]][d["price"]] += sign * d["qty"]
            book[d["side"]] = +book[d["side"]]  # drops what has nothing left
        del best[d["row"] - 1 :]
        if book[-1] and book[1]:
            ask, bid = min(book[-1]), max(book[1])
            best.append((round(ask * 10000), book[-1][ask], round(bid * 10000), book[1][bid]))
    file = [tuple(int(c) for c in row[:4]) for row in cells(market_data, symbol, "orderbook")[:n]]
    assert best == file


@each_day
def test_books_are_the_rows_of_the_order_book_file(market_data, symbol):
    table = read(market_data, "books", path=f"lobster/{name(symbol, 'orderbook')}.gz")
    messages, lines = cells(market_data, symbol, "message"), cells(market_data, symbol, "orderbook")
    assert table.num_rows == ROWS[symbol]
    assert times(table) == [utc(m[0]) for m in messages]
    for level in range(1, 6):
        for at, of in enumerate(("ask", "bid")):
            column = 4 * (level - 1) + 2 * at
            assert table[f"{of}_px_{level}"].to_pylist() == [int(r[column]) / 10000.0 for r in lines]
            assert table[f"{of}_qty_{level}"].to_pylist() == [float(r[column + 1]) for r in lines]
    for level in range(6, 11):
        for column in ("ask_px", "ask_qty", "bid_px", "bid_qty"):
            assert table[f"{column}_{level}"].null_count == ROWS[symbol]
    told = [(int(m[4]) / 1e4, float(m[3]), -int(m[5])) if m[1] in "45" else (None, None, 0) for m in messages]
    assert rows(table, "trade_px", "trade_qty", "trade_side") == told


@each_day
def test_ticks_show_the_quote_before_the_trade_and_who_initiated_it(market_data, symbol):
    table = read(market_data, "ticks", path=f"lobster/{name(symbol, 'message')}.gz")
    books = read(market_data, "books", path=f"lobster/{symbol}*")
    assert table.num_rows == TYPES[symbol][4] + TYPES[symbol][5]
    before = dict(enumerate(rows(books, "bid_px_1", "ask_px_1", "bid_qty_1", "ask_qty_1"), 2))
    quotes = rows(table, "bid", "ask", "bid_qty", "ask_qty")
    assert quotes == [before.get(row, (None,) * 4) for row in table["row"].to_pylist()]
    types = [int(m[1]) for m in cells(market_data, symbol, "message")]
    for t in table.to_pylist()[1:]:
        if types[t["row"] - 1] == 4:  # a visible order is met at the best price of its side
            assert t["price"] == (t["ask"] if t["side"] == 1 else t["bid"])
        else:
            assert t["bid"] <= t["price"] <= t["ask"]
    visible = read(market_data, "ticks", path=f"lobster/{symbol}*", hidden=False)
    assert visible.num_rows == TYPES[symbol][4]
    assert set(table["source"].to_pylist()) == {"lobster"}


def test_a_row_by_hand(market_data):
    message, before = cells(market_data, "AMZN", "message")[29], cells(market_data, "AMZN", "orderbook")[28]
    assert (message[0], message[1], message[4]) == ("34200.190226476", "4", "2237500")
    assert before[:4] == ["2239500", "100", "2237500", "100"]
    (tick,) = [t for t in read(market_data, "ticks", path="lobster/AMZN*").slice(0, 9).to_pylist() if t["row"] == 30]
    assert tick["ts_event"].value == 1_340_285_400_190_226_476  # 2012-06-21 13:30:00.190226476 UTC
    assert (tick["price"], tick["volume"], tick["bid"], tick["ask"], tick["side"]) == (223.75, 26.0, 223.75, 223.95, -1)


# made days

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


def write(root: Path, messages: str | None = MESSAGES, books: str | None = BOOKS, symbol: str = "AAA") -> None:
    for what, content in (("message", messages), ("orderbook", books)):
        if content is not None:
            (root / name(symbol, what, 1)).write_text(content)


def column(table: pa.Table, of: str) -> list[Any]:
    values: list[Any] = table[of].to_pylist()
    return values


def test_what_each_type_becomes(tmp_path):
    write(tmp_path)
    table = read(tmp_path, "deltas", path=".").slice(4)
    assert rows(table, "action", "side", "price", "qty", "order_id") == [
        ("execute", -1, 100.02, 30.0, 12),
        ("hidden", 1, 100.01, 7.0, None),
        ("halt", 0, None, None, None),
        ("resume", 0, None, None, None),
        ("resume", 0, None, None, None),
        ("cross", 0, 100.01, 500.0, None),
        ("cancel", 1, 100.0, 40.0, 11),
        ("cancel", 1, 100.0, 60.0, 11),
        ("execute", -1, 100.02, 1.0, 13),
    ]


def test_ticks_of_executions_and_crosses(tmp_path):
    write(tmp_path)
    table = read(tmp_path, "ticks", path=".")
    assert column(table, "row") == [2, 3, 7, 10]
    assert column(table, "side") == [1, -1, 0, 1]
    assert column(table, "bid") == [100.0, 100.0, 100.0, None]
    assert column(table, "bid_qty") == [100.0, 100.0, 100.0, 0.0]
    assert column(read(tmp_path, "ticks", path=".", hidden=False), "row") == [2, 7, 10]
    given = ({}, {"hidden": False}, {"levels": 5}, {"levels": 10}, {"levels": 5, "hidden": False})
    assert len({LOBSTER.named(LobsterOptions(path=".", **g)) for g in given}) == 5


def test_a_level_that_is_not_there_is_known_to_be_empty(tmp_path):
    write(tmp_path)
    table = read(tmp_path, "books", path=".")
    assert column(table, "bid_px_1")[-3:] == [100.0, None, None]
    assert column(table, "bid_qty_1")[-3:] == [60.0, 0.0, 0.0]
    assert column(table, "bid_qty_2") == [None] * 10
    empty = "9999999999,0,1000000,100\n" + BOOKS.partition("\n")[2]
    write(tmp_path, books=empty)
    first = read(tmp_path, "deltas", path=".").slice(0, 4)
    assert column(first, "action") == ["add", "clear", "set", "execute"]
    assert column(first, "side") == [1, 0, 1, -1]


def test_more_than_ten_levels_are_all_set_and_ten_are_kept(tmp_path):
    row = ",".join(f"{1000000 + 100 * n},{n + 1},{999900 - 100 * n},{n + 50}" for n in range(12))
    (tmp_path / name("AAA", "message", 12)).write_text("34200,1,1,5,1000000,1\n")
    (tmp_path / name("AAA", "orderbook", 12)).write_text(row + "\n")
    assert read(tmp_path, "deltas", path=".").num_rows == 26
    (book,) = read(tmp_path, "books", path=".").to_pylist()
    assert [book[f"bid_qty_{n}"] for n in range(1, 11)] == [n + 50 for n in range(10)]


def test_messages_alone(tmp_path):
    write(tmp_path, books=None)
    table = read(tmp_path, "deltas", path=".")
    assert column(table, "row") == [1, *range(1, 11)]
    assert column(table, "action")[:3] == ["add", "clear", "execute"]
    ticks = read(tmp_path, "ticks", path=".")
    assert (ticks.num_rows, ticks["bid"].null_count) == (4, 4)
    with pytest.raises(DataError, match=f"add {name('AAA', 'orderbook', 1)} beside it"):
        read(tmp_path, "books", path=".")


def packed(root: Path, how: str) -> str:
    """Put the day into another form and return its path."""
    names = [name("AAA", what, 1) for what in ("message", "orderbook")]
    if how == "zip of gz":
        for n in names:
            (root / f"{n}.gz").write_bytes(gzip.compress((root / n).read_bytes()))
            (root / n).unlink()
        names = [f"{n}.gz" for n in names]
    if how.startswith("zip"):
        with zipfile.ZipFile(root / "day.zip", "w") as archive:
            for n in names:
                archive.write(root / n, f"inner/{n}")
                (root / n).unlink()
        return "day.zip"
    if how == "one plain, one gz":
        (root / f"{names[1]}.gz").write_bytes(gzip.compress((root / names[1]).read_bytes()))
        (root / names[1]).unlink()
    return {"glob": "*_message_*", "folder": ".", "order book": names[1]}.get(how, names[0])


@pytest.mark.parametrize("how", ["glob", "folder", "message", "order book", "one plain, one gz", "zip", "zip of gz"])
@pytest.mark.parametrize("record", LOBSTER.records)
def test_every_form_holds_the_same(tmp_path, record, how):
    write(tmp_path)
    plain = read(tmp_path, record, path=".").drop_columns("file")
    assert read(tmp_path, record, path=packed(tmp_path, how)).drop_columns("file").equals(plain)


@pytest.mark.parametrize("record", LOBSTER.records)
@pytest.mark.parametrize("size", [61, 200, 1000])
def test_blocks_of_any_size_hold_the_same(tmp_path, monkeypatch, record, size):
    lines = [f"{34200 + n}.{n:09},{1 + n % 5},{n},{n + 1},{1000000 + n},{1 - 2 * (n % 2)}" for n in range(100)]
    book = [f"{1000100 + n},{n + 1},{1000000 - n},{n + 2}" for n in range(100)]
    write(tmp_path, "\n".join(lines), "\n".join(book) + "\n")
    whole = read(tmp_path, record, path=".")
    monkeypatch.setattr(lobster_files, "BLOCK", size)
    assert len(list(lobster_files.paired(lobster_files.days(tmp_path, ["."])[0]))) > 3
    assert read(tmp_path, record, path=".").equals(whole)


def test_days_come_by_symbol_and_date(tmp_path):
    write(tmp_path, symbol="BRK.B")
    write(tmp_path, symbol="A_B")
    assert list(dict.fromkeys(column(read(tmp_path, "deltas", path="."), "symbol"))) == ["A_B", "BRK.B"]


@pytest.mark.parametrize(
    ("row", "cell", "value", "records"),
    [
        (2, 0, "9h30", {"deltas", "books", "ticks"}),
        (2, 0, "34200.1234567891", {"deltas", "books", "ticks"}),
        (2, 1, "8", {"deltas", "books", "ticks"}),
        (2, 3, "1OO", {"deltas", "books", "ticks"}),
        (2, 4, "", {"deltas", "books", "ticks"}),
        (2, 5, "0", {"deltas", "books", "ticks"}),
        (4, 4, "5", {"deltas", "books"}),
    ],
)
def test_a_bad_cell_costs_its_row_what_it_cannot_do_without(tmp_path, row, cell, value, records):
    lines = [line.split(",") for line in MESSAGES.splitlines()]
    lines[row - 1][cell] = value
    write(tmp_path, "\n".join(",".join(line) for line in lines) + "\n")
    for record in LOBSTER.records:
        table = read(tmp_path, record, path=".")
        needed = [f.name for f in record_kind(record).schema if not f.nullable]
        lacking = [t["row"] for t in table.to_pylist() if any(t[n] is None for n in needed)]
        assert lacking == ([row] if record in records else [])


@pytest.mark.parametrize(("day", "side"), [("2014-07-13", -1), ("2014-07-14", 0), ("2019-06-03", 0)])
def test_since_2014_07_14_nobody_knows_who_initiated_a_hidden_execution(tmp_path, day, side):
    write(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("2012-06-21", day))
    assert column(read(tmp_path, "ticks", path="."), "side") == [1, side, 0, 1]
    assert column(read(tmp_path, "books", path="."), "trade_side")[:3] == [0, 1, side]
    assert [t["side"] for t in read(tmp_path, "deltas", path=".").to_pylist() if t["action"] == "hidden"] == [-side]


def test_a_bad_cell_of_the_book_costs_its_row_the_trade_side(tmp_path):
    write(tmp_path, books=BOOKS.replace("1000200,50,1000000,60", "1000200,x,1000000,60"))
    table = read(tmp_path, "books", path=".")
    assert [t["row"] for t in table.to_pylist() if t["trade_side"] is None] == [8]


@pytest.mark.parametrize(
    ("messages", "books", "error", "says"),
    [
        (MESSAGES, BOOKS + "1,1,1,1\n", DataError, "AAA.*message_1.csv has 10 rows and AAA.*orderbook_1.csv has 11"),
        (MESSAGES + "34300,1,1,1,1,1\n", BOOKS, DataError, "message_1.csv has 11 rows and .*orderbook_1.csv has 10"),
        (None, BOOKS, DataError, "orderbook_1.csv has no message file: add AAA.*_message_1.csv"),
        (MESSAGES, "1,1\n", DataError, r"orderbook_1.csv cannot be read: .*Expected 4 columns, got 2"),
        (MESSAGES[:-9], BOOKS, DataError, r"message_1.csv cannot be read: .*Expected 6 columns, got 5"),
        ("", BOOKS, EmptySource, "message_1.csv is empty"),
        (MESSAGES, "", EmptySource, "orderbook_1.csv is empty"),
    ],
)
def test_pairs_that_do_not_fit_together(tmp_path, messages, books, error, says):
    write(tmp_path, messages, books)
    with pytest.raises(error, match=says):
        read(tmp_path, "deltas", path=".")


def test_a_day_that_is_there_twice_is_refused(tmp_path):
    write(tmp_path)
    (tmp_path / f"{name('AAA', 'message', 1)}.gz").write_bytes(gzip.compress(MESSAGES.encode()))
    with pytest.raises(DataError, match=r"AAA of 2012-06-21 is in .*: name one"):
        read(tmp_path, "ticks", path=".")
    (tmp_path / f"{name('AAA', 'message', 1)}.gz").unlink()
    for what, content in (("message", MESSAGES), ("orderbook", BOOKS)):
        (tmp_path / name("AAA", what, 10)).write_text(content)
    with pytest.raises(DataError, match=r"AAA of 2012-06-21 is in .*: name one"):
        read(tmp_path, "ticks", path=".")


def test_a_folder_without_lobster_files_says_how_they_are_called(tmp_path):
    (tmp_path / "AAA_2012-13-21_34200000_57600000_message_5.csv").write_text(MESSAGES)
    with pytest.raises(DataError, match=r"holds no LOBSTER file .SYMBOL_YYYY-MM-DD_START_END_message_LEVELS.csv"):
        read(tmp_path, "ticks", path=".")


def test_midnight_is_that_of_the_zone_and_its_season(tmp_path):
    write(tmp_path)
    (tmp_path / name("AAA", "message", 1).replace("06-21", "12-21")).write_text("34200.000000001,5,0,7,1000100,1\n")
    ticks = read(tmp_path, "ticks", path="*12-21*")
    assert (
        column(ticks, "ts_event")[0].value
        == int(datetime(2012, 12, 21, 14, 30, tzinfo=ZoneInfo("UTC")).timestamp()) * 10**9 + 1
    )
    london = read(tmp_path, "ticks", path="*12-21*", timezone="Europe/London")
    assert column(london, "ts_event")[0].value == column(ticks, "ts_event")[0].value - 5 * 3600 * 10**9
    with pytest.raises(ConfigError, match="no time zone 'Mars'"):
        read(tmp_path, "ticks", path=".", timezone="Mars")
