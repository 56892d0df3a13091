"""The signal at past bars is what the live one was then: same features, weights and rules, and nothing from later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from bellwether.errors import BadFeatures, DataError
from bellwether.signal import Absence, compose
from bellwether.signal_policy import SignalPolicy
from bellwether.signal_series import signal_series
from benchmarks.installation import artefact, prepare, put_bars, session_closes
from data.lake import Lake
from data.records import TIME
from data.weights.base import WEIGHTS
from data.weights.table import load_weights, weights_kind
from serve_apps.index.history import bar_json, past_signals
from serve_apps.index.index_bars import IndexBars, index_bars
from serve_apps.index.past import Past, tail
from serve_apps.index.releases import Release
from serve_apps.index.seen import Seen, seen
from serve_apps.index.shard_state import KEEP, ShardState
from serve_apps.index.universes import Basket
from serve_apps.metrics import Meter
from serve_apps.on_demand import OnDemand

TS = session_closes(30)
RELEASE = Release(1)


class World:
    """A recipe, its lake and a model; as `Stores` to a shard."""

    def __init__(self, home, **serving) -> None:
        made = prepare(home, **({"components": 3, "history_bars": 20} | serving))
        self.recipe, self.lake = made.load(), Lake(made.lake)
        self.symbols = self.recipe.universe.symbols
        self.basket = Basket(self.recipe.universe.name, self.symbols)
        self.policy = SignalPolicy.of(self.recipe, (0.5, -0.5))
        self.model = artefact(self.recipe, self.lake)
        self.opened = 0

    def open_lake(self):
        return self.lake

    def open_registry(self):
        return SimpleNamespace(load=lambda name, version: (version, self.model))

    def shard(self) -> ShardState:
        return ShardState(self.recipe, self, self.symbols, Meter("index_signal"))

    def live(self):
        """The signal now, as a shard predicts it and the ingress composes it."""
        shard = self.shard()
        found = shard.predicted(shard.view(shard.version()), RELEASE)
        answers = {s: n if isinstance(n, Absence) else n.prediction for s, n in found.items()}
        newest = max((a.ts_event for a in answers.values() if not isinstance(a, Absence)), default=0)
        weights = load_weights(self.lake, self.recipe.universe).at(newest, self.symbols)
        return compose(self.basket.name, self.symbols, weights, answers, self.policy)

    def past(self, bars=20, basket=None):
        given = asyncio.run(Past(self.shard()).answers(RELEASE)).given
        weights = load_weights(self.lake, self.recipe.universe)
        return list(past_signals(basket or self.basket, weights, given, self.policy, bars))

    def put_dated_weights(self, dated) -> None:
        rows = [(ts, s, w) for ts, weights in dated.items() for s, w in zip(self.symbols, weights, strict=True)]
        columns = dict(zip(("effective", "symbol", "weight"), map(list, zip(*rows, strict=True)), strict=True))
        columns["effective"] = pa.array(columns["effective"], pa.int64()).cast(TIME)
        kind = weights_kind(self.recipe.universe)
        self.lake.commit(kind, [self.lake.stage(kind, "weights", pa.table(columns, schema=WEIGHTS))])


def test_every_bar_of_the_history_is_what_the_live_signal_was_when_that_bar_was_the_newest(tmp_path):
    made = World(tmp_path)
    made.put_dated_weights({0: (0.2, 0.3, 0.5), int(TS[-6]): (0.6, 0.3, 0.1)})
    put_bars(made.lake, made.recipe, TS[:-4], ("S001",))  # stale from the second bar after
    history = made.past()
    assert [s.ts_event for s in history] == TS[-20:].tolist()
    assert history[-1] == made.live()
    assert {s.coverage for s in history[:-3]} == {1.0}
    assert [s.components[1].status for s in history[-4:]] == ["fresh", "stale", "stale", "stale"]
    for k in (2, 5, 6, 7):
        put_bars(made.lake, made.recipe, TS[:-k], ("S000", "S002"))
        put_bars(made.lake, made.recipe, TS[: -max(k, 4)], ("S001",))
        assert made.live() == history[-1 - k], k


def test_its_sums_are_those_of_the_scored_series(tmp_path):
    made = World(tmp_path)
    made.put_dated_weights({0: (0.2, 0.3, 0.5), int(TS[-6]): (0.6, 0.3, 0.1)})
    given = asyncio.run(Past(made.shard()).answers(RELEASE)).given
    ts = np.concatenate([given[s].ts for s in made.symbols])
    who = np.repeat(np.arange(3), [len(given[s].ts) for s in made.symbols])
    weights = load_weights(made.lake, made.recipe.universe).matrix(np.unique(ts), made.symbols)
    series = signal_series(ts, who, np.concatenate([given[s].probabilities for s in made.symbols]), weights)
    np.testing.assert_allclose([s.wss for s in made.past()], series.wss, atol=1e-12)
    np.testing.assert_allclose([s.wss_probability for s in made.past()], series.wss_probability, atol=1e-12)


def test_a_part_of_the_universe_has_its_own_history(tmp_path):
    made = World(tmp_path)
    signals = made.past(bars=5, basket=Basket("pair", ("S002", "S000")))
    assert len(signals) == 5
    assert [c.symbol for c in signals[0].components] == ["S002", "S000"]
    assert signals[0].components[0].share == pytest.approx(0.5)


def test_a_component_without_bars_is_missing_at_every_bar(tmp_path):
    made = World(tmp_path)
    entries = made.lake.entries(made.recipe.kind)
    made.lake.commit(made.recipe.kind, [e for s, e in entries.items() if s != "S002"], replace=True)
    history = made.past()
    assert {s.components[2].reason for s in history} == {"the lake has no bars of it; ingest them"}
    assert len(history) == 20


def test_a_component_that_comes_later_is_missing_before(tmp_path):
    made = World(tmp_path)
    put_bars(made.lake, made.recipe, TS[-163:], ("S001",))  # 160 of them are its warm-up
    parts = [s.components[1] for s in made.past()]
    assert [c.status for c in parts] == ["missing"] * 17 + ["fresh"] * 3
    assert parts[0].reason.startswith("no prediction of it is kept of 2025-06-")


def test_a_bar_that_cannot_be_predicted_from_is_missing_in_the_history_as_it_was_then(tmp_path):
    """A price that no rule forbids and no model can read; the bar before it must not speak for it."""
    made = World(tmp_path)
    table = made.lake.read(made.recipe.kind, "S001")
    for n, name in enumerate(("open", "high", "low", "close"), start=2):
        values = table[name].to_numpy().copy()
        values[-1] = 1e300
        table = table.set_column(n, table.schema.field(name), pa.array(values))
    made.lake.commit(made.recipe.kind, [made.lake.stage(made.recipe.kind, "S001", table)])
    history, live = made.past(), made.live()
    assert live.components[1].status == "missing"
    assert [s.components[1].status for s in history[-2:]] == ["fresh", "missing"]
    assert (history[-1].wss, history[-1].coverage) == (live.wss, live.coverage)


def test_without_any_component_there_is_no_history(tmp_path):
    made = World(tmp_path)
    away = dict.fromkeys(made.symbols, Absence(status="missing", reason="gone"))
    assert [*past_signals(made.basket, load_weights(made.lake, made.recipe.universe), away, made.policy, 9)] == []


# --- made when asked --------------------------------------------------------------------------------------------


def test_answers_the_caller_holds_are_not_sent_again_and_new_bars_are(tmp_path):
    made = World(tmp_path)

    async def use():
        past = Past(made.shard())
        first = await past.answers(RELEASE)
        again, other = await past.answers(RELEASE, first.stamp), await past.answers(Release(2), first.stamp)
        put_bars(made.lake, made.recipe, session_closes(31)[: len(TS) + 1])
        return first, again, other, await past.answers(RELEASE, first.stamp)

    first, again, other, later = asyncio.run(use())
    assert (again.stamp, again.given) == (first.stamp, None)
    assert other.stamp != first.stamp
    assert later.given["S000"].ts[-1] > first.given["S000"].ts[-1] == TS[-1]
    np.testing.assert_array_equal(later.given["S000"].ts[:-1], first.given["S000"].ts[1:])


def test_nothing_is_made_before_it_is_asked_for_and_many_who_ask_share_it():
    lake, made = {"version": "1"}, []

    async def use():
        value = OnDemand(lambda: lake["version"], lambda version: made.append(version) or version)
        assert made == []
        found = await asyncio.gather(*(value.get() for _ in range(5)), asyncio.create_task(value.get()))
        lake["version"] = "2"
        return [*found, await value.get(), await value.get()]

    assert asyncio.run(use()) == ["1"] * 6 + ["2"] * 2
    assert made == ["1", "2"]


def test_a_making_that_fails_is_tried_again_by_the_next_who_asks():
    fails = [DataError("torn")]

    def make(version):
        if fails:
            raise fails.pop()
        return version

    async def use():
        value = OnDemand(lambda: "v", make)
        with pytest.raises(DataError, match="torn"):
            await value.get()
        return await value.get()

    assert asyncio.run(use()) == "v"


# --- rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lookback", [1, 5, KEEP])
@pytest.mark.parametrize("rows", [1, 30, 500])
def test_the_tail_is_enough_for_models_that_look_back(lookback, rows):
    rng = np.random.default_rng(0)
    ts, x = np.arange(200) * 10, rng.normal(size=(200, 2))
    x[:20] = np.nan
    x[rng.random(200) < 0.1, 1] = np.nan

    def shown(window):
        return window.sum(), len(window)

    whole = seen(ts, x, shown, first=max(200 - rows, 20), lookback=lookback)
    kept = tail(ts, x, warmup=20, rows=rows)
    found = seen(kept.ts, kept.x, shown, first=kept.first, lookback=lookback)
    np.testing.assert_array_equal(found.ts, whole.ts)
    np.testing.assert_array_equal(found.probabilities, whole.probabilities)
    assert len(kept.ts) <= rows + 2 * KEEP


def test_a_history_shorter_than_the_warm_up_has_no_predictions():
    kept = tail(np.arange(5), np.full((5, 1), np.nan), warmup=20, rows=10)
    found = seen(kept.ts, kept.x, lambda w: (0.0,), first=kept.first, lookback=1)
    assert len(found.ts) == 0
    assert found.at("A", 100) is None


# --- beside the index -------------------------------------------------------------------------------------------


def test_the_index_is_shown_where_it_has_a_bar_and_its_next_move_where_that_is_known(tmp_path):
    made = World(tmp_path)
    index = IndexBars(ts=TS[-3:-1], close=np.array([100.0, 102.0]), following=np.array([0.02, np.nan]))
    first, second, third = (bar_json(s, index, int(TS[-3])) for s in made.past(3))
    assert (first["index_close"], first["index_return"], first["in_training"]) == (100.0, 0.02, True)
    assert (second["index_close"], second["index_return"], second["in_training"]) == (102.0, None, False)
    assert (third["index_close"], third["index_return"]) == (None, None)


def test_without_bars_of_the_index_nothing_is_known_of_it(tmp_path):
    made = World(tmp_path)
    assert index_bars(made.recipe, made.lake).at(int(TS[-1])) == (None, None)
    table = made.lake.read(made.recipe.kind, "S000")
    named = table.set_column(0, "symbol", pa.array(["X"] * table.num_rows))
    made.lake.commit(made.recipe.kind, [made.lake.stage(made.recipe.kind, "X", named)])
    found, close = index_bars(made.recipe, made.lake), table["close"].to_numpy()
    assert found.at(int(TS[-2])) == (close[-2], close[-1] / close[-2] - 1.0)
    assert found.at(int(TS[-1])) == (close[-1], None)


def test_a_bar_whose_features_are_not_known_has_no_prediction_and_no_older_one_either():
    def picky(window):
        if window[0] == 3.0:
            raise BadFeatures("no model reads this")
        return (0.5, 0.5)

    x = np.array([[1.0], [np.nan], [3.0], [4.0]])
    found = seen(np.arange(4), x, picky, first=0, lookback=1)
    assert [found.at("A", ts) is None for ts in range(4)] == [False, True, True, False]


def test_the_newest_prediction_by_a_time_is_taken():
    kept = Seen(ts=np.array([10, 20]), probabilities=np.array([[0.1, 0.9], [0.6, 0.4]]))
    assert kept.at("A", 20).ts_event == kept.at("A", 99).ts_event == 20
    assert replace(kept.at("A", 19), symbol="B") == kept.at("B", 10)
