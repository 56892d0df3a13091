"""Binance's captures: made ones, for what the real one of `test_binance_capture.py` lacks."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError, EmptySource
from data.options import checked
from data.records import record_kind
from data.sources import binance, binance_depth, rows
from data.sources.base import SourceContext
from data.sources.binance import BINANCE, BinanceOptions

QUOTE = ("bid_px_1", "bid_qty_1", "ask_px_1", "ask_qty_1")

Message = dict[str, Any]


def read(root: Path, record: str, **options: Any) -> pa.Table:
    context = SourceContext(root=root, session=Session(), interval_ns=0, record=record)
    tables = list(BINANCE.read(checked("source 'binance'", BinanceOptions, options), context))
    assert all(t.schema.equals(record_kind(record).raw) for t in tables)
    return pa.concat_tables(tables)


def listed(table: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    plain = {c: table[c].cast(pa.int64()) if pa.types.is_timestamp(table[c].type) else table[c] for c in columns}
    return list(zip(*(plain[c].to_pylist() for c in columns), strict=True))


def in_lake_order(table: pa.Table, record: str) -> pa.Table:
    return table.sort_by([(c, "ascending") for c in record_kind(record).order])


def lacking(table: pa.Table, record: str) -> list[int]:
    """Rows that miss something their record kind needs."""
    needed = [f.name for f in record_kind(record).schema if not f.nullable]
    return [r["row"] for r in table.to_pylist() if any(r[n] is None for n in needed)]


def ticker(t: int, bid: str = "9.5", ask: str = "10.5", symbol: str = "AAA", u: int = 1) -> Message:
    return {"e": "bookTicker", "u": u, "s": symbol, "b": bid, "B": "3", "a": ask, "A": "4", "T": t, "E": t}


def trade(t: int, number: int = 7, symbol: str = "AAA", **other: Any) -> Message:
    told = {"e": "trade", "E": t, "T": t, "s": symbol, "t": number, "p": "10.5", "q": "2", "X": "MARKET", "m": False}
    return told | other


def update(t: int, u: int, pu: int, symbol: str = "AAA") -> Message:
    levels = {"b": [["9.5", str(u)]], "a": [["10.5", "0.000"]]}
    return {"e": "depthUpdate", "E": t + 1, "T": t, "s": symbol, "U": pu + 1, "u": u, "pu": pu, **levels}


def spot(message: Message) -> Message:
    return {k: v for k, v in message.items() if k not in ("pu", "T")}


def snapshot(u: int, **times: int) -> Message:
    return {"lastUpdateId": u, **times, "bids": [["9.0", "1"]], "asks": [["11.0", "2"]]}


def write(root: Path, *messages: Message | str, file: str = "capture.txt") -> None:
    told = [m if isinstance(m, str) else json.dumps(m) for m in messages]
    (root / file).write_text("".join(f"{1000 + n} {text}\n" for n, text in enumerate(told)))


def test_enveloped_and_bare_messages_hold_the_same(tmp_path):
    messages = [ticker(1), trade(2), update(3, 5, 4), snapshot(5, E=4, T=4)]
    write(tmp_path, *messages)
    write(
        tmp_path,
        *({"stream": "aaa@x", "data": m} if "e" in m else m for m in messages),
        file="enveloped.txt",
    )
    for record in BINANCE.records:
        bare, enveloped = (
            read(tmp_path, record, path=f"{f}.txt").drop_columns("file") for f in ("capture", "enveloped")
        )
        assert bare.equals(enveloped)
        assert bare.num_rows > 0


def test_the_quote_of_a_tick_was_received_and_stamped_before_it(tmp_path):
    write(
        tmp_path,
        trade(10, 1),
        ticker(10, bid="1"),
        ticker(20, bid="2"),
        trade(20, 2),
        ticker(15, bid="3"),
        trade(20, 3),
        trade(21, 4),
        ticker(30, bid="4", symbol="BBB"),
        trade(40, 5),
    )
    assert listed(read(tmp_path, "ticks", path="."), "seq", "bid") == [
        (1, None),
        (2, 1.0),
        (3, 3.0),
        (4, 3.0),
        (5, 3.0),
    ]


def test_sides_of_trades(tmp_path):
    write(tmp_path, trade(1, 1), trade(2, 2, m=True), trade(3, 3, X="INSURANCE_FUND"), trade(4, 4, m=None))
    table = read(tmp_path, "ticks", path=".")
    assert listed(table, "seq", "side") == [(1, 1), (2, -1), (3, 0), (None, None)]
    assert listed(read(tmp_path, "books", path="."), "trade_side", "row")[-1] == (0, 3)


def test_a_book_ticker_that_comes_after_a_later_trade_is_in_the_trades_row(tmp_path):
    write(
        tmp_path,
        ticker(10, bid="1"),
        trade(30),
        ticker(20, bid="2"),
        ticker(30, bid="3"),
        trade(30, 8),
        ticker(31, bid="4"),
    )
    table = in_lake_order(read(tmp_path, "books", path="."), "books")
    assert listed(table, "row", "bid_px_1") == [(1, 1.0), (3, 2.0), (2, 2.0), (4, 3.0), (5, 3.0), (6, 4.0)]


def test_books_of_lines_received_at_once_keep_their_order(tmp_path):
    write(tmp_path, ticker(10, bid="1"), ticker(10, bid="2"), ticker(10, bid="3"), ticker(10, bid="4"))
    path = tmp_path / "capture.txt"
    path.write_text(path.read_text().replace("1001 ", "1000 ").replace("1002 ", "1000 "))
    table = read(tmp_path, "books", path=".")
    assert listed(table, "ts_recv", "seq", "bid_px_1") == [
        (1000, 1000, 1.0),
        (1000, 1001, 2.0),
        (1000, 1002, 3.0),
        (1003, 1003, 4.0),
    ]


def test_nobody_bids(tmp_path):
    write(tmp_path, ticker(10, bid="0.00") | {"B": "0.00"})
    assert listed(read(tmp_path, "books", path="."), *QUOTE) == [(None, 0.0, 10.5, 4.0)]


def test_aggregated_trades_are_another_series(tmp_path):
    one = trade(1) | {"e": "aggTrade", "a": 70, "f": 7, "l": 9}
    write(tmp_path, trade(1), one)
    assert listed(read(tmp_path, "ticks", path="."), "seq") == [(7,)]
    assert listed(read(tmp_path, "ticks", path=".", trades="aggTrade"), "seq") == [(70,)]
    given = ({}, {"trades": "aggTrade"}, {"clock": "local"})
    assert len({BINANCE.named(BinanceOptions(path="x", **o)) for o in given}) == 3


def test_spot_has_neither_pu_nor_transaction_times(tmp_path):
    write(tmp_path, spot(update(1, 5, 4)))
    assert listed(read(tmp_path, "deltas", path="."), "ts_event", "seq", "prev_seq") == [(2_000_000, 5, 4)] * 2


@pytest.mark.parametrize(
    ("last", "order"),
    [
        (3, [4, 1, 2, 3, 5]),  # older than every update
        (5, [1, 4, 2, 3, 5]),
        (6, [1, 4, 2, 3, 5]),  # within the second, which contains it
        (8, [1, 2, 3, 4, 5]),
        (99, [1, 2, 3, 4, 5]),  # ahead of what has been received: what follows will be in it
    ],
)
def test_a_snapshot_without_a_time_stands_after_the_last_update_it_contains(tmp_path, last, order):
    write(
        tmp_path,
        *(spot(update(t, u, u - 2)) for t, u in ((1, 5), (2, 7), (3, 8))),
        snapshot(last),
        spot(update(4, 10, 8)),
    )
    table = in_lake_order(read(tmp_path, "deltas", path="."), "deltas")
    assert list(dict.fromkeys(table["row"].to_pylist())) == order
    assert listed(table.filter(pa.compute.equal(table["row"], 4)), "action", "part", "prev_seq") == [
        ("clear", 0, None),
        ("set", 1, None),
        ("set", 2, None),
    ]


def test_a_snapshot_before_every_update_waits_for_its_symbol_and_time(tmp_path):
    write(tmp_path, snapshot(5), spot(update(1, 7, 5)))
    table = in_lake_order(read(tmp_path, "deltas", path="."), "deltas")
    assert listed(table, "symbol", "seq", "action")[0] == ("AAA", 5, "clear")
    assert table["row"].to_pylist() == [1, 1, 1, 2, 2]
    write(tmp_path, snapshot(5, T=1))
    assert lacking(read(tmp_path, "deltas", path="."), "deltas") == [1]
    assert read(tmp_path, "deltas", path=".", symbol="CCC")["symbol"].to_pylist() == ["CCC"] * 3


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_snapshot_of_one_of_two_symbols_must_be_told(tmp_path, at):
    messages = [update(1, 5, 4), update(2, 7, 5, symbol="BBB")]
    messages.insert(at, snapshot(5, T=1))
    write(tmp_path, *messages)
    with pytest.raises(DataError, match=r"capture\.txt has order books of AAA, BBB and a snapshot that does not say"):
        read(tmp_path, "deltas", path=".")
    told = read(tmp_path, "deltas", path=".", symbol="BBB")
    assert Counter(told["symbol"].to_pylist()) == {"AAA": 2, "BBB": 5}


def test_a_capture_without_what_is_asked_for_says_what_it_has(tmp_path):
    write(tmp_path, update(1, 5, 4), update(2, 6, 5), snapshot(5, T=1))
    with pytest.raises(EmptySource, match=r"no ticks in it, but 2 depthUpdate, 1 snapshot"):
        read(tmp_path, "ticks", path=".")
    (tmp_path / "capture.txt").write_text("")
    with pytest.raises(EmptySource, match=r"no deltas in it, but no lines"):
        read(tmp_path, "deltas", path=".")


@pytest.mark.parametrize(
    "bad",
    [
        "{not json",
        "[1, 2]",
        '{"a": 1}',
        '{"stream": "aaa@trade"}',
        '{"stream": 5, "data": {"e": "trade"}}',
        "",
        "[" * 100_000,
    ],
)
def test_a_line_that_cannot_be_read_is_a_row_of_every_kind(tmp_path, bad):
    write(tmp_path, ticker(1), trade(2), update(3, 5, 4), bad, ticker(4), trade(5), update(6, 6, 5))
    for record in BINANCE.records:
        table = read(tmp_path, record, path=".")
        assert lacking(table, record) == [4]
        assert set(table["file"].to_pylist()) == {"capture.txt"}


def test_a_line_without_its_time_is_a_row_of_every_kind(tmp_path):
    write(tmp_path, ticker(1), trade(2), update(3, 5, 4))
    path = tmp_path / "capture.txt"
    path.write_text("\n" + json.dumps(trade(2)) + "\n" + path.read_text() + f"{2**63} {json.dumps(trade(2))}\n")
    for record in BINANCE.records:
        assert lacking(read(tmp_path, record, path="."), record) == [2, 6]


@pytest.mark.parametrize(
    ("message", "record"),
    [
        (trade(2) | {"p": "x"}, "ticks"),
        (trade(2) | {"q": None}, "ticks"),
        (trade(2) | {"p": 10**400}, "ticks"),
        (ticker(2) | {"B": 10**400}, "books"),
        (update(2, 5, 4) | {"b": [["9.5", "1"], ["9.0", "-1"]]}, "deltas"),
        (update(2, 5, 4) | {"b": [["9.5", "1"], ["0", "1"]]}, "deltas"),
        (update(2, 5, 4) | {"a": [["10.5", "1"], ["11", "nan"]]}, "deltas"),
        (update(2, 5, 4) | {"a": [["10.5", 10**400]]}, "deltas"),
        (trade(2) | {"T": "2"}, "ticks"),
        (trade(2) | {"T": 10**30}, "ticks"),
        (trade(2) | {"s": 5}, "books"),
        (trade(2) | {"t": 2.5}, "ticks"),
        (ticker(2) | {"b": "x"}, "books"),
        ({k: v for k, v in ticker(2).items() if k != "A"}, "books"),
        (update(2, 5, 4) | {"b": [["1"]]}, "deltas"),
        (update(2, 5, 4) | {"a": 3}, "deltas"),
        (update(2, 5, 4) | {"b": [], "a": []}, "deltas"),
        (update(2, 5, 4) | {"u": 2**70}, "deltas"),
        (update(2, 5, 4) | {"pu": None}, "deltas"),
        ({k: v for k, v in spot(update(2, 5, 4)).items() if k != "E"}, "deltas"),
        (snapshot(5) | {"bids": 1}, "deltas"),
        (snapshot(5) | {"asks": [["x", "1"]]}, "deltas"),
    ],
)
def test_a_message_with_a_bad_value_costs_no_other(tmp_path, message, record):
    write(tmp_path, message, update(1, 3, 2), ticker(1), trade(1), message)
    table = read(tmp_path, record, path=".")
    assert lacking(table, record) == [1, 5]
    assert {2, 3, 4} & set(table["row"].to_pylist())


def test_messages_of_other_kinds_are_passed_over(tmp_path):
    others: list[Message] = [
        {"e": "markPriceUpdate", "E": 1, "s": "AAA", "p": "1"},
        {"stream": "!miniTicker@arr", "data": [{"e": "24hrMiniTicker"}]},
        {"stream": "aaa@depth20@100ms", "data": update(1, 3, 2)},
        {"stream": "aaa@depth20", "data": snapshot(5)},
        {"result": None, "id": 1},
    ]
    write(tmp_path, *others, {"stream": "aaa@depth@100ms", "data": update(1, 3, 2)}, ticker(1), trade(1))
    assert [read(tmp_path, record, path=".").num_rows for record in BINANCE.records] == [2, 2, 1]


def test_spot_book_tickers_have_no_time_but_that_of_receipt(tmp_path):
    nameless = {k: v for k, v in ticker(1).items() if k not in "eET"}
    write(tmp_path, nameless, trade(5), nameless | {"b": "8"}, trade(6, 8))
    assert lacking(read(tmp_path, "books", path="."), "books") == [1, 3]
    assert listed(read(tmp_path, "ticks", path="."), "seq", "bid") == [(7, 9.5), (8, 8.0)]
    local = read(tmp_path, "books", path=".", clock="local")
    assert listed(in_lake_order(local, "books"), "ts_event", "bid_px_1") == [
        (1000, 9.5),
        (1001, 9.5),
        (1002, 8.0),
        (1003, 8.0),
    ]
    ticks = read(tmp_path, "ticks", path=".", clock="local")
    assert listed(ticks, "ts_event", "bid") == [(1001, 9.5), (1003, 8.0)]


def test_microseconds_are_told_by_their_size(tmp_path):
    write(tmp_path, trade(1_735_689_600_000), trade(1_735_689_600_000_001, 8))
    base = 1_735_689_600_000_000_000
    assert listed(read(tmp_path, "ticks", path="."), "ts_event") == [(base,), (base + 1000,)]


@pytest.mark.parametrize("size", [1, 3])
def test_blocks_of_any_size_hold_the_same(tmp_path, monkeypatch, size):
    messages = [m(t) for t in range(10) for m in (ticker, trade, lambda t: update(t, 2 * t + 2, 2 * t))]
    write(tmp_path, *messages, snapshot(4, T=1))
    whole = [read(tmp_path, record, path=".") for record in BINANCE.records]
    monkeypatch.setattr(rows, "BLOCK", size)
    assert all(read(tmp_path, r, path=".").equals(w) for r, w in zip(BINANCE.records, whole, strict=True))


def test_a_capture_in_parts_keeps_its_order(tmp_path):
    messages = [m(t) for t in range(10) for m in (ticker, trade)]
    write(tmp_path, *messages)
    whole = in_lake_order(read(tmp_path, "books", path="capture.txt"), "books")
    lines = (tmp_path / "capture.txt").read_text().splitlines(keepends=True)
    (tmp_path / "1.txt").write_text("".join(lines[:7]))
    (tmp_path / "2.txt.gz").write_bytes(gzip.compress("".join(lines[7:]).encode()))
    parts = in_lake_order(read(tmp_path, "books", paths=["1.txt", "2.txt.gz"]), "books")
    assert parts["seq"].equals(whole["seq"])
    assert parts["trade_px"].equals(whole["trade_px"])


def test_few_updates_are_remembered_for_a_snapshot(tmp_path, monkeypatch):
    monkeypatch.setattr(binance_depth, "REMEMBERED", 2)
    write(tmp_path, *(spot(update(t, t + 4, t + 3)) for t in range(1, 6)), snapshot(8))
    table = read(tmp_path, "deltas", path=".")
    assert listed(table, "ts_event", "seq")[-1] == (5_000_000, 8)


def test_trades_without_book_tickers_are_not_held_back(tmp_path, monkeypatch):
    monkeypatch.setattr(binance, "REMEMBERED", 3)
    monkeypatch.setattr(rows, "BLOCK", 2)
    write(tmp_path, *(trade(t, t) for t in range(1, 8)), ticker(3, bid="3"), ticker(9, bid="9"))
    context = SourceContext(root=tmp_path, session=Session(), interval_ns=0, record="books")
    tables = list(BINANCE.read(BinanceOptions(path="."), context))
    assert [t.num_rows for t in tables if t.num_rows] == [3, 3, 3]
    assert listed(pa.concat_tables(tables), "row", "bid_px_1") == [
        *((n, None) for n in range(1, 7)),
        (8, 3.0),
        (7, 3.0),
        (9, 9.0),
    ]


@pytest.mark.parametrize("record", BINANCE.records)
def test_a_capture_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path, record, caplog):
    messages = [m(t) for t in range(1, 400) for m in (ticker, trade, lambda t: update(t, t + 1, t))]
    write(tmp_path, *messages)
    whole = read(tmp_path, record, path="capture.txt").drop_columns("file")
    text = (tmp_path / "capture.txt").read_bytes()
    (tmp_path / "cut.gz").write_bytes(gzip.compress(text)[:-200])
    found = read(tmp_path, record, path="cut.gz")
    (end,) = lacking(found, record)
    assert 300 < end <= len(messages)
    assert found.filter(pa.compute.less(found["row"], end)).num_rows == found.num_rows - 1
    kept = found.filter(pa.compute.less(found["row"], end)).sort_by("row").drop_columns("file")
    assert kept.equals(whole.filter(pa.compute.less(whole["row"], end)).sort_by("row"))
    assert caplog.messages == [f"cut.gz is cut off after {end - 1} lines; what follows them is lost"]


def test_options_are_checked(tmp_path):
    with pytest.raises(ConfigError, match="clock: Input should be 'exchange' or 'local'"):
        read(tmp_path, "ticks", path=".", clock="wall")
    with pytest.raises(ConfigError, match="give either `path` or `paths`"):
        read(tmp_path, "ticks")
