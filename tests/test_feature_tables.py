"""Features of records kept by date: what is scanned together, what a table is a function of, and what is made again."""

from __future__ import annotations

import json
import sys
from itertools import chain, pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Part, Session, Universe
from bellwether.errors import ConfigError, NotInLake
from data import features_job
from data.features import tables
from data.features.base import FeatureKind, FeatureSet
from data.features.calendar import SessionClock, session_pieces
from data.features.market import features_kind
from data.features.tables import component_slices, feature_notes, feature_table, runs
from data.lake import Lake
from data.lake.compaction import compact
from data.lake.slices import read_slice, slices
from data.records import TICKS, TIME

SECOND, DAY = 10**9, 86_400 * 10**9
DATES = ("2025-03-03", "2025-03-04", "2025-03-05")


def running_sum(x: Any, who: Any, state: Any, out: Any) -> None:
    """Sum of prices, from the start of the session where ``x`` has one."""
    for i in range(len(x)):
        s = state[who[i]]
        if x[i, 1] != s["session"]:
            s["sum"], s["session"] = 0.0, x[i, 1]
        s["sum"] += x[i, 0]
        out[i, 0] = s["sum"]


def tick_inputs(fs: FeatureSet, records: pa.Table, context: Any) -> tuple[Any, Any]:
    ts = records["ts_event"].cast(pa.int64()).to_numpy()
    day = SessionClock(context.session).at(ts)[:, 0] if fs.name == "sessions" else np.ones(len(ts))
    return ts, np.column_stack([records["price"].to_numpy(), day])


def kind_of(name: str) -> FeatureKind:
    fs = FeatureSet(
        name=name,
        inputs=("price", "session"),
        outputs=("sum",),
        warmup=0,
        state=np.dtype([("session", "f8"), ("sum", "f8")]),
        kernel=running_sum,
    )
    by_session = name == "sessions"
    return FeatureKind(kind=name, record="ticks", build=lambda _: fs, inputs=tick_inputs, by_session=by_session)


@pytest.fixture(autouse=True)
def sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two more entries of the table: a set that starts anew with each session, and one that never does."""
    module = ModuleType("probe_sets")
    module.sessions, module.forever = kind_of("sessions"), kind_of("forever")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "probe_sets", module)
    table = {name: ("probe_sets", name) for name in ("sessions", "forever")}
    monkeypatch.setattr("data.features.FEATURE_SETS", {**sys.modules["data.features"].FEATURE_SETS, **table})


def recipe_of(features: str, record: str = "ticks", **session: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "small",
            "record": record,
            "source": Part(kind="simulator"),
            "universe": Universe(name="u", symbols=("A",)),
            "features": features,
            "session": Session(**session),
            "families": ("majority",),
            "serving": {"app": None},
        }
    )


def trades(first: int, prices: list[float], step: int = 60 * SECOND) -> pa.Table:
    n = len(prices)
    columns = {
        "symbol": pa.array(["A"] * n),
        "ts_event": pa.array(first + step * np.arange(n)).cast(TIME),
        "seq": pa.array(range(n), pa.int64()),
        "price": pa.array(prices, pa.float64()),
        "volume": pa.array([1.0] * n),
        "side": pa.array([0] * n, pa.int8()),
    }
    return pa.table([columns.get(f.name, pa.nulls(n, f.type)) for f in TICKS], schema=TICKS)


def put(lake: Lake, tables: dict[str, pa.Table]) -> None:
    lake.commit("ticks", [lake.stage("ticks", "A", table, date=date) for date, table in tables.items()])


def at(date: str, clock: str = "15:00") -> int:
    return int(np.datetime64(f"{date}T{clock}", "ns").astype(np.int64))


@pytest.fixture
def lake(tmp_path: Any) -> Lake:
    made = Lake(str(tmp_path))
    put(made, {date: trades(at(date), [1.0, 2.0, 3.0]) for date in DATES})
    return made


def partitions(recipe: Recipe, lake: Lake) -> list[list[str]]:
    return [[part.date for part in run] for run in runs(recipe, component_slices(recipe, lake)["A"])]


def test_a_set_that_starts_anew_with_each_session_is_cut_between_them(lake: Lake) -> None:
    assert partitions(recipe_of("sessions"), lake) == [[date] for date in DATES]
    assert partitions(recipe_of("forever"), lake) == [list(DATES)]


def test_a_session_that_goes_on_over_midnight_utc_is_scanned_from_where_it_began(tmp_path: Any) -> None:
    lake = Lake(str(tmp_path))
    evening, morning = trades(at(DATES[0], "23:58"), [1.0, 2.0]), trades(at(DATES[1], "00:00"), [3.0])
    put(lake, {DATES[0]: evening, DATES[1]: morning, DATES[2]: trades(at(DATES[2], "23:58"), [1.0])})
    sydney = recipe_of("sessions", timezone="Australia/Sydney", opens="10:00", closes="16:00")
    assert partitions(sydney, lake) == [[DATES[0]], list(DATES[:2]), [DATES[2]]]
    assert stage(sydney, lake) == {DATES[0]: [1.0, 3.0], DATES[1]: [6.0], DATES[2]: [1.0]}


def test_a_market_that_trades_around_the_clock_is_cut_all_the_same(tmp_path: Any) -> None:
    lake, dates = Lake(str(tmp_path)), [f"2025-03-{day:02d}" for day in range(3, 8)]
    put(lake, {date: trades(at(date, "00:30"), list(range(1, 25)), step=3_600 * SECOND) for date in dates})
    futures = recipe_of("sessions", timezone="America/Chicago", calendar="CMES")
    assert partitions(futures, lake) == [[dates[0]], *([before, date] for before, date in pairwise(dates))]
    state = kind_of("sessions").build(None).start()
    expected = {
        date: feature_table(futures, lake.read("ticks", f"A/{date}"), symbol="A", market=None, state=state)["sum"]
        for date in dates
    }
    assert stage(futures, lake) == {date: column.to_pylist() for date, column in expected.items()}


def test_merging_the_files_of_a_date_changes_no_feature(tmp_path: Any) -> None:
    lake = Lake(str(tmp_path))
    for clock in ("16:00", "15:00"):
        lake.commit("ticks", [lake.append("ticks", "A", trades(at(DATES[0], clock), [1.0]), date=DATES[0])])
    recipe = recipe_of("sessions")
    before = feature_notes(recipe, lake, component_slices(recipe, lake))
    assert compact(lake, "ticks").parts == 2
    assert feature_notes(recipe, lake, component_slices(recipe, lake)) == before


def test_a_changed_schedule_of_the_exchange_makes_features_of_its_year_out_of_date(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of("sessions", calendar="XNYS")
    before = feature_notes(recipe, lake, component_slices(recipe, lake))
    pieces = session_pieces(recipe.session, 2025, 2025)
    pieces["closes"] -= 3_600 * SECOND
    monkeypatch.setattr(tables, "session_pieces", lambda *_: pieces)
    tables._hours_of.cache_clear()
    after = feature_notes(recipe, lake, component_slices(recipe, lake))
    tables._hours_of.cache_clear()
    assert all(before[date]["context"] != after[date]["context"] for date in before)


def changed(recipe: Recipe, lake: Lake, date: str, price: float) -> set[str]:
    """Dates whose features are a function of the records of ``date``."""
    before = feature_notes(recipe, lake, component_slices(recipe, lake))
    put(lake, {date: trades(at(date), [price])})
    after = feature_notes(recipe, lake, component_slices(recipe, lake))
    return {partition.removeprefix("A/") for partition in after if after[partition] != before[partition]}


@pytest.mark.parametrize("date", DATES)
def test_a_change_costs_its_session_or_all_that_remembers_it(lake: Lake, date: str) -> None:
    assert changed(recipe_of("sessions"), lake, date, 5.0) == {date}
    assert changed(recipe_of("forever"), lake, date, 6.0) == {later for later in DATES if later >= date}


def stage(recipe: Recipe, lake: Lake, done: dict[str, Any] | None = None) -> dict[str, list[float]]:
    """What the tasks of the job stage, by date, without a cluster."""
    records = component_slices(recipe, lake)
    notes = feature_notes(recipe, lake, records)
    items = [item.wire() for item in features_job._items(recipe, records["A"], notes, done or {})]
    runs_ = [features_job._stage_run(json.loads(json.dumps(item)), recipe, lake, None) for item in items]
    staged = [entry for entries, _ in runs_ for entry in entries]
    assert sum(whole for _, whole in runs_) == sum(entry.rows for entry in staged)
    return {entry.date: lake.read_entry(entry)["sum"].to_pylist() for entry in staged}


def test_a_task_hands_its_state_from_one_date_to_the_next(lake: Lake) -> None:
    assert stage(recipe_of("sessions"), lake) == {date: [1.0, 3.0, 6.0] for date in DATES}
    assert list(stage(recipe_of("forever"), lake).values()) == [[1, 3, 6], [7, 9, 12], [13, 15, 18]]


def test_what_is_there_is_scanned_for_its_state_and_not_written_again(lake: Lake) -> None:
    there = {f"A/{DATES[0]}": None, f"A/{DATES[2]}": None}
    assert stage(recipe_of("forever"), lake, there) == {DATES[1]: [7.0, 9.0, 12.0]}
    assert stage(recipe_of("sessions"), lake, there) == {DATES[1]: [1.0, 3.0, 6.0]}
    assert stage(recipe_of("forever"), lake, dict.fromkeys([f"A/{date}" for date in DATES])) == {}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 30), max_size=5), name=st.sampled_from(["sessions", "forever"]))
def test_however_history_is_cut_into_dates_the_features_are_the_same(tmp_path: Any, cuts: list[int], name: str) -> None:
    history = trades(at(DATES[0]), np.arange(1.0, 31.0).tolist(), step=3_600 * SECOND)
    bounds = sorted({0, 30, *cuts})
    cut_at = enumerate(pairwise(bounds), 1)
    parts = {f"2025-01-{day:02d}": history.slice(a, b - a) for day, (a, b) in cut_at}
    whole, cut = Lake(str(tmp_path / "whole")), Lake(str(tmp_path / f"cut{bounds}"))
    put(whole, {"2025-01-01": history})
    put(cut, parts)
    recipe = recipe_of(name)
    assert [*chain(*stage(recipe, cut).values())] == [*chain(*stage(recipe, whole).values())]


def test_parts_of_a_date_are_read_as_one_in_the_order_of_the_kind(tmp_path: Any) -> None:
    lake = Lake(str(tmp_path))
    entries = [
        lake.stage("ticks", "A", trades(at(DATES[0], clock), [1.0]), date=DATES[0]) for clock in ("16:00", "15:00")
    ]
    (part,) = slices(entries)["A"]
    assert (part.rows, part.first, part.last) == (2, at(DATES[0], "15:00"), at(DATES[0], "16:00"))
    assert part.digest not in {entry.digest for entry in entries}
    read = read_slice(lake, part, ("ts_event", "seq"), ["price", "ts_event"])
    assert read.column_names == ["price", "ts_event"]
    assert read["ts_event"].cast(pa.int64()).to_pylist() == [part.first, part.last]


def test_a_set_that_reads_another_kind_of_record_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="feature set 'hourly' reads bars; the recipe's record is ticks"):
        component_slices(recipe_of("hourly"), lake)


def test_symbols_without_records_are_named(tmp_path: Any) -> None:
    with pytest.raises(NotInLake, match="ticks has no ticks of A"):
        component_slices(recipe_of("sessions"), Lake(str(tmp_path)))


def test_sets_with_options_and_records_of_other_kinds_have_places_of_their_own() -> None:
    plain = recipe_of("sessions").model_dump()
    sets = [{"kind": "sessions"}, *({"kind": "ticks", "options": {"lookbacks": [n]}} for n in (5, 7))]
    kinds = [features_kind(Recipe.model_validate(plain | {"features": features})) for features in sets]
    assert kinds[0].startswith("features/u/ticks/sessions-")
    assert len({*kinds, features_kind(recipe_of("sessions", calendar="XNYS"))}) == 4
    assert features_kind(Recipe.model_validate(plain)) == kinds[0]
