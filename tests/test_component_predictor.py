"""A shard: features bit-equal to the batch table, made again when the lake changes, and posted bars on equal terms."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import pyarrow as pa
import pytest

from bellwether.errors import ModelError, NotInLake
from bellwether.models.predictor import Predictor
from bellwether.signal import Absence
from benchmarks.in_process import Held, holding
from benchmarks.installation import artefact, bars, prepare, put_bars, put_weights, session_closes
from data.features import feature_set
from data.features.tables import component_slices, feature_table, universe_context
from data.lake import Lake
from serve_apps.index.component_predictor import ComponentPredictor, Explained
from serve_apps.index.posted import Posted, Refused
from serve_apps.index.releases import Release
from serve_apps.index.shard_state import ShardState, newest_time
from serve_apps.metrics import Meter

TS = session_closes(30)
HOUR = 3_600_000_000_000


ONE = Release(1)


@dataclass
class World:
    """A recipe, its lake and a model."""

    recipe: object
    lake: Lake
    model: object

    @property
    def stores(self) -> Held:
        return holding(self.lake, self.model)

    def shard(self, symbols=None, **more) -> ComponentPredictor:
        return ComponentPredictor(self.recipe, symbols or self.recipe.universe.symbols, self.stores, **more)

    def state(self, *symbols: str) -> ShardState:
        return ShardState(self.recipe, self.stores, symbols, Meter("test"))

    def run(self, use, symbols=None, **more):
        """What the coroutine ``use(shard)`` returns; the shard's task ends with its loop."""

        async def main():
            return await use(self.shard(symbols, **more))

        return asyncio.run(main())


def world(home, **options) -> World:
    made = prepare(home, **({"components": 3} | options))
    recipe, lake = made.load(), Lake(made.lake)
    return World(recipe=recipe, lake=lake, model=artefact(recipe, lake))


@pytest.fixture(scope="module")
def still(tmp_path_factory) -> World:
    """One that no test changes."""
    return world(tmp_path_factory.mktemp("still"))


def posted(symbol: str, ts=TS, *, flat=False, last=None, seed=0) -> Posted:
    table = bars(symbol, ts, seed).drop_columns(["symbol"])
    return Posted(symbol=symbol, bars=table if last is None else table.slice(len(ts) - last), assume_flat_basket=flat)


# --- the newest closed bar -----------------------------------------------------------------------


def batch_features(made: World, symbol: str) -> dict[str, float]:
    recipe, lake = made.recipe, made.lake
    context = universe_context(recipe, lake, component_slices(recipe, lake))
    table = feature_table(recipe, lake.read(recipe.kind, symbol), symbol=symbol, market=context)
    return table.drop_columns(["ts_event"]).slice(table.num_rows - 1).to_pylist()[0]


def test_features_behind_a_prediction_are_those_of_the_batch_table_bit_for_bit(still):
    for symbol in still.recipe.universe.symbols:
        got = still.run(lambda shard, s=symbol: shard.explain(s, ONE))
        expected = batch_features(still, symbol)
        assert {n: v.hex() for n, v in got.features.items()} == {n: v.hex() for n, v in expected.items()}
        assert got.prediction.ts_event == TS[-1]


def test_a_shard_of_one_symbol_predicts_as_a_shard_of_all(still):
    everyone = still.run(lambda shard: shard.predict(still.recipe.universe.symbols, ONE)).given
    for symbol in still.recipe.universe.symbols:
        alone = still.run(lambda shard, s=symbol: shard.predict([s], ONE), symbols=[symbol]).given
        assert alone == {symbol: everyone[symbol]}


def test_the_prediction_is_the_models_on_those_features(still):
    got = still.run(lambda shard: shard.explain("S001", ONE))
    x = np.array([list(got.features.values())])
    assert got.prediction.probabilities == tuple(Predictor(still.model).predict(x)[0].tolist())


def test_answers_the_caller_holds_are_not_sent_again(still):
    async def twice(shard):
        first = await shard.predict(["S000"], ONE)
        return first, await shard.predict(["S000"], ONE, first.stamp), await shard.predict(["S000"], ONE, "another")

    first, second, third = still.run(twice)
    assert (second.stamp, second.given) == (first.stamp, None)
    assert third == first


def test_a_restarted_replica_knows_what_the_one_before_did(still):
    one, two = (still.run(lambda shard: shard.predict(still.recipe.universe.symbols, ONE)) for _ in range(2))
    assert one == two


def test_what_a_shard_does_not_hold_is_missing(still):
    given = still.run(lambda shard: shard.predict(["S000", "S002"], ONE), symbols=["S000", "S001"]).given
    assert given["S002"] == Absence(status="missing", reason="it belongs to another shard")


def test_symbols_without_bars_or_history_are_missing_by_name(tmp_path):
    made = world(tmp_path)
    lake, recipe = made.lake, made.recipe
    put_bars(lake, recipe, TS[-40:], ("S001",))
    entries = lake.entries(recipe.kind)
    lake.commit(recipe.kind, [e for s, e in entries.items() if s != "S002"], replace=True)
    given = made.run(lambda shard: shard.predict(recipe.universe.symbols, ONE)).given
    assert given["S000"].ts_event == TS[-1]
    assert given["S001"].reason == "its history has 40 bars and the features need 161"
    assert given["S002"].reason == "the lake has no bars of it; ingest them"


def test_a_replica_does_not_start_without_weights(tmp_path):
    made = world(tmp_path)
    empty = replace(made, lake=Lake(str(tmp_path / "empty")))
    with pytest.raises(NotInLake, match="weights"):
        empty.run(lambda shard: shard.health())


# --- the contract --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"definition": "0123abcd"}, r"feature definition is 0123abcd and the one served is [0-9a-f]{16}"),
        ({"classes": ("strong_buy", "buy", "hold", "sell", "strong_sell")}, "class order is strong_buy, buy"),
        ({"features": tuple(reversed(feature_set("hourly").outputs))}, "feature order"),
        ({"interval": "1d"}, "interval is 1d and the one served is 1h"),
        ({"symbols": ("S000",)}, "components is S000"),
        ({"overnight": "drop"}, "overnight is drop"),
    ],
)
def test_a_model_made_for_something_else_is_refused_with_both_sides(still, change, message):
    other = artefact(still.recipe, still.lake, **change)
    with pytest.raises(ModelError, match=message):
        replace(still, model=other).state("S000").predictor(ONE, "S000")


# --- following the lake --------------------------------------------------------------------------


def test_a_new_bar_is_answered_from_within_the_refresh_time(tmp_path):
    made = world(tmp_path, refresh_s=0.02)
    longer = session_closes(31)[: len(TS) + 1]

    async def use(shard):
        before = await shard.predict(["S000"], ONE)
        put_bars(made.lake, made.recipe, longer)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if (after := await shard.predict(["S000"], ONE, before.stamp)).given is not None:
                return before, after
        raise AssertionError("the shard does not follow the lake")

    before, after = made.run(use)
    assert before.given["S000"].ts_event == TS[-1]
    assert after.given["S000"].ts_event == longer[-1]
    assert after.stamp != before.stamp


def test_new_weights_change_the_basket_and_so_the_stamp(tmp_path):
    made = world(tmp_path)
    state = made.state("S000")
    before = state.view(state.version())
    put_weights(made.lake, made.recipe, {"S000": 0.8, "S001": 0.1, "S002": 0.1})
    after = state.view(state.version())
    assert before.stamp != after.stamp
    old, new = (state.predicted(view, ONE)["S000"].features for view in (before, after))
    assert old["basket_return"] != new["basket_return"]


def test_a_shard_starts_and_goes_on_while_the_lake_is_written_all_the_time(still, monkeypatch):
    writes = count()
    monkeypatch.setattr(ShardState, "version", lambda state: str(next(writes)))

    async def use(shard):
        before = await shard.predict(["S000"], ONE)
        await asyncio.to_thread(shard._view.refresh)
        return before, await shard.predict(["S000"], ONE, known=before.stamp)

    before, after = still.run(use)
    assert before.given["S000"] == after.given["S000"]
    assert before.stamp != after.stamp


# --- posted bars ---------------------------------------------------------------------------------


def answers(made: World, *requests: Posted, **more):
    return made.run(lambda shard: shard.predict_bars(requests, ONE), **more)


def test_the_lakes_own_bars_posted_give_the_served_answer(still):
    (got,) = answers(still, posted("S001", seed=1))
    assert got == still.run(lambda shard: shard.explain("S001", ONE))


def test_a_window_of_just_enough_bars_agrees_closely(still):
    (got,) = answers(still, posted("S001", last=161, seed=1))
    served = still.run(lambda shard: shard.explain("S001", ONE))
    assert got.prediction.ts_event == served.prediction.ts_event
    assert list(got.features.values()) == pytest.approx(list(served.features.values()), rel=1e-4, abs=1e-6)


def test_requests_are_answered_in_their_order_and_a_bad_one_stops_no_other(still):
    bad = replace(posted("S000"), bars=outside(5))
    first, second, third = answers(still, posted("S001", seed=1), bad, posted("S002", seed=2))
    assert isinstance(first, Explained)
    assert isinstance(second, Refused)
    assert third.prediction.symbol == "S002"


def outside(row: int) -> pa.Table:
    """Bars of which one closes half an hour after the session: the last of its day."""
    ts = TS.copy()
    last = row * 7 + 6
    ts[last] += HOUR // 2
    return bars("S000", ts, 0).drop_columns(["symbol"])


def test_a_bar_outside_the_session_is_refused_with_the_session(still):
    (got,) = answers(still, replace(posted("S000"), bars=outside(0)))
    assert got.field == ("bars", 6, "ts_event")
    assert got.message.startswith("is 2025-05-05T20:30:00Z: outside session; the session is 09:30 to 16:00")


def next_bars(n: int):
    return session_closes(32)[: len(TS) + n]


def test_a_time_without_basket_is_refused_with_both_ways_out(still):
    (got,) = answers(still, posted("S000", next_bars(1)))
    assert got.field == ("bars", len(TS), "ts_event")
    assert "basket_return, basket_volatility, relative_return need" in got.message
    assert 'ingest the components\' bars up to there, or send "assume_flat_basket": true' in got.message


def test_an_assumed_flat_basket_has_no_return_and_its_last_known_volatility(still):
    context = still.state("S000").view("x").context
    (got,) = answers(still, posted("S000", next_bars(2), flat=True))
    assert got.features["basket_return"] == 0.0
    assert got.features["basket_volatility"] == context.values[-1, 1]
    assert got.features["relative_return"] == got.features["log_return"]
    assert len(got.notes) == 1
    assert f"at 22 of {len(TS) + 2} bars" in got.notes[0]  # 20 of the basket's warm-up, and the two new ones


def test_a_flat_basket_is_not_assumed_where_it_is_known(still):
    one, two = answers(still, posted("S001", last=180, seed=1), posted("S001", last=180, seed=1, flat=True))
    assert one == two
    assert one.notes == ()


def test_a_basket_without_any_volatility_before_cannot_be_assumed(still):
    past = TS - 364 * 24 * HOUR
    (got,) = answers(still, posted("S000", past, flat=True))
    assert got.field == ("bars",)
    assert "nor does it know its volatility before" in got.message


@pytest.mark.parametrize(("clock", "closed"), [("wall", False), ("data", True)])
def test_a_bar_that_has_not_closed_is_refused_by_the_wall_clock(tmp_path, clock, closed):
    made = world(tmp_path, clock=clock)
    assert newest_time(made.state("S000").view("x").context) == TS[-1]
    (got,) = answers(made, posted("S000"), clock=lambda: int(TS[-1]) - 1)
    assert isinstance(got, Explained) is closed
    if not closed:
        assert got.field == ("bars", len(TS) - 1, "ts_event")
        assert "not closed yet" in got.message
