"""The order book against plain dicts, and against markets of which it is told a part."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bellwether.errors import DataError
from data.orderbook.replay import BLOCK, Replay
from data.orderbook.state import Book, new_book, resized, tallied
from data.records import BOOKS, DELTAS

Delta = tuple[str, int, float | None, float | None]
Levels = list[tuple[float | None, float | None]]
CLEAR: Delta = ("clear", 0, None, None)
UNKNOWN, EMPTY = (None, None), (None, 0.0)


def table(messages: list[list[Delta]], prev: list[int | None] | None = None, first: int = 1) -> pa.Table:
    """A table of messages numbered from ``first``, each some deltas."""
    rows = [
        {
            "symbol": "A",
            "ts_event": 1_000 * seq,
            "ts_recv": None if seq % 3 == 0 else 1_000 * seq + part,
            "seq": seq,
            "part": part,
            "prev_seq": prev[seq - first] if prev else None,
            "action": action,
            "side": side,
            "price": price,
            "qty": qty,
        }
        for seq, message in enumerate(messages, first)
        for part, (action, side, price, qty) in enumerate(message)
    ]
    return pa.Table.from_pylist(rows, DELTAS)


def replayed(deltas: pa.Table, book: Book, levels: int = 10, cuts: tuple[int, ...] = ()) -> tuple[pa.Table, Replay]:
    replay = Replay(book, "A", levels)
    ends = [0, *sorted(min(cut, deltas.num_rows) for cut in cuts), deltas.num_rows]
    made = [replay.feed(deltas.slice(start, end - start)) for start, end in pairwise(ends)]
    return pa.concat_tables([*made, replay.finish()]), replay


def levels_of(row: dict[str, Any], side: int, levels: int) -> Levels:
    name = "bid" if side > 0 else "ask"
    return [(row[f"{name}_px_{k}"], row[f"{name}_qty_{k}"]) for k in range(1, levels + 1)]


def best(side: dict[float, float], sign: int, levels: int) -> Levels:
    known: Levels = [(price, side[price]) for price in sorted(side, reverse=sign > 0)][:levels]
    return known + [EMPTY] * (levels - len(known))


# A feed that tells everything: plain dicts are the oracle.

ACTION = st.sampled_from(["set", "add", "cancel", "execute", "hidden", "halt", "cross", "clear"])
DELTA = st.tuples(ACTION, st.sampled_from([1, -1, 1, -1, 0]), st.integers(0, 12), st.integers(0, 6))


def slow_apply(sides: dict[int, dict[float, float]], delta: Delta, tally: Counter[str]) -> None:
    action, side, price, qty = delta
    if action == "clear":
        sides[1].clear()
        sides[-1].clear()
    if action not in ("set", "add", "cancel", "execute"):
        return
    assert price is not None
    assert qty is not None
    if side == 0 or price <= 0:
        tally["malformed"] += 1
        return
    levels = sides[side]
    if action == "execute" and any(side * other > side * price for other in levels):
        tally["through"] += 1
    if action == "set":
        tally["absent_set"] += price not in levels and qty == 0
        levels[price] = qty
    elif action == "add":
        levels[price] = levels.get(price, 0) + qty
    elif price not in levels:
        tally["absent"] += 1
    else:
        tally["excess"] += levels[price] < qty
        levels[price] -= qty
    if levels.get(price, 1) <= 0:
        del levels[price]


@given(messages=st.lists(st.lists(DELTA, min_size=1, max_size=4), min_size=1, max_size=60))
@settings(max_examples=200)
def test_agrees_with_plain_dicts_when_everything_is_told(messages: list[list[Delta]]) -> None:
    """Cancels of what is not there, crossed books and executions out of turn included."""
    rows, replay = replayed(table([[CLEAR], *messages]), new_book(whole=True), levels=4)
    sides: dict[int, dict[float, float]] = {1: {}, -1: {}}
    tally = Counter[str]()
    for row, message in zip(rows.to_pylist(), [[CLEAR], *messages], strict=True):
        for delta in message:
            slow_apply(sides, delta, tally)
        if sides[1] and sides[-1]:
            tally["crossed"] += max(sides[1]) >= min(sides[-1])
        for side in (1, -1):
            assert levels_of(row, side, 4) == best(sides[side], side, 4)
        assert levels_of(row, 1, 10)[4:] == [UNKNOWN] * 6
    assert tallied(replay.book) == {reason: n for reason, n in tally.items() if n}


# A feed that tells of the best few levels: a whole market is the oracle.


class Market:
    """A book of which a feed tells the best ``depth`` levels a side, as LOBSTER's files do."""

    def __init__(self, seed: int, depth: int, prices: int) -> None:
        self.random, self.depth, self.prices = random.Random(seed), depth, prices
        middle = prices // 2
        self.sides: dict[int, dict[float, float]] = {1: {}, -1: {}}
        for price in range(1, prices + 1):
            if price != middle and self.random.random() < 0.7:
                self.sides[1 if price < middle else -1][float(price)] = float(self.random.randint(1, 3))

    def view(self, side: int) -> list[float]:
        return sorted(self.sides[side], reverse=side > 0)[: self.depth]

    def snapshot(self) -> list[Delta]:
        return [CLEAR, *(("set", side, px, self.sides[side][px]) for side in (1, -1) for px in self.view(side))]

    def event(self) -> Delta | None:
        """Something happens; return it if the feed tells of it."""
        side = self.random.choice((1, -1))
        levels = self.sides[side]
        action = self.random.choice(("add", "add", "cancel", "cancel", "execute"))
        if action == "add":
            other = self.view(-side)
            free = [p for p in range(1, self.prices + 1) if not other or side * p < side * other[0]]
            price = float(self.random.choice(free or [0]))
        else:
            price = self.random.choice(sorted(levels)) if levels else 0.0
            price = self.view(side)[0] if action == "execute" and levels else price
        if price == 0.0:
            return None
        before, qty = self.view(side), float(self.random.randint(1, 3))
        if action == "add":
            levels[price] = levels.get(price, 0.0) + qty
        else:
            qty = min(qty, levels[price])
            levels[price] -= qty
            if levels[price] == 0.0:
                del levels[price]
        return (action, side, price, qty) if price in (*before, *self.view(side)) else None


def told(market: Market, events: int) -> tuple[list[list[Delta]], list[dict[int, Levels]]]:
    """What the feed tells, and the best levels after each message."""
    messages, truths = [market.snapshot()], [{s: best(market.sides[s], s, market.depth) for s in (1, -1)}]
    for _ in range(events):
        event = market.event()
        if event is not None:
            messages.append([event])
            truths.append({s: best(market.sides[s], s, market.depth) for s in (1, -1)})
    return messages, truths


@given(seed=st.integers(0, 2**32), depth=st.integers(1, 6), prices=st.sampled_from([8, 16, 30]))
@settings(max_examples=300)
def test_what_is_said_to_be_known_of_a_part_of_a_market_is_true(seed: int, depth: int, prices: int) -> None:
    messages, truths = told(Market(seed, depth, prices), 150)
    rows, replay = replayed(table(messages), new_book(depth=depth), levels=depth)
    for row, truth in zip(rows.to_pylist(), truths, strict=True):
        for side in (1, -1):
            for got, want in zip(levels_of(row, side, depth), truth[side], strict=True):
                assert got in (UNKNOWN, (want[0], None), want), (row["seq"], side, got, want)
    shown = any(truths[0][side][0] != EMPTY for side in (1, -1))
    assert levels_of(rows.to_pylist()[0], 1, depth) == (truths[0][1] if shown else [UNKNOWN] * depth)
    assert set(tallied(replay.book)) <= {"beyond"}


@pytest.mark.parametrize("seed", range(10))
def test_everything_is_known_while_nothing_drops_out_of_view(seed: int) -> None:
    messages, truths = told(Market(seed, depth=10, prices=10), 400)
    rows, _ = replayed(table(messages), new_book(depth=10), levels=10)
    for row, truth in zip(rows.to_pylist(), truths, strict=True):
        assert {s: levels_of(row, s, 10) for s in (1, -1)} == truth


def asks(messages: list[list[Delta]], depth: int = 2, levels: int = 2) -> list[Levels]:
    rows, _ = replayed(table(messages), new_book(depth=depth), levels=levels)
    return [levels_of(row, -1, levels) for row in rows.to_pylist()]


TWO: list[Delta] = [CLEAR, ("set", -1, 10.0, 1.0), ("set", -1, 11.0, 1.0)]


def test_a_level_that_comes_into_view_is_unknown_even_if_it_was_seen_before() -> None:
    better, gone = ("add", -1, 9.0, 5.0), ("cancel", -1, 9.0, 5.0)
    assert asks([TWO, [better], [gone]]) == [
        [(10.0, 1.0), (11.0, 1.0)],
        [(9.0, 5.0), (10.0, 1.0)],
        [(10.0, 1.0), UNKNOWN],
    ]


def test_an_order_named_in_a_level_from_beyond_gives_its_price_and_no_quantity() -> None:
    gone, named, part, rest = ("cancel", -1, 10.0, 1.0), ("add", -1, 12.0, 4.0), 1.0, 3.0
    shown = asks([TWO, [gone], [named], [("cancel", -1, 12.0, part)], [("cancel", -1, 12.0, rest)]])
    assert shown[1:] == [
        [(11.0, 1.0), UNKNOWN],
        [(11.0, 1.0), (12.0, None)],
        [(11.0, 1.0), (12.0, None)],
        [(11.0, 1.0), UNKNOWN],
    ]


def test_an_execution_shows_that_what_may_have_been_before_it_is_gone() -> None:
    empty = [("cancel", -1, 10.0, 1.0)], [("cancel", -1, 11.0, 1.0)]
    new_level: Delta = ("add", -1, 12.0, 4.0)
    shown = asks([TWO, *empty, [("execute", -1, 13.0, 1.0)], [new_level], [("add", -1, 12.0, 1.0)]])
    assert shown[2:] == [[UNKNOWN] * 2, [UNKNOWN] * 2, [(12.0, 4.0), UNKNOWN], [(12.0, 5.0), UNKNOWN]]


def test_a_bid_shows_that_nobody_asks_for_less() -> None:
    empty = [("cancel", -1, 10.0, 1.0)], [("cancel", -1, 11.0, 1.0)]
    shown = asks([TWO, *empty, [("add", 1, 12.5, 1.0)], [("cancel", 1, 12.5, 1.0)], [("add", -1, 12.0, 7.0)]])
    assert shown[-1] == [(12.0, 7.0), UNKNOWN]


def test_a_side_with_fewer_levels_than_the_feed_shows_has_no_others() -> None:
    assert asks([[CLEAR, ("set", -1, 10.0, 1.0)], [("cancel", -1, 10.0, 1.0)]]) == [[(10.0, 1.0), EMPTY], [EMPTY] * 2]


@pytest.mark.parametrize("depth", [0, 2])
def test_a_clear_without_any_level_says_that_nothing_is_known(depth: int) -> None:
    assert asks([TWO, [CLEAR], [("add", -1, 12.0, 1.0)]], depth)[1:] == [[UNKNOWN] * 2] * 2
    assert asks([TWO, [CLEAR], TWO], depth)[2] == asks([TWO], depth)[0]


def test_an_event_that_the_feed_cannot_have_told_of_is_counted_and_ignored() -> None:
    rows, replay = replayed(table([TWO, [("add", -1, 12.0, 1.0)]]), new_book(depth=2))
    assert levels_of(rows.to_pylist()[1], -1, 3) == [(10.0, 1.0), (11.0, 1.0), UNKNOWN]
    assert tallied(replay.book) == {"beyond": 1, "outside": 1}


def test_what_a_snapshot_left_out_is_unknown_until_the_market_has_passed_it() -> None:
    far: Delta = ("set", -1, 13.0, 2.0)
    messages: list[list[Delta]] = [
        TWO,
        [far],
        [("set", -1, 10.0, 0.0)],
        [("set", -1, 11.0, 0.0), ("set", 1, 12.5, 1.0)],
    ]
    assert asks(messages, depth=0) == [
        [(10.0, 1.0), (11.0, 1.0)],
        [(10.0, 1.0), (11.0, 1.0)],
        [(11.0, 1.0), UNKNOWN],
        [UNKNOWN] * 2,
    ]
    assert asks([*messages, [("set", 1, 12.9, 1.0), ("set", -1, 12.95, 3.0)]], depth=0)[-1] == [UNKNOWN] * 2
    taken: list[list[Delta]] = [[("execute", -1, 13.0, 1.0)], [("add", -1, 12.75, 1.0)]]
    assert asks([*messages, *taken], depth=0)[-1] == [(12.75, 1.0), (13.0, 1.0)]


def test_a_rest_of_rounding_is_nothing() -> None:
    third: list[list[Delta]] = [[("cancel", 1, 9.0, 0.1)]] * 3
    rows, replay = replayed(table([[CLEAR, ("set", 1, 9.0, 0.3)], *third]), new_book(whole=True))
    assert 0.3 - 0.1 - 0.1 - 0.1 != 0.0
    assert levels_of(rows.to_pylist()[-1], 1, 1) == [EMPTY]
    assert tallied(replay.book) == {}


# Numbered feeds


def numbered(steps: list[tuple[int | None, int]]) -> tuple[list[float | None], dict[str, int]]:
    """The best bid after messages ``(prev_seq, seq)``, each of which bids its own number; None: a snapshot."""
    tables = []
    for place, (prev, seq) in enumerate(steps):
        message: list[Delta] = [*([CLEAR] if prev is None else []), ("set", 1, float(seq), 1.0)]
        one = table([message], [prev], first=seq)
        ts = pa.array([place] * one.num_rows, DELTAS.field("ts_event").type)
        tables.append(one.set_column(1, DELTAS.field("ts_event"), ts))
    rows, replay = replayed(pa.concat_tables(tables), new_book(whole=True))
    return rows["bid_px_1"].to_pylist(), tallied(replay.book)


def test_updates_are_applied_from_the_one_that_contains_the_snapshot() -> None:
    assert numbered([(1, 4), (None, 10), (4, 7), (7, 12), (12, 15)]) == (
        [None, 10.0, 10.0, 12.0, 15.0],
        {"adrift": 1, "stale": 1},
    )


def test_an_update_that_follows_the_snapshot_at_once_is_applied() -> None:
    assert numbered([(None, 10), (10, 12), (12, 13)]) == ([10.0, 12.0, 13.0], {})
    assert numbered([(None, 10), (8, 10), (10, 12)]) == ([10.0, 10.0, 12.0], {})


def test_a_break_makes_the_book_unknown_until_the_next_snapshot() -> None:
    assert numbered([(None, 10), (10, 12), (13, 15), (15, 16), (None, 20), (19, 21)]) == (
        [10.0, 12.0, None, None, 20.0, 21.0],
        {"gap": 1, "adrift": 2},
    )
    assert numbered([(None, 10), (11, 12)]) == ([10.0, None], {"gap": 1, "adrift": 1})
    assert numbered([(None, 10), (10, 12), (10, 12)])[1] == {"gap": 1, "adrift": 1}


def test_a_message_of_a_numbered_feed_that_names_none_before_it_is_not_applied() -> None:
    """Its place is not known; if it clears the book, what follows the clear is."""
    bid: Delta = ("set", 1, 9.0, 1.0)
    messages = [[CLEAR, bid], [("add", 1, 9.0, 1.0)], [("add", 1, 9.0, 5.0)], [("cancel", 1, 9.0, 9.0), CLEAR, bid]]
    rows, replay = replayed(table(messages, [None, 1, None, None]), new_book(whole=True))
    assert rows["bid_qty_1"].to_pylist() == [1.0, 2.0, 2.0, 1.0]
    assert tallied(replay.book) == {}
    last = table([*messages[:3], [("add", 1, 9.0, 1.0)]], [None, 1, None, 3])
    rows, replay = replayed(last, new_book(whole=True))
    assert rows["bid_qty_1"].to_pylist() == [1.0, 2.0, 2.0, None]
    assert tallied(replay.book) == {"gap": 1, "adrift": 1}


# Rows


def test_a_message_makes_one_row_with_its_trade() -> None:
    sweep: list[Delta] = [("execute", -1, 10.0, 1.0), ("execute", -1, 11.0, 0.5)]
    hidden: list[Delta] = [("hidden", 1, 9.5, 7.0)]
    auction: list[Delta] = [("cross", 0, 10.5, 900.0)]
    rows, _ = replayed(table([TWO, sweep, hidden, auction, [("halt", 0, None, None)]]), new_book(depth=2))
    assert rows.schema == BOOKS
    trades = rows.select(["seq", "trade_px", "trade_qty", "trade_side"]).to_pylist()
    assert [tuple(trade.values()) for trade in trades] == [
        (1, None, None, 0),
        (2, 11.0, 1.5, 1),
        (3, 9.5, 7.0, -1),
        (4, 10.5, 900.0, 0),
        (5, None, None, 0),
    ]
    assert rows["ts_recv"].cast(pa.int64()).to_pylist() == [1_002, 2_001, None, 4_000, 5_000]
    assert [levels_of(row, -1, 1) for row in rows.to_pylist()[1:]] == [[(11.0, 0.5)]] * 4


def test_an_action_nobody_knows_is_named() -> None:
    with pytest.raises(DataError, match="no action is called nudge; known: clear"):
        Replay(new_book(), "A").feed(table([[("nudge", 1, 1.0, 1.0)]]))


@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 200), max_size=6))
@example(seed=3_452_566_366, cuts=[40, 169, 45])  # the side that holds less once held more
@settings(max_examples=50)
def test_however_deltas_are_cut_the_rows_are_the_same_and_so_is_what_is_remembered(seed: int, cuts: list[int]) -> None:
    deltas = table(told(Market(seed, 3, 16), 200)[0])
    whole, one = replayed(deltas, new_book(depth=3))
    parts, many = replayed(deltas, new_book(depth=3), cuts=tuple(cuts))
    assert parts.equals(whole)
    same(one.book, many.book)


def same(one: Book, other: Book) -> None:
    for left, right in zip(resized(one), resized(other), strict=True):
        assert left.tobytes() == right.tobytes()


def test_a_book_that_was_saved_goes_on_as_if_nothing_had_happened() -> None:
    deltas = table(told(Market(1, 3, 16), 200)[0])
    whole, _ = replayed(deltas, new_book(depth=3))
    first = Replay(new_book(depth=3), "A")
    before = first.feed(deltas.slice(0, 77))
    saved = [array.tobytes() for array in resized(first.book)]
    first.feed(deltas.slice(77))
    fresh = new_book()
    arrays = [np.frombuffer(raw, array.dtype).copy() for raw, array in zip(saved, fresh, strict=True)]
    restored = Book(arrays[0].reshape(2, -1), *arrays[1:])
    after, _ = replayed(deltas.slice(77), restored)
    assert pa.concat_tables([before, after]).equals(whole)


def test_there_is_room_for_any_number_of_levels() -> None:
    n = BLOCK + 10
    prices = np.random.default_rng(0).permutation(n) + 1.0
    given = {"symbol": ["A"] * n, "ts_event": [1] * n, "seq": [1] * n, "part": range(n), "action": ["set"] * n}
    given |= {"side": [1] * n, "price": prices, "qty": prices / 2}
    deltas = pa.table([given.get(name, [None] * n) for name in DELTAS.names], schema=DELTAS)
    full = pa.concat_tables([table([[CLEAR]], first=0), deltas])
    rows, replay = replayed(full, new_book(whole=True))
    assert levels_of(rows.to_pylist()[-1], 1, 3) == [(n, n / 2), (n - 1, (n - 1) / 2), (n - 2, (n - 2) / 2)]
    assert replay.book.sides["held"].tolist() == [n, 0]
