"""What the table runs on every source: nobody writes these again for a new one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import yfinance
from yfinance.data import YfData

from bellwether.config.interval import nanoseconds
from bellwether.config.sections import Part, Session
from bellwether.errors import ConfigError, UnknownName
from data.intake.batch import SOURCE
from data.intake.screen import FOREVER, Screened, screen, screened_schema
from data.intake.take import Intake, take
from data.lake import Lake
from data.options import checked
from data.records import RECORDS, record_kind
from data.records.base import RuleContext
from data.sources import SOURCES, source
from data.sources.base import SourceContext


def ohlcv_options(root: Path) -> dict[str, Any]:
    lines = ["symbol,time,open,high,low,close,volume"]
    for symbol, price in (("AAA", 10.0), ("BBB", 20.0), ("^III", 30.0)):
        for day in ("03", "04", "05"):
            prices = f"{price},{price + 1},{price - 1},{price},100"
            lines += [f"{symbol},2025-03-{day} {hour:02}:30,{prices}" for hour in range(9, 16)]
    (root / "bars.csv").write_text("\n".join(lines) + "\n")
    return {"path": "bars.csv", "timezone": "America/New_York", "stamped": "start"}


def lobster_options(root: Path) -> dict[str, Any]:
    (root / "lobster").mkdir(exist_ok=True)
    messages = [f"{34200 + n}.{n:09},{(1, 2, 4, 5)[n % 4]},{n + 1},1,1000100,-1" for n in range(8)]
    books = [f"1000100,{20 - n},1000000,30" for n in range(8)]
    for symbol in ("AAA", "BBB", "III"):
        for what, lines in (("message", messages), ("orderbook", books)):
            path = root / "lobster" / f"{symbol}_2025-03-03_34200000_57600000_{what}_1.csv"
            path.write_text("\n".join(lines) + "\n")
    return {"path": "lobster"}


def binance_options(root: Path) -> dict[str, Any]:
    bids, asks = [["10.0", "1"]], [["11.0", "2"]]
    messages: list[dict[str, Any]] = [{"lastUpdateId": 4, "T": 1741000000000, "bids": bids, "asks": asks}]
    for n in range(5, 10):
        for symbol in ("AAA", "BBB", "III"):
            of = {"s": symbol, "T": 1741000000000 + n}
            messages += [
                {"e": "depthUpdate", **of, "U": n, "u": n, "pu": n - 1, "b": bids, "a": asks},
                {"e": "bookTicker", **of, "u": n, "b": "10.0", "B": "1", "a": "11.0", "A": "2"},
                {"e": "trade", **of, "t": n, "p": "11.0", "q": "1", "m": False},
            ]
    lines = [f"{1741000000000000000 + n} {json.dumps(m)}" for n, m in enumerate(messages)]
    (root / "capture.txt").write_text("\n".join(lines) + "\n")
    return {"path": "capture.txt", "symbol": "AAA"}


def tick_options(root: Path) -> dict[str, Any]:
    lines = ["symbol,tick_generated_at,ws_received_at,price,volume,bid,ask,bid_qty1,ask_qty1,source"]
    for symbol, price in (("AAA", 10.0), ("BBB", 20.0), ("III", 30.0)):
        times = ((f"2025-03-03 10:00:0{n}.1", f"2025-03-03 10:00:0{n}.2") for n in range(6))
        lines += [f"{symbol},{at},{seen},{price},100,{price - 1},{price + 1},5,6,test" for at, seen in times]
    (root / "ticks.csv").write_text("\n".join(lines) + "\n")
    return {"path": "ticks.csv", "timezone": "America/New_York"}


def book_options(root: Path) -> dict[str, Any]:
    lines = ["symbol,timestamp,best_bid,best_ask,bid_volume,ask_volume,spread"]
    for symbol, price in (("AAA", 10.0), ("BBB", 20.0), ("III", 30.0)):
        lines += [f"{symbol},2025-03-03 10:{n:02},{price - 1},{price + 1},5,6,2" for n in range(0, 30, 5)]
    (root / "books.csv").write_text("\n".join(lines) + "\n")
    return {"path": "books.csv", "timezone": "America/New_York"}


def factor_options(root: Path) -> dict[str, Any]:
    lines = ["date,AAA,BBB,III", *(f"202503{day:02},0.4,0.5,0.6" for day in (3, 4, 5))]
    for name in ("S_LI_INITIATIVEBUYRATE", "S_LI_LARGESELLRATE"):
        (root / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return {"path": "S_LI_*.csv"}


@pytest.fixture(autouse=True)
def recorded_yahoo(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Answer every chart yfinance asks for with the recorded hours of one day."""
    yfinance.set_tz_cache_location(str(tmp_path_factory.getbasetemp() / "yfinance"))
    hours = json.loads((Path(__file__).parent / "recorded_yahoo_chart.json").read_text(encoding="utf-8"))["1h"]

    def reply(data: YfData, url: str, params: Any = None, timeout: float = 30) -> SimpleNamespace:
        return SimpleNamespace(text="{}", json=lambda: deepcopy(hours))

    for name in ("get", "cache_get"):
        monkeypatch.setattr(YfData, name, reply)


OPTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "ohlcv": ohlcv_options,
    "tick-files": tick_options,
    "book-files": book_options,
    "factor-files": factor_options,
    "yahoo": lambda root: {"symbols": ["AMD", "MSFT", "NVDA"], "start": "2024-05-03", "end": "2024-05-04"},
    "lobster": lobster_options,
    "binance": binance_options,
    "simulator": lambda root: {"seed": 5, "sessions": 4, "events": 200},
}
"""Options of a small market of each source, whose files, if any, are made below the given folder."""

INTERVALS = {"bars": "1h", "factors": "1d"}
"""Of the records that have one."""

SPOILT: dict[str, tuple[str, Any, str]] = {
    "bars": ("close", -1.0, "non_positive_price"),
    "ticks": ("price", -1.0, "non_positive_price"),
    "books": ("bid_qty_1", -1.0, "negative_quantity"),
    "deltas": ("action", "guess", "unknown_action"),
    "factors": ("value", math.nan, "not_finite"),
}
"""A cell of each record kind that makes its row a bad one, and why."""

PAIRS = [(kind, record) for kind in SOURCES for record in source(kind).records]

every_source = pytest.mark.parametrize("kind", SOURCES)
every_pair = pytest.mark.parametrize(("kind", "record"), PAIRS)


def intake(kind: str, record: str, root: Path) -> Intake:
    part = Part(kind=kind, options=OPTIONS[kind](root))
    return Intake(source=part, record=record, interval=INTERVALS.get(record), session=Session(), root=root)


def market(kind: str, record: str, root: Path) -> pa.Table:
    found = source(kind)
    interval = INTERVALS.get(record)
    interval_ns = nanoseconds(interval) if interval else 0
    context = SourceContext(root=root, session=Session(), interval_ns=interval_ns, record=record)
    tables = list(found.read(checked(kind, found.options, OPTIONS[kind](root)), context))
    assert all(table.schema.equals(record_kind(record).raw) for table in tables)
    return pa.concat_tables(tables)


def screened(record: str, raw: pa.Table) -> Screened:
    return screen(record_kind(record), raw, RuleContext(session=Session(), now=FOREVER))


def test_every_source_of_the_table_is_tested():
    assert set(OPTIONS) == set(SOURCES)
    assert set(SPOILT) == set(RECORDS)


def test_an_unknown_source_lists_the_known():
    with pytest.raises(UnknownName, match=f"no source 'olhcv'; known: {', '.join(sorted(SOURCES))}"):
        source("olhcv")


@every_source
def test_it_is_called_what_the_table_calls_it(kind):
    assert source(kind).kind == kind


@every_source
def test_options_it_does_not_know_are_refused(kind, tmp_path):
    with pytest.raises(ConfigError, match="colour: Extra inputs"):
        checked(kind, source(kind).options, OPTIONS[kind](tmp_path) | {"colour": "red"})


@every_pair
def test_tables_have_the_raw_schema_with_utc_nanoseconds(kind, record, tmp_path):
    everything = market(kind, record, tmp_path)
    assert everything.num_rows > 3
    assert everything.schema.field("ts_event").type == pa.timestamp("ns", tz="UTC")
    assert everything["file"].null_count == everything["row"].null_count == 0


@every_pair
def test_a_row_says_where_it_is_from(kind, record, tmp_path):
    everything = market(kind, record, tmp_path)
    origin = ["file", "row"] + ["symbol", *record_kind(record).key] * (record in ("deltas", "factors"))
    places = everything.group_by(origin).aggregate([])  # a message has several deltas, a wide line several factors
    assert places.num_rows == everything.num_rows


@every_pair
def test_records_rise_and_none_is_rejected(kind, record, tmp_path):
    everything = market(kind, record, tmp_path)
    found = screened(record, everything)
    assert found.rejected.num_rows == 0
    assert found.kept.num_rows == everything.num_rows
    assert found.kept.schema == screened_schema(record_kind(record))
    order = [("symbol", "ascending"), *((name, "ascending") for name in record_kind(record).order)]
    assert (
        found.kept.sort_by(order).select(record_kind(record).order).equals(found.kept.select(record_kind(record).order))
    )


@pytest.mark.parametrize("kind", [kind for kind, record in PAIRS if record == "bars"])
def test_bars_are_stamped_with_their_close(kind, tmp_path):
    ts = market(kind, "bars", tmp_path)["ts_event"].cast(pa.timestamp("ns", tz="America/New_York"))
    minutes = {t.hour * 60 + t.minute for t in ts.to_pylist()}
    assert minutes == {630, 690, 750, 810, 870, 930, 960}  # the last bar of a day is half an hour long


@every_pair
def test_reading_again_gives_the_same_rows(kind, record, tmp_path):
    assert market(kind, record, tmp_path).equals(market(kind, record, tmp_path))


@every_pair
def test_a_row_that_went_bad_is_quarantined_and_the_others_stay(kind, record, tmp_path):
    everything = market(kind, record, tmp_path)
    name, value, reason = SPOILT[record]
    cells = everything[name].to_pylist()
    cells[3] = value
    at = everything.schema.get_field_index(name)
    bad = everything.set_column(at, everything.schema.field(name), pa.array(cells, everything.schema.field(name).type))
    found = screened(record, bad)
    assert found.kept.num_rows == everything.num_rows - 1
    (rejected,) = found.rejected.to_pylist()
    assert (rejected["file"], rejected["row"]) == (everything["file"][3].as_py(), everything["row"][3].as_py())
    assert rejected["reason"] == reason


@every_pair
def test_ingesting_again_changes_nothing(kind, record, tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    first, again = (take(intake(kind, record, tmp_path), lake) for _ in range(2))
    assert first.added == first.kept == first.rows_in > 0
    assert (again.added, again.revised, again.unchanged) == (0, 0, first.kept)
    assert again.version == first.version != ""
    assert {entry.note[SOURCE].split(":")[0] for entry in lake.entries(first.kind).values()} == {kind}
