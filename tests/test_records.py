"""Each rule of each record kind: a row that breaks it and nothing else, and rows that may look odd but are good."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from bellwether.config.sections import Session
from data.intake.screen import reasons, screen
from data.records import RECORDS, RecordKind, record_kind
from data.records.base import NO_NUMBER, RuleContext
from data.records.books import LEVELS
from data.wall import DAY

NAN, INF = math.nan, math.inf
NOW = 1_000
SESSION = Session(timezone="Asia/Hong_Kong", calendar="XHKG")
BEYOND = -20 * 365 * DAY  # 1950; the calendar begins in 1960

TICK = {
    "symbol": "A",
    "ts_event": 100,
    "ts_recv": None,
    "seq": 1,
    "price": 10.0,
    "volume": 5.0,
    "bid": 9.0,
    "ask": 11.0,
    "bid_qty": 1.0,
    "ask_qty": 0.0,
    "side": 1,
    "source": "x",
}
BOOK = {
    "symbol": "A",
    "ts_event": 100,
    "seq": 1,
    "trade_side": 0,
    **{f"bid_px_{n}": 10.0 - n for n in (1, 2, 3)},
    **{f"ask_px_{n}": 10.0 + n for n in (1, 2, 3)},
    **{f"{side}_qty_{n}": 5.0 for side in ("bid", "ask") for n in (1, 2, 3)},
}
DELTA = {"symbol": "A", "ts_event": 100, "seq": 1, "part": 0, "action": "add", "side": 1, "price": 10.0, "qty": 5.0}
FACTOR = {"symbol": "A", "ts_event": 100, "factor": "buy_rate", "value": 0.5}
BAR = {"symbol": "A", "ts_event": 100, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0}
GOOD = {"bars": BAR, "ticks": TICK, "books": BOOK, "deltas": DELTA, "factors": FACTOR}

BROKEN: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ticks": [
        *(("missing_value", {name: None}) for name in ("symbol", "ts_event", "price", "volume", "side")),
        ("missing_value", {"symbol": ""}),
        *(("not_finite", {name: INF}) for name in ("price", "volume", "bid", "ask", "bid_qty", "ask_qty")),
        ("not_finite", {"price": NAN}),
        ("not_finite", {"volume": NAN}),
        ("non_positive_price", {"price": 0.0}),
        ("non_positive_volume", {"volume": 0.0}),
        ("non_positive_quote", {"bid": 0.0}),
        ("non_positive_quote", {"ask": -1.0}),
        ("crossed_quote", {"bid": 11.5}),
        ("negative_quantity", {"bid_qty": -1.0}),
        ("negative_quantity", {"ask_qty": -1.0}),
        ("bad_side", {"side": 2}),
        ("beyond_calendar", {"ts_event": BEYOND}),
        ("not_yet", {"ts_event": NOW + 1}),
        ("missing_value", {"seq": NO_NUMBER}),
    ],
    "books": [
        *(("missing_value", {name: None}) for name in ("symbol", "ts_event", "trade_side")),
        ("not_finite", {"bid_px_2": INF}),
        ("not_finite", {"ask_qty_3": INF}),
        ("not_finite", {"trade_px": -INF}),
        ("non_positive_price", {"bid_px_3": 0.0}),
        ("non_positive_price", {"trade_px": -1.0}),
        ("negative_quantity", {"ask_qty_1": -1.0}),
        ("non_positive_volume", {"trade_qty": 0.0}),
        ("quantity_without_price", {"bid_px_3": None}),
        ("crossed", {"bid_px_1": 11.0}),
        ("crossed", {"ask_px_1": None, "ask_qty_1": None, "bid_px_1": 12.0}),  # against the best that is known
        ("levels_unordered", {"bid_px_2": 9.0}),
        ("levels_unordered", {"ask_px_3": 11.5}),
        ("levels_unordered", {"bid_px_2": None, "bid_qty_2": None, "bid_px_3": 9.5}),  # over an unknown level
        ("bad_side", {"trade_side": -2}),
        ("beyond_calendar", {"ts_event": BEYOND}),
        ("not_yet", {"ts_event": NOW + 1}),
    ],
    "deltas": [
        *(("missing_value", {name: None}) for name in ("ts_event", "seq", "part", "action", "side")),
        ("unknown_action", {"action": "Add"}),
        ("unknown_action", {"action": ""}),
        ("bad_side", {"side": 3}),
        *(("no_side", {"side": 0, "action": action}) for action in ("set", "add", "cancel", "execute")),
        ("not_finite", {"price": INF}),
        ("not_finite", {"qty": -INF}),
        *(
            ("incomplete", {name: None, "action": action})
            for action in ("set", "add", "cancel", "execute", "hidden", "cross")
            for name in ("price", "qty")
        ),
        ("non_positive_price", {"price": 0.0}),
        ("negative_quantity", {"qty": -1.0}),
        ("beyond_calendar", {"ts_event": BEYOND}),
        ("not_yet", {"ts_event": NOW + 1}),
    ],
    "factors": [
        *(("missing_value", {name: None}) for name in ("symbol", "ts_event", "factor", "value")),
        ("empty_name", {"factor": ""}),
        ("not_finite", {"value": NAN}),
        ("not_finite", {"value": INF}),
        ("not_yet", {"ts_event": NOW + 1}),
    ],
}

UNUSUAL: dict[str, list[dict[str, Any]]] = {
    "ticks": [
        dict.fromkeys(("bid", "ask", "bid_qty", "ask_qty", "source")),
        dict.fromkeys(("bid", "ask", "bid_qty", "ask_qty"), NAN),
        {"bid": 11.0},  # a locked market
        {"bid": None, "ask": 1.0, "price": 20.0},  # through the quote
        {"ts_recv": 1},  # received before it happened: clocks differ
        {"ts_recv": NOW + 1},
        {"side": 0},
        {"ts_event": NOW},
        {"seq": None},
    ],
    "books": [
        {name: None for name in BOOK if name.startswith(("bid_", "ask_"))},
        {"bid_px_3": None, "bid_qty_3": 0.0},  # known to be empty
        {"bid_px_3": NAN, "bid_qty_3": NAN},
        {"bid_qty_2": None},
        {"bid_px_2": None, "bid_qty_2": None},
        {"trade_px": 10.0, "trade_qty": 1.0, "trade_side": -1},
        {"seq": None},
    ],
    "deltas": [
        {"action": "clear", "side": 0, "price": None, "qty": None},
        {"action": "halt", "side": 0, "price": None, "qty": None},
        {"action": "resume", "side": 0, "price": -1.0, "qty": None},
        {"action": "cross", "side": 0},
        {"action": "hidden", "side": 0},
        {"action": "set", "qty": 0.0},
    ],
    "factors": [{"value": -3.0}],
}


for cases in BROKEN.values():
    cases.append(("unusable_symbol", {"symbol": "X/part=3"}))


def raw(kind: RecordKind, *rows: dict[str, Any]) -> pa.Table:
    columns = {}
    for field in kind.raw:
        cells = [{"file": "f", "row": n, **row}.get(field.name) for n, row in enumerate(rows, 1)]
        whole = pa.types.is_timestamp(field.type)
        columns[field.name] = pa.array(cells, pa.int64()).cast(field.type) if whole else pa.array(cells, field.type)
    return pa.table(columns, schema=kind.raw)


def rejected(name: str, *rows: dict[str, Any]) -> list[tuple[int, str]]:
    kind = record_kind(name)
    found = screen(kind, raw(kind, *rows), RuleContext(session=SESSION, now=NOW)).rejected
    return list(zip(found["row"].to_pylist(), found["reason"].to_pylist(), strict=True))


@pytest.mark.parametrize(("name", "reason", "change"), [(n, *case) for n, cases in BROKEN.items() for case in cases])
def test_a_row_that_breaks_a_rule_is_rejected_for_it(name, reason, change):
    before, after = {"ts_event": 50}, {"ts_event": 150}
    rows = [GOOD[name] | before, GOOD[name] | change, GOOD[name] | after]
    assert rejected(name, *rows) == [(2, reason)]


@pytest.mark.parametrize(("name", "change"), [(name, change) for name, rows in UNUSUAL.items() for change in rows])
def test_a_row_that_is_only_unusual_is_kept(name, change):
    assert rejected(name, GOOD[name] | change) == []


@pytest.mark.parametrize("name", BROKEN)
def test_every_rule_has_a_row_that_breaks_it(name):
    assert {reason for reason, _ in BROKEN[name]} == set(reasons(record_kind(name))[:-2])


def test_the_rules_of_bars_have_their_own_tests_and_all_kinds_have_some():
    assert BROKEN.keys() | {"bars"} == RECORDS.keys()
    assert all(record_kind(name).rules for name in RECORDS)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_known_by_what_it_is_sorted_by_and_the_time_comes_first(name):
    kind = record_kind(name)
    assert kind.key == kind.order
    assert kind.order[0] == "ts_event"
    assert kind.schema.names[:2] == ["symbol", "ts_event"]


@pytest.mark.parametrize("name", RECORDS)
def test_the_first_rule_that_is_broken_is_the_reason(name):
    nothing = dict.fromkeys(record_kind(name).schema.names)
    assert rejected(name, nothing, GOOD[name] | {"symbol": "", "ts_event": NOW + 1}) == [
        (1, "missing_value"),
        (2, "missing_value"),
    ]


def test_the_deepest_levels_are_judged_too():
    deep = {f"{side}_px_{LEVELS}": px for side, px in (("bid", 9.5), ("ask", 20.0))}
    assert rejected("books", BOOK | deep | {f"bid_qty_{LEVELS}": 1.0, f"ask_qty_{LEVELS}": 1.0}) == [
        (1, "levels_unordered")
    ]
