"""What every derivation promises, run on the whole table: nobody writes these again for a new one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bellwether.config.sections import Session
from bellwether.errors import ConfigError, UnknownName
from data.derive import DERIVATIONS, derivation
from data.derive.base import DeriveContext
from data.intake.screen import FOREVER, screen
from data.options import checked
from data.records import record_kind
from data.records.base import RuleContext
from data.sources.base import SourceContext
from data.sources.simulator import SIMULATOR, SimulatorOptions

SYMBOL = "SIM01"
MINUTE = 60_000_000_000


def simulated(record: str, events: int = 150) -> pa.Table:
    """Records of one symbol over three sessions, in the lake's order."""
    context = SourceContext(root=Path(), session=Session(), interval_ns=0, record=record)
    schema = record_kind(record).schema
    tables = SIMULATOR.read(SimulatorOptions(sessions=3, events=events, seed=3), context)
    own = pa.concat_tables(table for table in tables if table["symbol"][0].as_py() == SYMBOL)
    order = [(name, "ascending") for name in record_kind(record).order]
    return own.select(schema.names).cast(schema).sort_by(order)


def half_signed(ticks: pa.Table) -> pa.Table:
    """Trades of which every other does not say its side, and a fifth have no quote."""
    at = np.arange(ticks.num_rows)
    side = pa.array(np.where(at % 2, ticks["side"].to_numpy(), 0), pa.int8())
    bid = pa.array(ticks["bid"].to_numpy(), mask=at % 5 == 0)
    schema = ticks.schema
    ticks = ticks.set_column(schema.get_field_index("side"), schema.field("side"), side)
    return ticks.set_column(schema.get_field_index("bid"), schema.field("bid"), bid)


RECORDS: dict[str, tuple[Callable[[], pa.Table], int]] = {
    "bars": (lambda: simulated("ticks", 600), 30 * MINUTE),
    "rebuild": (lambda: simulated("deltas"), 0),
    "snapshots": (lambda: simulated("books"), 5 * MINUTE),
    "trade-rates": (lambda: half_signed(simulated("ticks", 600)), 30 * MINUTE),
}
"""What each derivation is run on here: records of `SYMBOL`, and the interval of what it makes."""

every_derivation = pytest.mark.parametrize("kind", DERIVATIONS)


@cache
def records_of(kind: str) -> pa.Table:
    assert kind in RECORDS, f"add realistic records for {kind} to RECORDS"
    return RECORDS[kind][0]()


def made(kind: str, *parts: pa.Table) -> pa.Table:
    found = derivation(kind)
    context = DeriveContext(symbol=SYMBOL, session=Session(), interval_ns=RECORDS[kind][1])
    tables = list(found.make(iter(parts), checked(kind, found.options, {}), context))
    schema = record_kind(found.gives).schema
    assert all(table.schema == schema for table in tables)
    return pa.concat_tables(tables, schema=schema) if tables else schema.empty_table()


@cache
def whole(kind: str) -> pa.Table:
    return made(kind, records_of(kind))


def stamps(table: pa.Table) -> np.ndarray:
    return table["ts_event"].cast(pa.int64()).to_numpy()


def until(table: pa.Table, ts: int) -> pa.Table:
    return table.filter(stamps(table) <= ts)


def moments(kind: str) -> list[int]:
    """Times to look at: of some records and just before them, and of some of what is made."""
    taken, given = stamps(records_of(kind)), stamps(whole(kind))
    chosen = np.concatenate([taken[:: len(taken) // 12], taken[:: len(taken) // 12] - 1, given[:: len(given) // 8 + 1]])
    return [int(ts) for ts in chosen]


def test_every_derivation_of_the_table_is_tested() -> None:
    assert set(RECORDS) == set(DERIVATIONS)


def test_an_unknown_derivation_lists_the_known() -> None:
    with pytest.raises(UnknownName, match=f"no derivation 'bras'; known: {', '.join(sorted(DERIVATIONS))}"):
        derivation("bras")


@every_derivation
def test_it_is_called_what_the_table_calls_it_and_refuses_options_it_does_not_know(kind: str) -> None:
    found = derivation(kind)
    assert found.kind == kind
    with pytest.raises(ConfigError, match="colour: Extra inputs"):
        checked(kind, found.options, {"colour": "red"})


@every_derivation
def test_what_it_makes_is_good_records_of_the_symbol_in_order(kind: str) -> None:
    record, table = record_kind(derivation(kind).gives), whole(kind)
    assert table.num_rows > 10
    assert set(table["symbol"].to_pylist()) == {SYMBOL}
    assert table.equals(table.sort_by([(name, "ascending") for name in record.order]))
    n = table.num_rows
    raw = pa.table([*table.columns, pa.repeat(kind, n), pa.array(np.arange(1, n + 1))], schema=record.raw)
    found = screen(record, raw, RuleContext(session=Session(), now=FOREVER))
    assert found.rejected.num_rows == 0
    assert pc.count_distinct(pa.array([str(row) for row in table.select(record.key).to_pylist()])).as_py() == n


@every_derivation
@given(cuts=st.lists(st.floats(0, 1), max_size=6))
@settings(max_examples=25)
def test_any_partitions_of_the_records_give_the_same(kind: str, cuts: list[float]) -> None:
    records = records_of(kind)
    edges = [0, *sorted(round(cut * records.num_rows) for cut in cuts), records.num_rows]
    parts = [records.slice(a, b - a) for a, b in pairwise(edges)]
    assert made(kind, *parts).equals(whole(kind))


@every_derivation
def test_one_record_at_a_time_gives_the_same(kind: str) -> None:
    records = records_of(kind)
    assert made(kind, *(records.slice(k, 1) for k in range(records.num_rows))).equals(whole(kind))


@every_derivation
def test_a_record_is_made_of_none_later_than_its_stamp(kind: str) -> None:
    for now in moments(kind):
        known = made(kind, until(records_of(kind), now))
        assert until(known, now).equals(until(whole(kind), now))


@every_derivation
def test_other_records_later_change_nothing_earlier(kind: str) -> None:
    records = records_of(kind)
    changes = 0
    for now in moments(kind):
        later = records.filter(stamps(records) > now)
        thinned = later.filter(np.arange(later.num_rows) % 3 == 0)
        other = made(kind, until(records, now), thinned)
        assert until(other, now).equals(until(whole(kind), now))
        changes += not other.equals(whole(kind))
    assert changes > 5


@every_derivation
def test_no_records_give_nothing(kind: str) -> None:
    assert made(kind).num_rows == 0
    assert made(kind, records_of(kind).schema.empty_table()).num_rows == 0
