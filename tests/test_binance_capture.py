"""Binance's captures: every value of a real one against a slow reading of it."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from data.arrow import pc
from data.options import checked
from data.records import record_kind
from data.sources.base import SourceContext
from data.sources.binance import BINANCE, BinanceOptions

CAPTURE = "binance/usdm_btcusdt_20240808.gz"
DEPTH, TICKER, TRADES, LEVELS = 6_551, 66_089, 21_313, 443_521
QUOTE = ("bid_px_1", "bid_qty_1", "ask_px_1", "ask_qty_1")

Message = dict[str, Any]


@cache
def read(root: Path, record: str) -> pa.Table:
    context = SourceContext(root=root, session=Session(), interval_ns=0, record=record)
    tables = list(BINANCE.read(checked("source 'binance'", BinanceOptions, {"path": CAPTURE}), context))
    assert all(t.schema.equals(record_kind(record).raw) for t in tables)
    return pa.concat_tables(tables)


def listed(table: pa.Table, *columns: str) -> list[tuple[Any, ...]]:
    plain = {c: table[c].cast(pa.int64()) if pa.types.is_timestamp(table[c].type) else table[c] for c in columns}
    return list(zip(*(plain[c].to_pylist() for c in columns), strict=True))


def in_lake_order(table: pa.Table, record: str) -> pa.Table:
    return table.sort_by([(c, "ascending") for c in record_kind(record).order])


@pytest.fixture(scope="module")
def lines(market_data: Path) -> list[tuple[int, int, Message]]:
    """Line number, time of receipt and payload of every line."""
    with gzip.open(market_data / CAPTURE, "rt") as file:
        split = [line.split(" ", 1) for line in file]
    return [(n, int(t), (m := json.loads(text)).get("data", m)) for n, (t, text) in enumerate(split, 1)]


def test_deltas_are_the_levels_of_the_updates_and_the_snapshot(market_data, lines):
    expected = []
    for n, received, m in lines:
        if "lastUpdateId" in m:
            head, before = (m["T"] * 10**6, received, m["lastUpdateId"]), None
            sets = [("set", 1, *lv) for lv in m["bids"]] + [("set", -1, *lv) for lv in m["asks"]]
            made = [("clear", 0, "nan", "nan"), *sets]
        elif m["e"] == "depthUpdate":
            head, before = (m["T"] * 10**6, received, m["u"]), m["pu"]
            made = [("set", 1, *lv) for lv in m["b"]] + [("set", -1, *lv) for lv in m["a"]]
        else:
            continue
        expected += [(*head, k, before, a, s, float(p), float(q), n) for k, (a, s, p, q) in enumerate(made)]
    table = read(market_data, "deltas")
    columns = ("ts_event", "ts_recv", "seq", "part", "prev_seq", "action", "side", "price", "qty", "row")
    found = listed(table, *columns)
    assert len(found) == LEVELS + 2_001
    assert [f for f in found if f[5] == "set"] == [e for e in expected if e[5] == "set"]
    assert sum(f[5] == "clear" for f in found) == 1
    assert len({f[9] for f in found}) == DEPTH + 1
    assert set(table["symbol"].to_pylist()) == {"BTCUSDT"}


def test_in_lake_order_the_snapshot_stands_before_the_update_that_contains_it(market_data):
    """It arrives in line 55, after updates up to 5123107856210; the one with 5123107852948 in it is in line 42."""
    table = in_lake_order(read(market_data, "deltas"), "deltas")
    first = table.filter(pc.equal(table["part"], 0))
    messages = listed(first, "ts_event", "seq", "prev_seq", "row")
    assert len(messages) == DEPTH + 1
    (at,) = [i for i, m in enumerate(messages) if m[2] is None]
    assert [m[3] for m in messages[at - 1 : at + 2]] == [38, 55, 42]
    before, snapshot, after = (m[1] for m in messages[at - 1 : at + 2])
    assert before < snapshot == 5123107852948 < after
    updates = [m for m in messages if m[2] is not None]
    assert [m[3] for m in updates] == sorted(m[3] for m in updates)  # otherwise the order of the file
    assert all(b[2] == a[1] for a, b in pairwise(updates))  # and nothing is missing


def test_the_book_of_the_deltas_has_the_best_prices_of_the_book_tickers(market_data, lines):
    tickers = [m for _, _, m in lines if m.get("e") == "bookTicker"]
    ids = [m["u"] for m in tickers]
    table = in_lake_order(read(market_data, "deltas"), "deltas")
    book: dict[int, dict[float, float]] = {1: {}, -1: {}}
    compared = agreeing = 0
    seqs = table["seq"].to_numpy()
    last_of = set(np.flatnonzero(np.append(np.diff(seqs) != 0, True)).tolist())
    begun = False
    for i, (seq, action, side, price, qty) in enumerate(listed(table, "seq", "action", "side", "price", "qty")):
        if action == "clear":
            begun, book = True, {1: {}, -1: {}}
        elif begun and qty:
            book[side][price] = qty
        elif begun:
            book[side].pop(price, None)
        at = bisect_right(ids, seq) - 1
        if begun and i in last_of and at + 1 < len(ids):
            bid, ask, m = max(book[1]), min(book[-1]), tickers[at]
            found = (bid, book[1][bid], ask, book[-1][ask])
            compared += 1
            agreeing += found == tuple(float(m[k]) for k in "bBaA")
    assert compared > 6_500
    assert agreeing == compared


def test_ticks_are_the_trades_with_the_quote_before_their_millisecond(market_data, lines):
    expected, quotes = [], []
    for n, received, m in lines:
        if m.get("e") == "bookTicker":
            quotes.append((m["T"], *(float(m[k]) for k in "bBaA")))
        elif m.get("e") == "trade":
            quote = next((q[1:] for q in reversed(quotes) if q[0] < m["T"]), (None,) * 4)
            side = -1 if m["m"] else 1
            expected.append((m["T"] * 10**6, received, m["t"], float(m["p"]), float(m["q"]), *quote, side, n))
    table = read(market_data, "ticks")
    columns = ("ts_event", "ts_recv", "seq", "price", "volume", "bid", "bid_qty", "ask", "ask_qty", "side", "row")
    assert listed(table, *columns) == expected
    assert len(expected) == TRADES
    assert set(table["source"].to_pylist()) == {"binance"}
    assert in_lake_order(table, "ticks").equals(table)


def test_the_first_fill_of_an_order_is_at_the_quote_of_its_side(market_data):
    """Where the quote is taken from matters: with the last one received it is 88 % of them, and 4 % are absurd."""
    first, last = [], None
    for t in read(market_data, "ticks").to_pylist():
        if (t["ts_event"], t["side"]) != last and t["bid"] is not None:
            first.append(t)
        last = (t["ts_event"], t["side"])
    at = sum(t["price"] == (t["ask"] if t["side"] == 1 else t["bid"]) for t in first) / len(first)
    absurd = sum(t["price"] <= t["bid"] if t["side"] == 1 else t["price"] >= t["ask"] for t in first) / len(first)
    assert len(first) > 5_000
    assert at > 0.92
    assert absurd < 0.015


def test_books_are_the_book_tickers_and_the_trades_between_them(market_data, lines):
    table = read(market_data, "books")
    assert table.num_rows == TICKER + TRADES
    by_row = {r["row"]: r for r in table.drop_columns("ts_recv").to_pylist()}
    last = None
    for n, received, m in lines:
        row = by_row.pop(n, None)
        if m.get("e") == "bookTicker":
            assert row is not None
            assert tuple(row[c] for c in QUOTE) == tuple(float(m[k]) for k in "bBaA")
            assert (row["trade_px"], row["trade_qty"], row["trade_side"]) == (None, None, 0)
        elif m.get("e") == "trade":
            assert row is not None
            assert (row["trade_px"], row["trade_qty"]) == (float(m["p"]), float(m["q"]))
            assert row["trade_side"] == (-1 if m["m"] else 1)
        else:
            assert row is None
            continue
        assert (row["ts_event"].value, row["seq"]) == (m["T"] * 10**6, received)
        assert last is None or row["seq"] > last
        last = row["seq"]
    assert by_row == {}
    assert all(table[c].null_count == table.num_rows for c in table.column_names if c.endswith(("_2", "_10")))


def test_in_lake_order_a_trade_repeats_the_quote_before_it(market_data):
    standing: tuple[Any, ...] = (None,) * 4
    for *quote, price in listed(in_lake_order(read(market_data, "books"), "books"), *QUOTE, "trade_px"):
        if price is None:
            standing = tuple(quote)
        assert tuple(quote) == standing
