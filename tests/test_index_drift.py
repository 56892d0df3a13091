"""GET /drift: what the features of the last bars are held against, from the counts of all shards, or why nothing is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from ray.exceptions import RayError

from bellwether.config.sections import Serving
from bellwether.drift import restored
from benchmarks.in_process import App
from benchmarks.installation import artefact, put_bars, session_closes
from benchmarks.page_app import reference
from data.features import features_of
from data.features.market import component_features
from data.features.tables import component_slices, universe_context
from data.wall import times
from serve_apps.index.drift import judged
from serve_apps.index.more_answers import DriftAnswer

BARS = 30
TS = session_closes(30)


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> dict:
    return reference(tmp_path_factory.mktemp("reference"), BARS)


def served(home, drift: dict, count=2, history_bars: int = BARS, **changes) -> App:
    """An app of a model that was trained on what ``drift`` is the reference of."""
    made = App(home, count=count, history_bars=history_bars)
    object.__setattr__(made.stores, "artefact", artefact(made.recipe, made.lake, drift=drift, **changes))
    return made


@pytest.fixture(scope="module")
def app(tmp_path_factory, state) -> App:
    """One whose lake no test changes."""
    return served(tmp_path_factory.mktemp("app"), state)


def drifted(made: App) -> dict:
    reply = made.get("/drift")
    assert reply.status_code == 200, reply.text
    DriftAnswer.model_validate(reply.json())
    return reply.json()


def newest(made: App, bars: int = BARS) -> np.ndarray:
    """Features of the last bars of all components, straight from the lake."""
    recipe, lake = made.recipe, made.lake
    fs, context = features_of(recipe.features), universe_context(recipe, lake, component_slices(recipe, lake))
    parts = []
    for symbol in made.symbols:
        table = lake.read(recipe.kind, symbol)
        x = component_features(fs, table, recipe.session, context)
        parts.append(x[times(table) >= context.ts[-bars]])
    return np.concatenate(parts)


def wilder(made: App, by: float) -> None:
    """Let the moves of the last bars be so many times as large."""
    for k, symbol in enumerate(made.symbols):
        table = made.lake.read(made.recipe.kind, symbol)
        for name in ("open", "high", "low", "close"):
            before, values = table["close"][-BARS - 1].as_py(), table[name].to_numpy().copy()
            values[-BARS:] = before * (values[-BARS:] / before) ** by
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), pa.array(values))
        made.lake.commit(made.recipe.kind, [made.lake.stage(made.recipe.kind, made.symbols[k], table)])


# --- what it says --------------------------------------------------------------------------------


def test_it_says_of_the_last_bars_what_the_detector_says_of_their_features(app, state):
    found, detector = drifted(app), restored(state)
    wanted = detector.judge(detector.tally(newest(app)))
    assert (found["psi"], found["usual"]) == (wanted.score, wanted.usual)
    assert [(f["name"], f["psi"], f["usual"]) for f in found["features"]] == [
        (part.name, part.score, part.usual) for part in wanted.parts
    ]
    assert (found["state"], found["reason"]) == ("usual", None)
    assert (found["bars"], found["rows"], found["in_training"]) == (BARS, BARS * 5, 0)
    assert (found["from"], found["to"]) == ("2025-06-09T19:30:00Z", "2025-06-13T20:00:00Z")
    assert (found["level"], found["windows"], found["chance"]) == (0.05, detector.windows, detector.chance)
    assert found["model"] == {"name": "bench", "version": 7, "alias": "Production"}


@pytest.mark.parametrize("count", [1, 5])
def test_it_says_the_same_however_components_are_cut_into_shards(app, state, tmp_path, count):
    assert drifted(served(tmp_path, state, count=count)) == drifted(app)


def test_moves_three_times_as_large_are_heard_and_the_features_that_tell_are_named(tmp_path, state):
    made = served(tmp_path, state)
    wilder(made, 3.0)
    found = drifted(made)
    assert found["state"] == "moved"
    assert found["psi"] > found["usual"]
    moved = {f["name"] for f in found["features"] if f["moved"]}
    assert {"range", "log_return"} <= moved
    assert "hour" not in moved


def test_rows_that_the_model_may_have_been_fitted_on_are_counted(tmp_path, state):
    end = datetime.fromtimestamp(TS[-11] / 1e9, tz=UTC)
    found = drifted(served(tmp_path, state, train_end=end))
    assert (found["rows"], found["in_training"]) == (150, 20 * 5)


def test_a_component_of_fewer_bars_has_its_rows_of_the_same_window(tmp_path, state):
    """A window is of the universe's timestamps: older bars of one that is late do not stand in for newer ones."""
    made = served(tmp_path, state)
    put_bars(made.lake, made.recipe, TS[:-7], ("S001",))
    found = drifted(made)
    assert found["rows"] == BARS * 5 - 7
    assert found["from"] == "2025-06-09T19:30:00Z"


# --- where nothing is known ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drift", "reason"), [({}, "states no reference"), ({"reason": "it reads prices"}, "it reads prices")]
)
def test_a_model_without_a_reference_says_why(tmp_path, drift, reason):
    found = drifted(served(tmp_path, drift))
    assert (found["state"], found["psi"], found["usual"], found["features"]) == ("unknown", None, None, [])
    assert reason in found["reason"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state | {"detector": "of later"}, "no drift detector 'of later'"),
        (lambda state: {key: value for key, value in state.items() if key != "bars"}, "damaged"),
        (lambda state: state | {"features": dict(sorted(state["features"].items()))}, "in another order"),
        (lambda state: state | {"features": dict([*state["features"].items()][1:])}, "of other features"),
    ],
)
def test_a_reference_that_cannot_be_used_costs_the_figures_and_not_the_signal(tmp_path, state, change, reason):
    made = served(tmp_path, change(state))
    found = drifted(made)
    assert (found["state"], found["psi"]) == ("unknown", None)
    assert reason in found["reason"]
    assert made.get("/signal/index").json()["coverage"] == 1.0


def test_a_window_with_too_few_rows_is_unknown_and_says_how_many(tmp_path, state):
    made = served(tmp_path, state)
    entries = made.lake.entries(made.recipe.kind)
    made.lake.commit(made.recipe.kind, [e for s, e in entries.items() if s not in ("S001", "S002")], replace=True)
    found = drifted(made)
    assert (found["state"], found["rows"], found["bars"], found["psi"]) == ("unknown", 90, BARS, None)
    assert found["reason"].startswith("the window has 90 rows")


def test_without_any_bars_it_is_unknown(tmp_path, state):
    made = served(tmp_path, state)
    put_bars(made.lake, made.recipe, TS[:100])  # shorter than the warm-up
    found = drifted(made)
    assert (found["state"], found["rows"], found["from"], found["to"]) == ("unknown", 0, None, None)


def test_a_reference_of_windows_that_are_longer_than_what_is_kept_is_unknown(tmp_path, state):
    found = drifted(served(tmp_path, state, history_bars=BARS - 1))
    assert found["reason"] == "the reference has windows of 30 bars, and 29 are kept (serving.history_bars)"


def test_without_a_shard_there_is_none_and_then_there_is(app):
    async def conversation(client):
        app.handles[1].error = RayError("the actor died")
        away = await client.get("/drift")
        app.handles[1].error = None
        return away, await client.get("/drift")

    away, back = app.use(conversation)
    assert (away.status_code, back.status_code) == (503, 200)
    assert "shard 1 failed" in away.json()["detail"]


# --- made when asked -----------------------------------------------------------------------------


def test_rows_are_counted_once_and_again_after_a_new_bar(tmp_path, state):
    made = served(tmp_path, state)

    async def conversation(client):
        before = (await client.get("/drift")).json()
        kept = [await handle.shard.drift(made.ingress._now().releases.answering) for handle in made.handles]
        again = (await client.get("/drift")).json()
        same = [await handle.shard.drift(made.ingress._now().releases.answering) for handle in made.handles]
        put_bars(made.lake, made.recipe, session_closes(31)[: len(TS) + 1])
        return before, again, kept, same, (await client.get("/drift")).json()

    before, again, kept, same, after = made.use(conversation)
    assert before == again
    assert [one is other for one, other in zip(kept, same, strict=True)] == [True, True]
    assert (before["to"], after["to"]) == ("2025-06-13T20:00:00Z", "2025-06-16T14:30:00Z")
    assert after["rows"] == before["rows"]


def test_the_gauge_says_how_many_times_the_usual_it_is(app):
    heard = []

    async def conversation(client):
        app.ingress._about._drift._meter.drift = heard.append
        return (await client.get("/drift")).json()

    found = app.use(conversation)
    assert heard == [found["psi"] / found["usual"]]


def test_the_gauge_forgets_what_is_not_known_any_more(app, tmp_path):
    heard, without = [], served(tmp_path, {})

    async def unknown(client):
        without.ingress._about._drift._meter.drift = heard.append
        return await client.get("/drift")

    async def away(client):
        app.handles[1].error = RayError("the actor died")
        app.ingress._about._drift._meter.drift = heard.append
        reply = await client.get("/drift")
        app.handles[1].error = None
        return reply

    assert [without.use(unknown).status_code, app.use(away).status_code] == [200, 503]
    assert np.isnan(heard).tolist() == [True, True]


# --- measured though nobody asks -----------------------------------------------------------------


class Heard(list):
    """What the gauge is set to; ``await`` it to have so many values."""

    def __init__(self, made: App) -> None:
        super().__init__()
        made.ingress._about._drift._meter.drift = self.append

    async def reach(self, count: int) -> None:
        while len(self) < count:
            await asyncio.sleep(0.001)


def unasked(monkeypatch, made: App, conversation) -> object:
    """What a conversation returns with an app that measures all the time."""
    monkeypatch.setattr("serve_apps.index.drift.EVERY_S", 0.001)
    return made.use(lambda client: asyncio.wait_for(conversation(client, Heard(made)), 30))


def told(found: dict) -> float:
    """What the gauge is to say of an answer."""
    return found["psi"] / found["usual"]


def calls(made: App) -> int:
    return sum(len(handle.calls) for handle in made.handles)


def test_the_gauge_is_set_without_a_visitor_to_what_one_is_told(app, monkeypatch):
    async def conversation(client, heard):
        await heard.reach(3)
        return set(heard), told((await client.get("/drift")).json())

    heard, found = unasked(monkeypatch, app, conversation)
    assert heard == {found}


def test_a_new_bar_is_measured_and_until_then_nothing_is_judged_again(tmp_path, state, monkeypatch):
    made, judgings = served(tmp_path, state), []
    monkeypatch.setattr("serve_apps.index.drift.judged", lambda *given: judgings.append(1) or judged(*given))

    async def conversation(client, heard):
        await heard.reach(5)
        before = len(judgings)
        put_bars(made.lake, made.recipe, session_closes(31)[: len(TS) + 1])
        while heard[-1] == heard[0] or heard[-1] != told((await client.get("/drift")).json()):
            await asyncio.sleep(0.001)
        return before

    assert unasked(monkeypatch, made, conversation) == 1


def test_measurements_follow_one_another_however_long_one_takes(app, monkeypatch):
    under_way = []

    async def slow(release):
        under_way.append("begun")
        await asyncio.sleep(0.02)  # of 20 intervals
        under_way.append("over")
        return await counted(release)

    async def conversation(client, heard):
        nonlocal counted
        counted, app.handles[0].shard.drift = app.handles[0].shard.drift, slow
        await heard.reach(len(heard) + 4)

    counted = None
    unasked(monkeypatch, app, conversation)
    assert under_way[:6] == ["begun", "over"] * 3


def test_where_the_version_has_no_reference_no_shard_is_asked(tmp_path, monkeypatch):
    made = served(tmp_path, {"reason": "it reads prices"})

    async def conversation(client, heard):
        await heard.reach(5)
        return calls(made), list(heard)

    asked, heard = unasked(monkeypatch, made, conversation)
    assert asked == 0
    assert np.isnan(heard).all()


def test_a_measurement_that_fails_leaves_a_gap_and_the_next_is_made(app, monkeypatch, caplog):
    async def conversation(client, heard):
        await heard.reach(1)
        app.handles[0].error = RuntimeError("of a kind that nobody expects")
        while not np.isnan(heard[-1]):
            await asyncio.sleep(0.001)
        app.handles[0].error = None
        while np.isnan(heard[-1]):
            await asyncio.sleep(0.001)
        return heard[0] == heard[-1]

    assert unasked(monkeypatch, app, conversation)
    assert "of a kind that nobody expects" in caplog.text


def test_until_a_version_answers_nothing_is_measured(app, monkeypatch):
    monkeypatch.setattr("serve_apps.index.drift.EVERY_S", 0.001)

    async def conversation(client):
        app.ingress._measuring.cancel()
        heard, looks = Heard(app), [None, None, app.ingress._now()]
        task = asyncio.create_task(app.ingress._about.follow_drift(lambda: looks.pop(0) if looks[1:] else looks[0]))
        await asyncio.wait_for(heard.reach(1), 30)
        task.cancel()
        return len(looks), len(heard)

    assert app.use(conversation) == (1, 1)


def test_it_ends_with_the_replica(app, monkeypatch):
    async def conversation(client, heard):
        await heard.reach(1)
        app.ingress.__del__()  # as Serve calls it
        await asyncio.wait({app.ingress._measuring})
        return app.ingress._measuring.cancelled()

    assert unasked(monkeypatch, app, conversation)


def test_a_recipe_keeps_as_many_bars_as_drift_is_measured_on():
    assert [Serving(**given).drift_window for given in ({}, {"history_bars": 9}, {"drift_bars": 70})] == [50, 9, 70]
    with pytest.raises(ValueError, match=r"drift_bars \(40\) must be at most history_bars \(30\)"):
        Serving(drift_bars=40, history_bars=30)
