"""A recipe's derivations: made of what the lake has, once, and again only when something they are made of changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from bellwether.config.frozen import Frozen
from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Universe
from bellwether.errors import ConfigError, DataError, UnknownName
from data.arrow import pc
from data.derive import run as module
from data.derive.base import Derivation, DeriveContext
from data.derive.run import INPUTS, steps
from data.intake.batch import SOURCE
from data.intake.ingest import ingest, source_identity
from data.intake.take import Intake, take
from data.lake import Lake
from data.records import BOOKS, FACTORS, TICKS

DAY = 86_400 * 10**9
HEADER = "symbol,ts_event,price,volume"
made: list[str] = []
"""Symbols the derivations below were asked for."""


class Scale(Frozen):
    """An option."""

    factor: float = 1.0


def books(parts: Iterator[pa.Table], options: Scale, context: DeriveContext) -> Iterator[pa.Table]:
    """A book a tick, whose best bid is the price and whose time is the tick's."""
    made.append(f"{context.symbol} books {context.interval_ns}")
    for part in parts:
        n = part.num_rows
        given = {
            "bid_px_1": pc.multiply(part["price"], options.factor),
            "bid_qty_1": part["volume"],
            "trade_side": part["side"],
        }
        columns = [given.get(f.name, part[f.name] if f.name in TICKS.names else pa.nulls(n, f.type)) for f in BOOKS]
        yield pa.table(columns, schema=BOOKS)


def factors(parts: Iterator[pa.Table], options: Scale, context: DeriveContext) -> Iterator[pa.Table]:
    """The last bid of each partition, stamped an hour after it."""
    made.append(f"{context.symbol} factors {context.interval_ns}")
    for part in parts:
        last = part.slice(part.num_rows - 1)
        ts = pc.add(last["ts_event"].cast(pa.int64()), 3600 * 10**9).cast(TICKS.field("ts_event").type)
        yield pa.table([last["symbol"], ts, pa.array(["bid"]), last["bid_px_1"]], schema=FACTORS)


def hours(parts: Iterator[pa.Table], options: Scale, context: DeriveContext) -> Iterator[pa.Table]:
    """The price of each tick, stamped an hour after it."""
    made.append(f"{context.symbol} factors {context.interval_ns}")
    for part in parts:
        ts = pc.add(part["ts_event"].cast(pa.int64()), 3600 * 10**9).cast(TICKS.field("ts_event").type)
        yield pa.table([part["symbol"], ts, pa.repeat("price", part.num_rows), part["price"]], schema=FACTORS)


KINDS = {
    "hours": Derivation(kind="hours", takes="ticks", gives="factors", options=Scale, make=hours),
    "books": Derivation(kind="books", takes="ticks", gives="books", options=Scale, make=books),
    "factors": Derivation(kind="factors", takes="books", gives="factors", options=Scale, make=factors),
    "copies": Derivation(kind="copies", takes="ticks", gives="ticks", options=Scale, make=books),
}


class Market:
    """A file of ticks, the recipe that derives from them, and a lake."""

    def __init__(self, root: Path) -> None:
        self.root, self.lake = root, Lake(str(root / "lake"))
        self.ticks(*(f"{s},2025-03-0{day} 10:00:0{n},1{n}.0,5" for s in "AB" for day in (3, 4) for n in (0, 1)))

    def ticks(self, *lines: str) -> None:
        (self.root / "ticks.csv").write_text("\n".join([HEADER, *lines]) + "\n")

    def recipe(self, *derive: Part, record: str = "factors", interval: str | None = "1d", **more: Any) -> Recipe:
        chain = derive or (Part(kind="books"), Part(kind="factors"))
        options = {"path": "ticks.csv", "timezone": "UTC"}
        return Recipe.model_validate(
            {
                "name": "r",
                "record": record,
                "interval": interval,
                "source": Part(kind="tick-files", options=options),
                "derive": chain,
                "universe": Universe(name="u", symbols=("A", "B")),
                "families": ("majority",),
                "serving": {"app": None},
                **more,
            }
        )

    def ingest(self, *derive: Part, now: int | None = None, **more: Any):
        clock = {} if now is None else {"now": lambda: now}
        made.clear()
        return ingest(self.recipe(*derive, **more), self.lake, self.root, **clock)


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Market:
    monkeypatch.setattr(module, "derivation", KINDS.__getitem__)
    return Market(tmp_path)


def test_each_derivation_is_made_of_the_kind_before_and_only_the_last_has_the_interval(market):
    report = market.ingest()
    assert made == ["A books 0", "B books 0", f"A factors {DAY}", f"B factors {DAY}"]
    assert market.lake.kinds() == ("books", "factors/1d", "ticks")
    assert (report.kind, report.kept) == ("ticks", 8)
    assert [(d.kind, d.rows_in, d.kept, d.added) for d in report.derived] == [
        ("books", 8, 8, 8),
        ("factors/1d", 4, 4, 4),
    ]
    assert market.lake.partitions("books") == ("A/2025-03-03", "A/2025-03-04", "B/2025-03-03", "B/2025-03-04")
    assert market.lake.read("factors/1d", "A")["value"].to_pylist() == [11.0, 11.0]
    assert market.lake.read("books", "A/2025-03-03").schema == BOOKS
    assert report.derived[1].version == market.lake.version("factors/1d")


def test_entries_name_what_made_them(market):
    market.ingest()
    recipe = market.recipe()
    noted = {entry.note[SOURCE] for entry in market.lake.entries("factors/1d").values()}
    assert noted == {source_identity(recipe)}
    assert source_identity(recipe).startswith("tick-files > books:")
    assert source_identity(recipe) != source_identity(
        market.recipe(Part(kind="books", options={"factor": 2.0}), *recipe.derive[1:])
    )
    digests = {entry.note[INPUTS] for entry in market.lake.entries("books").values()}
    assert len(digests) == 2  # one a symbol


def test_doing_it_again_makes_nothing_and_changes_nothing(market):
    market.ingest()
    before = {kind: market.lake.version(kind) for kind in market.lake.kinds()}
    report = market.ingest()
    assert made == []
    assert [(d.up_to_date, d.rows_in) for d in report.derived] == [(("A", "B"), 0)] * 2
    assert {kind: market.lake.version(kind) for kind in market.lake.kinds()} == before


def test_only_the_symbols_whose_input_changed_are_made_again(market):
    market.ingest()
    market.ticks("A,2025-03-05 10:00:00,20.0,5")
    report = market.ingest()
    assert made == ["A books 0", f"A factors {DAY}"]
    assert report.derived[0].up_to_date == ("B",)
    assert market.lake.read("factors/1d", "A")["value"].to_pylist() == [11.0, 11.0, 20.0]
    assert market.lake.read("factors/1d", "B").num_rows == 2


def test_other_options_make_everything_again_in_the_place_of_what_was_there(market):
    market.ingest()
    doubled = (Part(kind="books", options={"factor": 2.0}), Part(kind="factors"))
    report = market.ingest(*doubled)
    assert len(made) == 4
    assert market.lake.read("factors/1d", "A")["value"].to_pylist() == [22.0, 22.0]
    assert report.derived[0].added == 8
    assert {e.note[SOURCE] for e in market.lake.entries("factors/1d").values()} == {
        source_identity(market.recipe(*doubled))
    }


def test_a_corrected_derivation_makes_everything_again(market, monkeypatch):
    def corrected(parts: Iterator[pa.Table], options: Scale, context: DeriveContext) -> Iterator[pa.Table]:
        return books(parts, Scale(factor=3.0), context)

    market.ingest()
    again = Derivation(kind="books", takes="ticks", gives="books", options=Scale, make=corrected)
    monkeypatch.setitem(KINDS, "books", again)
    report = market.ingest()
    assert [derived.up_to_date for derived in report.derived] == [(), ()]
    assert market.lake.read("factors/1d", "A")["value"].to_pylist() == [33.0, 33.0]
    assert market.ingest().derived[1].up_to_date == ("A", "B")


def test_methods_of_what_a_derivation_uses_are_part_of_it():
    plain, using = (
        Derivation(kind="books", takes="ticks", gives="books", options=Scale, make=books, uses=uses)
        for uses in ((), (Market,))
    )
    assert "made.append" in plain.definition
    assert "def ticks(self" in using.definition
    assert "def ticks(self" not in plain.definition


def test_other_hours_make_everything_again(market):
    market.ingest()
    report = market.ingest(session={"timezone": "UTC", "opens": "09:00", "closes": "17:00"})
    assert [derived.up_to_date for derived in report.derived] == [(), ()]


def test_only_records_of_the_recipes_source_are_derived_from(market):
    market.ingest()
    table = market.lake.read("ticks", "A/2025-03-03")
    other = market.lake.stage("ticks", "C", table, {SOURCE: "simulator:1"}, date="2025-03-03")
    market.lake.commit("ticks", [other])
    report = market.ingest()
    assert made == []
    assert report.derived[0].up_to_date == ("A", "B")


def test_dates_that_are_made_no_more_go(market, monkeypatch):
    market.ingest()
    first_only = Derivation(
        kind="books",
        takes="ticks",
        gives="books",
        options=Scale,
        make=lambda parts, options, context: books(iter([next(parts)]), options, context),
    )
    monkeypatch.setitem(KINDS, "books", first_only)
    market.ingest(Part(kind="books", options={"factor": 2.0}), Part(kind="factors"))
    assert market.lake.partitions("books") == ("A/2025-03-03", "B/2025-03-03")


def test_what_breaks_a_rule_goes_to_quarantine(market):
    bad = Part(kind="books", options={"factor": -1.0})
    report = market.ingest(bad, record="books", interval=None)
    (derived,) = report.derived
    assert (derived.rows_in, derived.kept, derived.quarantined) == (8, 0, {"non_positive_price": 8})
    assert market.lake.partitions("books") == ()
    assert market.lake.partitions("quarantine/books") == (
        *("A/2025-03-03", "A/2025-03-04"),
        *("B/2025-03-03", "B/2025-03-04"),
    )
    assert set(market.lake.read("quarantine/books", "A/2025-03-03")["file"].to_pylist()) == {
        source_identity(market.recipe(bad, record="books", interval=None))
    }
    market.ingest(Part(kind="books"), record="books", interval=None)
    assert market.lake.partitions("quarantine/books") == ()  # it is of what was made there last


def test_what_is_not_to_be_seen_yet_is_made_again_when_it_is(market):
    eleven = int(np.datetime64("2025-03-04T10:30", "ns").astype(np.int64))
    early = market.ingest(now=eleven)
    assert early.derived[1].quarantined == {"not_yet": 2}
    late = market.ingest(now=eleven + DAY)
    assert (late.derived[0].up_to_date, late.derived[1].up_to_date) == (("A", "B"), ())
    assert late.derived[1].kept == 4
    assert market.ingest().derived[1].up_to_date == ("A", "B")


def test_only_the_symbol_that_waits_is_made_again(market):
    market.ticks(*(f"{symbol},2025-03-04 {hour}:00:00,1,5" for symbol, hour in (("A", 10), ("A", 12), ("B", 10))))
    half_past_twelve = int(np.datetime64("2025-03-04T12:30", "ns").astype(np.int64))
    chain = (Part(kind="hours"),)
    assert market.ingest(*chain, now=half_past_twelve).derived[0].quarantined == {"not_yet": 1}
    assert market.ingest(*chain, now=half_past_twelve).derived[0].up_to_date == ("B",)
    assert made == [f"A factors {DAY}"]
    late = market.ingest(*chain, now=half_past_twelve + DAY).derived[0]
    assert (late.kept, late.up_to_date) == (2, ("B",))
    assert market.lake.partitions("quarantine/factors/1d") == ()
    assert market.ingest(*chain).derived[0].up_to_date == ("A", "B")


def test_derived_records_that_changed_meanwhile_are_not_overwritten(market, monkeypatch):
    market.ingest()

    def meanwhile(parts: Iterator[pa.Table], options: Scale, context: DeriveContext) -> Iterator[pa.Table]:
        table, note = market.lake.read("books", "A/2025-03-03"), market.lake.entries("books")["A/2025-03-03"].note
        market.lake.commit("books", [market.lake.append("books", "A", table, note, date="2025-03-07")])
        return books(parts, options, context)

    live = Derivation(kind="books", takes="ticks", gives="books", options=Scale, make=meanwhile)
    monkeypatch.setitem(KINDS, "books", live)
    with pytest.raises(DataError, match="books of 1 partition, such as A/2025-03-07, changed meanwhile"):
        market.ingest()
    assert "A/2025-03-07" in market.lake.partitions("books")


def test_records_of_other_making_are_not_lost(market):
    table = pa.table([pa.array(["A"]), pa.array([1]).cast(pa.timestamp("ns", tz="UTC")), ["x"], [1.0]], schema=FACTORS)
    market.lake.commit("factors/1d", [market.lake.stage("factors/1d", "A", table, {SOURCE: "factor-files"})])
    before = market.lake.version("factors/1d")
    with pytest.raises(DataError, match=r"factors/1d of A that are not tick-files > books > factors.*another --lake"):
        market.ingest()
    assert market.lake.version("factors/1d") == before


def test_a_source_is_not_mixed_into_what_was_derived(market):
    market.ingest()
    (market.root / "books.csv").write_text(
        "symbol,timestamp,best_bid,best_ask,bid_volume,ask_volume\nA,2025-03-03 10:00,9,11,5,5\n"
    )
    files = Part(kind="book-files", options={"path": "books.csv", "timezone": "UTC"})
    intake = Intake(source=files, record="books", session=market.recipe().session, root=market.root)
    with pytest.raises(
        DataError, match=r"books of A from another source, tick-files > books:.*; this one is book-files"
    ):
        take(intake, market.lake)


CHAINS = {
    "the wrong input": ([Part(kind="factors")] * 2, {}, "'factors' takes books, and the one before it gives factors"),
    "the wrong output": ([Part(kind="books")], {}, "derivations give books, and its record is factors"),
    "onto itself": (
        [Part(kind="copies")],
        {"record": "ticks", "interval": None},
        "would write ticks, which it is made of",
    ),
    "an unknown option": ([Part(kind="books", options={"size": 1}), Part(kind="factors")], {}, "'books': size: Extra"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_derivations_that_do_not_fit_are_refused_before_anything_is_read(market, name):
    chain, more, message = CHAINS[name]
    with pytest.raises(ConfigError, match=message):
        market.ingest(*chain, **more)
    assert market.lake.kinds() == ()


def test_an_unknown_derivation_lists_the_known(tmp_path):
    with pytest.raises(UnknownName, match="no derivation 'guess'; known: "):
        steps(Market(tmp_path).recipe(Part(kind="guess")))


def test_books_of_the_simulator_are_sampled_by_the_real_derivation(tmp_path):
    recipe = Recipe(
        name="r",
        record="books",
        interval="5min",
        source=Part(kind="simulator", options={"sessions": 2, "events": 300}),
        derive=(Part(kind="snapshots"),),
        universe=Universe(name="u", symbols=("SIM01", "SIM02")),
        families=("majority",),
        serving={"app": None},
    )
    lake = Lake(str(tmp_path))
    (derived,) = ingest(recipe, lake, tmp_path).derived
    assert derived.quarantined == {}
    assert derived.kept == sum(entry.rows for entry in lake.entries("books/5min").values()) > 100
    ts = lake.read("books/5min", lake.partitions("books/5min")[0])["ts_event"].cast(pa.int64()).to_numpy()
    assert (ts % (300 * 10**9) == 0).all()
    assert (np.diff(ts) > 0).all()
