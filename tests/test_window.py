"""A model that looks back is served the rows it was trained on: from the lake, from a request, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bellwether.actions import ACTIONS
from bellwether.config.recipe import Recipe
from bellwether.errors import ModelError
from bellwether.models import family
from bellwether.models.artefact import Artefact
from bellwether.models.base import Reads
from bellwether.models.predictor import Predictor
from bellwether.models.training import plain
from bellwether.signal import Absence
from benchmarks.in_process import holding
from benchmarks.installation import artefact, bars, prepare, put_bars, session_closes
from data.features.market import component_features
from data.features.tables import component_slices, universe_context
from data.inputs import inputs
from data.lake import Lake
from data.panel import Panel
from serve_apps.index.component_predictor import ComponentPredictor, Explained
from serve_apps.index.posted import Posted, Refused
from serve_apps.index.releases import Release
from serve_apps.index.shard_state import KEEP, ShardState
from serve_apps.metrics import Meter
from serve_apps.models.checks import check_contract
from serve_apps.window import window

TS = session_closes(30)
ONE = Release(1)
BACK = 3
WARMUP = 160


def looking_back(recipe: Recipe, lake: Lake, lookback: int = BACK) -> Artefact:
    """A model of several rows at once: any that answers differently where any of them differs."""
    one = artefact(recipe, lake)
    width, rng = len(one.contract.features), np.random.default_rng(1)
    x = rng.normal(size=(400, width * lookback))
    y = rng.integers(0, len(ACTIONS), len(x))
    rows = plain(x, y, classes=len(ACTIONS), lookback=lookback)
    graph = family("logistic").train(rows, {"C": 1.0, "balanced": True}).graph()
    changes = {"lookback": lookback, "sha256": hashlib.sha256(graph).hexdigest()}
    return Artefact(content=graph, contract=one.contract.model_copy(update=changes))


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> tuple[Recipe, Lake, Artefact]:
    """Three components of thirty sessions, which no test changes."""
    made = prepare(tmp_path_factory.mktemp("served"), components=3)
    recipe, lake = made.load(), Lake(made.lake)
    return recipe, lake, looking_back(recipe, lake)


def features(recipe: Recipe, lake: Lake, symbol: str, state: ShardState) -> np.ndarray:
    context = universe_context(recipe, lake, component_slices(recipe, lake))
    return component_features(state.features, lake.read(recipe.kind, symbol), recipe.session, context)


def posted(symbol: str, last: int) -> Posted:
    table = bars(symbol, TS, int(symbol[1:])).drop_columns(["symbol"])
    return Posted(symbol=symbol, bars=table.slice(len(TS) - last), assume_flat_basket=False)


def answers(world: tuple[Recipe, Lake, Artefact], *requests: Posted) -> list[Explained | Refused]:
    recipe, lake, model = world

    async def main():
        shard = ComponentPredictor(recipe, recipe.universe.symbols, holding(lake, model))
        return await shard.predict_bars(requests, ONE)

    return asyncio.run(main())


def state_of(world: tuple[Recipe, Lake, Artefact], *symbols: str) -> ShardState:
    recipe, lake, model = world
    return ShardState(recipe, holding(lake, model), symbols or recipe.universe.symbols, Meter("test"))


def newest_of(state: ShardState):
    return state.predicted(state.view("x"), ONE)


# --- the window -----------------------------------------------------------------------------------------------------

TABLES = arrays(
    np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.sampled_from([np.nan, -1.0, 0.5, 2.0])
)


@given(TABLES, st.integers(2, 4))
def test_what_is_served_is_what_was_trained_on(x, lookback):
    """Rows with a feature that is not known are in no training row, and so in no window."""
    kept = np.flatnonzero(np.isfinite(x).all(axis=1))
    seen = window(x, lookback)
    if len(kept) < lookback:
        assert seen is None
        return
    ts = kept.astype(np.int64)
    panel = Panel(
        x=x[kept],
        outcome=np.zeros(len(kept)),
        value=np.ones(len(kept)),
        ts=ts,
        t1=ts + 1,
        who=np.zeros(len(kept), np.int64),
        symbols=("A",),
        features=("a", "b"),
        definition="test",
        warmup=0,
    )
    newest = np.array([len(kept) - 1])
    trained = inputs(panel, level=False).read(family("mlp"), {"lookback": lookback}, newest)
    np.testing.assert_array_equal(seen, trained[0])


def test_one_row_is_a_window_of_one():
    assert window(np.array([[np.nan, 1.0], [2.0, 3.0]]), 1).tolist() == [2.0, 3.0]
    assert window(np.full((4, 2), np.nan), 1) is None


# --- from the lake --------------------------------------------------------------------------------------------------


def test_the_newest_prediction_is_the_models_on_its_last_rows(served):
    recipe, lake, model = served
    state = state_of(served)
    for symbol, newest in newest_of(state).items():
        last = features(recipe, lake, symbol, state)[-BACK:]
        expected = Predictor(model).predict(last.reshape(1, -1))[0]
        assert newest.prediction.probabilities == tuple(expected.tolist())
        assert list(newest.features.values()) == last[-1].tolist()


def test_a_history_too_short_for_the_window_is_missing_with_the_reason(tmp_path: Path):
    made = prepare(tmp_path, components=3)
    recipe, lake = made.load(), Lake(made.lake)
    model = looking_back(recipe, lake)
    put_bars(lake, recipe, TS[-(WARMUP + BACK - 1) :], ("S000",))
    put_bars(lake, recipe, TS[-(WARMUP + BACK + 20) :], ("S001",))
    newest = newest_of(state_of((recipe, lake, model)))
    reason = "the model looks at 3 bars whose features are known"
    assert newest["S000"] == Absence(status="missing", reason=reason)
    assert not isinstance(newest["S001"], Absence)


# --- from a request -------------------------------------------------------------------------------------------------


def test_the_lakes_own_bars_posted_give_the_served_answer(served):
    (got,) = answers(served, posted("S001", len(TS)))
    newest = newest_of(state_of(served, "S001"))["S001"]
    assert got.prediction == newest.prediction
    assert got.features == newest.features


def test_just_enough_bars_are_enough_and_one_fewer_is_refused_with_the_reason(served):
    enough, short = answers(served, posted("S001", WARMUP + BACK), posted("S001", WARMUP + BACK - 1))
    assert isinstance(enough, Explained)
    assert short == Refused(
        field=("bars",), message="the model looks at 3 bars whose features are known; send a longer history"
    )


def test_every_row_of_the_window_counts(served):
    """Another bar three bars ago is another answer, though the newest features are almost the same."""
    request = posted("S001", len(TS))
    close = request.bars["high"].to_numpy().copy()
    close[-BACK] *= 1.2
    place = request.bars.schema.get_field_index("high")
    changed = replace(request, bars=request.bars.set_column(place, "high", [close]))
    one, other = answers(served, request, changed)
    assert one.prediction.probabilities != other.prediction.probabilities


# --- what cannot be served ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", [Reads.OUTCOMES, Reads.LABELS, Reads.PRICES])
def test_a_model_that_reads_more_than_features_is_refused(served, reads):
    recipe, lake, model = served
    other = replace(model, contract=model.contract.model_copy(update={"reads": reads.value}))
    with pytest.raises(ModelError, match=f"columns is {reads.value} and the one served is features"):
        state_of((recipe, lake, other)).predictor(ONE, "S000")


def test_a_model_that_looks_further_back_than_a_shard_remembers_is_refused(served):
    recipe, lake, model = served
    other = replace(model, contract=model.contract.model_copy(update={"lookback": KEEP + 1}))
    with pytest.raises(ModelError, match=f"looks at {KEEP + 1} bars; a shard remembers {KEEP} of each symbol"):
        state_of((recipe, lake, other)).predictor(ONE, "S000")


def test_a_window_over_nights_that_training_left_out_is_refused(served):
    """Where rows before a night are no training rows, the row before a morning was the second last of the evening."""
    recipe, _, model = served
    dropping = recipe.model_copy(update={"target": recipe.target.model_copy(update={"overnight": "drop"})})
    contract = model.contract.model_copy(update={"overnight": "drop"})
    state = state_of(served)
    with pytest.raises(ModelError, match="lookback is 3 and the one served is 1"):
        check_contract(contract, dropping, state.features)
    check_contract(contract.model_copy(update={"lookback": 1}), dropping, state.features)
