"""Books derived from deltas, and sampled by the interval."""

from __future__ import annotations

import gzip
import json
import logging
import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import ConfigError
from data.derive import derivation
from data.derive.base import DeriveContext
from data.options import checked
from data.orderbook.known import known_shares
from data.records import BOOKS, DELTAS
from data.sources.base import SourceContext
from data.sources.binance import BINANCE, BinanceOptions
from data.sources.lobster import LOBSTER, LobsterOptions

CAPTURE = "binance/usdm_btcusdt_20240808.gz"
DAY = 86_400_000_000_000
ORDER = [(name, "ascending") for name in ("ts_event", "seq", "part")]


def made(kind: str, parts: list[pa.Table], interval_ns: int = 0, **options: object) -> pa.Table:
    found = derivation(kind)
    context = DeriveContext(symbol="A", session=Session(), interval_ns=interval_ns)
    return pa.concat_tables(found.make(iter(parts), checked(kind, found.options, options), context))


def delta(ts: int, seq: int, action: str, qty: float, part: int = 0) -> dict[str, object]:
    row = {"symbol": "A", "ts_event": ts, "seq": seq, "part": part, "action": action, "side": 1, "price": 10.0}
    return row | {"qty": qty}


def bids(books: pa.Table) -> list[tuple[int, float | None]]:
    return list(zip(books["ts_event"].cast(pa.int64()).to_pylist(), books["bid_qty_1"].to_pylist(), strict=True))


def test_a_book_goes_on_over_midnight_and_begins_anew_where_deltas_clear_it() -> None:
    first = [delta(1, 1, "clear", 0.0), delta(1, 1, "set", 5.0, 1), delta(2, 2, "add", 1.0)]
    second = [delta(DAY, 3, "add", 1.0), delta(DAY + 1, 1, "clear", 0.0), delta(DAY + 1, 1, "set", 9.0, 1)]
    parts = [pa.Table.from_pylist(rows, DELTAS) for rows in (first, second)]
    books = made("rebuild", parts, whole=True)
    assert books.schema == BOOKS
    assert bids(books) == [(1, 5.0), (2, 6.0), (DAY, 7.0), (DAY + 1, 9.0)]


def test_what_is_odd_about_deltas_is_logged_by_reason(caplog: pytest.LogCaptureFixture) -> None:
    rows = [delta(1, 1, "clear", 0.0), delta(2, 2, "cancel", 1.0), delta(3, 3, "cancel", 1.0)]
    with caplog.at_level(logging.INFO, "data.derive.rebuild"):
        made("rebuild", [pa.Table.from_pylist(rows, DELTAS)], whole=True)
    assert caplog.messages == ["deltas of A: 2 absent"]


@pytest.mark.parametrize(("option", "value"), [("depth", -1), ("levels", 0), ("levels", 11), ("deep", 1)])
def test_options_out_of_bounds_are_refused(option: str, value: int) -> None:
    with pytest.raises(ConfigError, match=option):
        made("rebuild", [], **{option: value})


def test_no_deltas_give_no_books() -> None:
    assert made("rebuild", []).equals(BOOKS.empty_table())
    assert made("rebuild", [DELTAS.empty_table()]).num_rows == 0


@pytest.fixture(scope="module")
def capture(market_data: Path) -> tuple[pa.Table, list[tuple[int, tuple[float, ...]]]]:
    """Deltas of the capture in the lake's order, and the best bid and ask by update that another stream sent."""
    context = SourceContext(root=market_data, session=Session(), interval_ns=0, record="deltas")
    deltas = pa.concat_tables(BINANCE.read(BinanceOptions(path=CAPTURE), context)).select(DELTAS.names).cast(DELTAS)
    with gzip.open(market_data / CAPTURE, "rt") as lines:
        sent = [json.loads(line.split(" ", 1)[1]) for line in lines]
    tops = [message["data"] for message in sent if message.get("stream", "").endswith("bookTicker")]
    quotes = sorted((top["u"], tuple(float(top[name]) for name in ("b", "B", "a", "A"))) for top in tops)
    return deltas.sort_by(ORDER), quotes


def known_tops(books: pa.Table) -> Iterator[tuple[int, tuple[float, ...]]]:
    names = ("bid_px_1", "bid_qty_1", "ask_px_1", "ask_qty_1")
    for seq, *top in zip(books["seq"].to_pylist(), *(books[name].to_pylist() for name in names), strict=True):
        if None not in top:
            yield seq, tuple(top)


@pytest.mark.parametrize("whole", [False, True])
def test_the_rebuilt_best_is_binances_own(capture: tuple, whole: bool) -> None:  # type: ignore[type-arg]
    """Book tickers come by a stream of their own, numbered by the same updates."""
    deltas, quotes = capture
    books = made("rebuild", [deltas], whole=whole)
    assert books.num_rows == len(set(deltas["seq"].to_pylist()))
    tops, updates, by_update = list(known_tops(books)), [seq for seq, _ in quotes], dict(quotes)
    assert len(tops) >= (0.999 if whole else 0.997) * books.num_rows
    assert sum(seq in by_update for seq, _ in tops) > 600
    assert [(seq, top) for seq, top in tops if top != by_update.get(seq, top)] == []
    last = [quotes[bisect_right(updates, seq) - 1][1] for seq, _ in tops]
    assert [(top, quote) for (_, top), quote in zip(tops, last, strict=True) if top != quote] == []


# LOBSTER's own books


def lobster(market_data: Path, symbol: str, record: str) -> pa.Table:
    options = LobsterOptions(path=f"lobster/{symbol}_2012-06-21_34200000_57600000_message_5.csv.gz")
    context = SourceContext(root=market_data, session=Session(), interval_ns=0, record=record)
    return pa.concat_tables(LOBSTER.read(options, context))


@pytest.mark.parametrize("symbol", ["AMZN", "GOOG"])
def test_every_level_that_messages_determine_is_lobsters_in_every_row(
    market_data: Path, symbol: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The order book file is only the check: of it, the rebuilt book has seen the first row."""
    with caplog.at_level(logging.INFO, "data.derive.rebuild"):
        rows = made("rebuild", [lobster(market_data, symbol, "deltas")], depth=5, levels=5)
    want = lobster(market_data, symbol, "books")
    assert rows["seq"].equals(want["seq"])
    for side, level, what in product(("bid", "ask"), range(1, 6), ("px", "qty")):
        name = f"{side}_{what}_{level}"
        got = rows[name].to_numpy()
        known = ~np.isnan(got)
        np.testing.assert_array_equal(got[known], want[name].to_numpy()[known], name)
    assert [re.sub(r"[\d,]+", "N", message) for message in caplog.messages] == ["deltas of A: N beyond"]
    shares = {(known.side, known.level): known for known in known_shares(rows, 5)}
    assert all(shares[side, 1].price > 0.54 and shares[side, 1].quantity > 0.48 for side in ("bid", "ask"))
    assert all(shares[side, 5].price > 0.11 and shares[side, 5].quantity > 0.09 for side in ("bid", "ask"))


# Sampled by the interval


def books_of(times: list[int]) -> pa.Table:
    given = [
        {"symbol": "A", "ts_event": ts, "ts_recv": ts + 1, "seq": seq, "bid_qty_1": float(seq), "trade_px": 1.0}
        | {"trade_qty": 1.0, "trade_side": 1}
        for seq, ts in enumerate(times)
    ]
    return pa.Table.from_pylist(given, BOOKS)


@given(
    times=st.lists(st.integers(0, 60), max_size=40).map(sorted),
    cuts=st.lists(st.integers(0, 40), max_size=4).map(sorted),
    step=st.integers(1, 12),
)
@settings(max_examples=200)
def test_the_last_book_at_or_before_each_multiple(times: list[int], cuts: list[int], step: int) -> None:
    books = books_of(times)
    ends = [0, *(min(cut, len(times)) for cut in cuts), len(times)]
    parts = [books.slice(start, end - start) for start, end in pairwise(ends)]
    got = made("snapshots", parts, interval_ns=step)
    want = []
    for end in range(0, 80, step):
        within = [seq for seq, ts in enumerate(times) if end - step < ts <= end]
        want += [(end, float(within[-1]))] if within else []
    assert got.schema == BOOKS
    assert bids(got) == want
    assert got["seq"].to_pylist() == [int(qty) for _, qty in want]
    for name in ("ts_recv", "trade_px", "trade_qty"):
        assert got[name].null_count == got.num_rows
    assert set(got["trade_side"].to_pylist()) <= {0}


def test_an_interval_is_needed() -> None:
    with pytest.raises(ConfigError, match="give the recipe one"):
        made("snapshots", [books_of([1])])
