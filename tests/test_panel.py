"""The panel: whole rows only, in order, of the present bars, and nothing of the future in them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bellwether.config import Recipe, load_recipe
from bellwether.errors import DataError, NotInLake
from data.features.hourly import HOURLY
from data.features.market import features_kind, market_context
from data.features.tables import feature_notes, feature_table
from data.lake import Lake
from data.lake.slices import slices
from data.panel import Panel, load_panel
from data.sources.simulator import SimulatorOptions, simulate
from data.wall import times
from data.weights.table import WeightTable

SESSIONS = 30
ROWS = 7 * SESSIONS
WARM = HOURLY.warmup


def a_recipe(symbols: int = 3, **target: object) -> Recipe:
    raw = load_recipe("index-hourly").model_dump()
    raw["universe"]["symbols"] = raw["universe"]["symbols"][:symbols]
    raw["target"] |= target
    raw["validation"]["embargo"] = raw["target"]["horizon"]
    return Recipe.model_validate(raw)


def bars_of(recipe: Recipe, seed: int = 7) -> dict[str, pa.Table]:
    made = simulate(SimulatorOptions(sessions=SESSIONS, seed=seed), recipe.session, recipe.interval_ns).bars
    return {symbol: made.slice(k * ROWS, ROWS) for k, symbol in enumerate(recipe.universe.symbols)}


def fill(lake: Lake, recipe: Recipe, bars: dict[str, pa.Table], features_of: dict[str, pa.Table] | None = None) -> Lake:
    """Bars, and features made of them (or of other bars), as the jobs leave them in the lake."""
    entries = {symbol: lake.stage(recipe.kind, symbol, table) for symbol, table in bars.items()}
    lake.commit(recipe.kind, entries.values())
    kind, made_of = features_kind(recipe), features_of or bars
    weights = WeightTable(
        effective=np.array([0]), symbols=recipe.universe.symbols, values=np.ones((1, len(recipe.universe.symbols)))
    )
    closes = {symbol: (times(table), table["close"].to_numpy()) for symbol, table in made_of.items()}
    context = market_context(closes, weights, recipe.universe.symbols)
    notes = feature_notes(recipe, lake, slices(lake.stage(recipe.kind, s, table) for s, table in made_of.items()))
    staged = [
        lake.stage(kind, symbol, feature_table(recipe, table, symbol=symbol, market=context), notes[symbol])
        for symbol, table in made_of.items()
    ]
    lake.commit(kind, staged)
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_panel_holds_the_whole_rows_of_all_components_in_order(lake: Lake) -> None:
    recipe = a_recipe()
    bars = bars_of(recipe)
    panel = load_panel(recipe, fill(lake, recipe, bars))
    whole = ROWS - WARM - 1  # the warm-up goes, and the last bar, whose next is not known
    assert panel.x.shape == (3 * whole, len(HOURLY.outputs))
    assert np.isfinite(panel.x).all()
    assert np.isfinite(panel.outcome).all()
    assert panel.symbols == recipe.universe.symbols
    assert (panel.features, panel.definition, panel.warmup) == (HOURLY.outputs, HOURLY.definition, WARM)
    order = list(zip(panel.ts.tolist(), panel.who.tolist(), strict=True))
    assert order == sorted(set(order))
    for who, symbol in enumerate(recipe.universe.symbols):
        mine, close, ts = panel.who == who, bars[symbol]["close"].to_numpy(), times(bars[symbol])
        np.testing.assert_array_equal(panel.ts[mine], ts[WARM:-1])
        np.testing.assert_array_equal(panel.t1[mine], ts[WARM + 1 :])
        np.testing.assert_array_equal(panel.outcome[mine], close[WARM + 1 :] / close[WARM:-1] - 1.0)
        stored = lake.read(features_kind(recipe), symbol)
        for column, name in enumerate(HOURLY.outputs):
            np.testing.assert_array_equal(panel.x[mine, column], stored[name].to_numpy()[WARM:-1])


def test_the_target_says_which_rows_have_an_outcome(lake: Lake) -> None:
    keep, drop = a_recipe(horizon=2), a_recipe(horizon=2, overnight="drop")
    fill(lake, keep, bars_of(keep))
    all_rows, day_rows = load_panel(keep, lake), load_panel(drop, lake)
    assert len(all_rows.ts) == 3 * (ROWS - WARM - 2)
    hour = 3_600_000_000_000
    assert (all_rows.t1 - all_rows.ts).max() > 15 * hour
    assert (day_rows.t1 - day_rows.ts).max() <= 2 * hour
    assert 0 < len(day_rows.ts) < len(all_rows.ts)


def test_components_may_have_different_histories(lake: Lake) -> None:
    recipe = a_recipe()
    bars = bars_of(recipe)
    bars["SIM02"] = bars["SIM02"].slice(20)
    bars["SIM03"] = bars["SIM03"].filter(pa.array(np.arange(ROWS) % 50 != 3))
    panel = load_panel(recipe, fill(lake, recipe, bars))
    rows = np.bincount(panel.who)
    assert rows.tolist() == [table.num_rows - WARM - 1 for table in bars.values()]
    for who, table in enumerate(bars.values()):
        assert set(panel.ts[panel.who == who]) <= set(times(table))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(WARM + 2, ROWS - 1), factor=st.floats(0.5, 2.0), seed=st.integers(0, 5))
def test_later_bars_do_not_change_earlier_rows(tmp_path: Path, cut: int, factor: float, seed: int) -> None:
    recipe = a_recipe()
    bars = bars_of(recipe, seed)
    before = load_panel(recipe, fill(Lake(str(tmp_path / "before")), recipe, bars))
    shocked = {symbol: shock(table, cut, factor) for symbol, table in bars.items()}
    after = load_panel(recipe, fill(Lake(str(tmp_path / "after")), recipe, shocked))
    known = times(bars["SIM01"])[cut - 1]
    seen, settled = before.ts <= known, before.t1 <= known
    assert seen.any()
    assert settled.any()
    for name in ("x", "ts", "t1", "who"):
        np.testing.assert_array_equal(getattr(before, name)[seen], getattr(after, name)[seen])
    np.testing.assert_array_equal(before.outcome[settled], after.outcome[settled])
    if abs(factor - 1.0) > 1e-3:
        assert (before.outcome[seen & ~settled] != after.outcome[seen & ~settled]).all()


def shock(table: pa.Table, cut: int, factor: float) -> pa.Table:
    """Multiply all prices from row ``cut`` on."""
    later = np.where(np.arange(table.num_rows) < cut, 1.0, factor)
    for name in ("open", "high", "low", "close"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.array(table[name].to_numpy() * later))
    return table


# what cannot be a panel


def test_without_bars_it_says_to_ingest(lake: Lake) -> None:
    with pytest.raises(
        NotInLake, match=r"no bars of SIM01, SIM02, SIM03, components of sim10: run `bellwether ingest index-h"
    ):
        load_panel(a_recipe(), lake)


def test_without_features_it_says_to_make_them(lake: Lake) -> None:
    two, three = a_recipe(2), a_recipe(3)
    fill(lake, two, bars_of(two))
    lake.commit(three.kind, [lake.stage(three.kind, "SIM03", bars_of(three)["SIM03"])])
    with pytest.raises(NotInLake, match="no features of SIM01, SIM02, SIM03: run `bellwether features index-hourly`"):
        load_panel(three, lake)


def test_features_of_other_bars_are_refused(lake: Lake) -> None:
    recipe = a_recipe()
    bars = bars_of(recipe)
    newer = bars | {"SIM02": shock(bars["SIM02"], ROWS - 1, 1.01)}
    with pytest.raises(DataError, match="those of SIM02 were made from other records"):
        load_panel(recipe, fill(lake, recipe, newer, features_of=bars))


def test_features_with_another_basket_are_refused(lake: Lake) -> None:
    recipe = a_recipe()
    fill(lake, recipe, bars_of(recipe))
    weights = lake.stage("weights/sim10", "weights", pa.table({"symbol": ["SIM01"]}))
    lake.commit("weights/sim10", [weights])
    with pytest.raises(DataError, match="those of SIM01, SIM02, SIM03 were made with another session, or"):
        load_panel(recipe, lake)


def test_features_of_another_definition_are_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = a_recipe()
    fill(lake, recipe, bars_of(recipe))
    changed = dataclasses.replace(HOURLY, warmup=WARM + 1)
    monkeypatch.setattr("data.features.tables.features_of", lambda name: changed)
    with pytest.raises(DataError, match=r"SIM01, SIM02, SIM03 were made by another definition.*features"):
        load_panel(recipe, lake)


@pytest.mark.parametrize("rows", [5, WARM, WARM + 1])
def test_a_history_that_is_all_warm_up_is_refused_with_its_length(lake: Lake, rows: int) -> None:
    recipe = a_recipe()
    bars = {symbol: table.slice(0, rows) for symbol, table in bars_of(recipe).items()}
    short = f"SIM01 has {rows} rows, {min(rows, WARM)} of them in the warm-up.*more than {WARM + 1} rows"
    with pytest.raises(DataError, match=short):
        load_panel(recipe, fill(lake, recipe, bars))


def test_one_bar_more_than_that_is_a_panel(lake: Lake) -> None:
    recipe = a_recipe()
    bars = {symbol: table.slice(0, WARM + 2) for symbol, table in bars_of(recipe).items()}
    panel: Panel = load_panel(recipe, fill(lake, recipe, bars))
    assert panel.who.tolist() == [0, 1, 2]


def test_a_component_without_a_whole_row_is_named_with_what_its_rows_lack(lake: Lake) -> None:
    recipe = a_recipe()
    fill(lake, recipe, bars_of(recipe))
    kind = features_kind(recipe)
    entry = lake.entries(kind)["SIM02"]
    made = lake.read(kind, "SIM02")
    unknown = made.set_column(made.column_names.index("atr_14"), "atr_14", pa.array([np.nan] * made.num_rows))
    lake.commit(kind, [lake.stage(kind, "SIM02", unknown, entry.note)])
    with pytest.raises(
        DataError, match=rf"nothing to fit to: SIM02 has {ROWS} rows, {WARM} of them.*atr_14 in {ROWS}\)"
    ):
        load_panel(recipe, lake)
