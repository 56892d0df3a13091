"""Prices ahead over HTTP: from rows like those of training, at times that are really ahead, or not at all."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from bellwether.errors import ConfigError, ModelError
from bellwether.models import family
from bellwether.models.base import Reads
from bellwether.models.predictor import Predictor
from benchmarks.book_in_process import DIRECTION, FORECAST, Books
from benchmarks.books import MINUTE, bodies, books, grid, put
from data.features import features_of
from data.features.market import features_kind
from data.inputs import inputs
from data.panel import load_panel
from serve_apps.book.answers import ForecastAnswer
from serve_apps.book.checks import check_model, check_recipe
from serve_apps.book.forecast import Forecast, check_forecast
from serve_apps.book.history import scan
from serve_apps.book.live import live
from serve_apps.models.routes import Route

TS = grid(4)
WARMUP = 23
STEPS = {**FORECAST, "name": "steps", "target": FORECAST["target"] | {"options": {"steps": 3}}}
KEEP = {**FORECAST, "name": "keeps", "target": {"kind": "mid_price", "horizon": 1}}
FIVE = 5 * MINUTE


@pytest.fixture(scope="module")
def ahead(tmp_path_factory) -> Books:
    """One step ahead, nights left out; version 2 looks at six rows."""
    made = Books(tmp_path_factory.mktemp("ahead"), FORECAST)
    made.put(TS[:-5])
    made.fit("ridge", {"alpha": 1.0})
    made.fit("ridge", {"alpha": 1.0, "lookback": 6})
    return made


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> Books:
    """Three steps ahead, from windows of four rows."""
    made = Books(tmp_path_factory.mktemp("steps"), STEPS)
    made.put(TS[:-5])
    made.fit("ridge", {"alpha": 1.0, "lookback": 4})
    return made


@pytest.fixture(scope="module")
def keeps(tmp_path_factory) -> Books:
    """Nights are steps like any other; the last outcome is read, and twenty of them."""
    made = Books(tmp_path_factory.mktemp("keeps"), KEEP)
    made.put(TS)
    made.fit("last_return", {})
    made.fit("last_return", {"lookback": 1})
    return made


@pytest.fixture(scope="module", params=[FORECAST, STEPS, KEEP], ids=lambda description: description["name"])
def every_kind(request, tmp_path_factory) -> Books:
    """Each of the three, with all four sessions."""
    made = Books(tmp_path_factory.mktemp("every"), request.param)
    made.put(TS)
    made.fit("ridge", {"alpha": 1.0})
    return made


def window(made: Books, rows: int = len(TS) - 5, symbol: str = "A") -> list[dict]:
    return bodies(books(symbol, TS[:rows], made.recipe.universe.symbols.index(symbol)))


# --- what a model is shown ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "lookback"), [("ridge", 1), ("ridge", 6), ("ewma", 20), ("persistence", 1)])
def test_at_every_row_a_model_is_shown_what_training_shows_it(every_kind, name, lookback):
    made = every_kind
    recipe, features, kind = made.recipe, features_of(made.recipe.features), family(name)
    panel, contract = load_panel(recipe, made.lake), made.models[1].contract
    contract = contract.model_copy(update={"reads": kind.reads.value, "lookback": lookback})
    of_training, table = inputs(panel, True), books("B", TS, 1)
    row_of = {int(ts): k for k, (ts, who) in enumerate(zip(panel.ts, panel.who, strict=True)) if who == 1}
    seen = 0
    for last in range(WARMUP + 4 * lookback, len(TS), 7):
        if (row := row_of.get(int(TS[last]))) is None:
            continue
        newest = live(recipe, features, "B", scan(recipe, "B", table.slice(0, last + 1), features.start()))
        trained = of_training.read(kind, {"lookback": lookback}, np.array([row]))[0]
        np.testing.assert_array_equal(newest.seen(contract), trained)
        seen += 1
    assert seen > 20


def test_the_features_served_are_those_of_the_feature_table(ahead):
    answer = ahead.get(Forecast, "/predict/B").json()
    table = ahead.lake.read(features_kind(ahead.recipe), "B/2025-05-08")
    assert list(answer["features"]) == table.column_names[1:]
    assert list(answer["features"].values()) == [table[name][-1].as_py() for name in table.column_names[1:]]


def test_the_forecast_at_a_stored_row_is_what_the_model_said_of_it_in_training(tmp_path):
    made = Books(tmp_path, STEPS)
    made.put(TS)
    made.fit("ridge", {"alpha": 1.0, "lookback": 4})
    panel, model = load_panel(made.recipe, made.lake), Predictor(made.models[1])
    row = int(np.flatnonzero((panel.ts == TS[-20]) & (panel.who == 0))[0])
    x = inputs(panel, True).read(family("ridge"), {"lookback": 4}, np.array([row]))
    expected = (panel.value[row] + model.predict(x)[0].astype(float)).tolist()
    put(made.lake, made.recipe, books("A", TS[:-19], 0))
    answer = made.get(Forecast, "/predict/A").json()
    assert [step["price"] for step in answer["steps"]] == expected
    assert answer["last"] == {"ts_event": "2025-05-08T18:25:00Z", "mid": panel.value[row]}


# --- the answer -----------------------------------------------------------------------------------------------------


def test_every_step_is_ahead_of_the_last_known_row_and_of_the_step_before(steps):
    answer = ForecastAnswer.model_validate_json(steps.get(Forecast, "/predict/A").content)
    times = [pd.Timestamp(t).value for t in (answer.last.ts_event, *(s.ts_event for s in answer.steps))]
    assert times[0] == TS[-6]
    assert [later - before for before, later in pairwise(times)] == [FIVE] * 3
    assert [s.step for s in answer.steps] == [1, 2, 3]
    assert len({s.price for s in answer.steps}) == 3
    assert {s.no_change for s in answer.steps} == {answer.last.mid}
    assert answer.reason is None


def test_intervals_hold_the_price_and_widen_with_the_step(steps):
    answer = steps.get(Forecast, "/predict/A").json()
    radii = [state["radius"] for state in steps.models[1].contract.conformal["steps"]]
    assert answer["coverage"] == 0.9
    for step, radius in zip(answer["steps"], radii, strict=True):
        assert step["lower"] < step["price"] < step["upper"]
        assert step["upper"] - step["lower"] == pytest.approx(2 * radius)
    assert radii == sorted(radii)


def test_a_model_that_did_not_pass_its_gate_says_so(tmp_path, ahead):
    made = Books(tmp_path, FORECAST)
    made.put(TS[:-5])
    made.fit("ridge", {"alpha": 1.0}, verdict={"passed": False, "reason": "no lift"})
    assert ahead.get(Forecast, "/predict/A").json()["notes"] == []
    assert made.get(Forecast, "/predict/A").json()["notes"] == [
        "the model did not pass its gate: it was not shown to be better than its baselines"
    ]


def test_a_model_that_promises_no_interval_gives_none(tmp_path):
    made = Books(tmp_path, FORECAST)
    made.put(TS[:-5])
    made.fit("ridge", {"alpha": 1.0}, conformal={})
    answer = made.get(Forecast, "/predict/A").json()
    assert (answer["coverage"], answer["steps"][0]["lower"], answer["steps"][0]["upper"]) == (None, None, None)


@pytest.mark.parametrize(("left", "given"), [(3, 3), (2, 2), (1, 1), (0, 0)])
def test_steps_beyond_the_session_are_left_out_with_the_reason(steps, left, given):
    rows = window(steps, len(TS) - 5)[: len(TS) - 78 - left]  # up to so many rows before a close
    answer = steps.post(Forecast, "/predict", {"snapshots": rows}).json()
    assert [s["step"] for s in answer["steps"]] == list(range(1, given + 1))
    if given < 3:
        assert answer["reason"].startswith(f"step {given + 1} would be due at 2025-05-08T13:")
        assert "in another session" in answer["reason"]


def test_where_nights_count_the_next_step_is_the_next_mornings(keeps):
    answer = keeps.get(Forecast, "/predict/A").json()
    assert answer["last"]["ts_event"] == "2025-05-08T20:00:00Z"
    assert [s["ts_event"] for s in answer["steps"]] == ["2025-05-09T13:35:00Z"]


def test_fewer_steps_may_be_asked_for_and_more_are_refused(steps):
    async def conversation(client, app):
        return [await client.get("/predict/A", params={"steps": n}) for n in (2, 4, 0)]

    two, four, none = steps.use(Forecast, conversation)
    assert [s["step"] for s in two.json()["steps"]] == [1, 2]
    assert (four.status_code, none.status_code) == (422, 422)
    assert "4 steps: the model forecasts 3" in four.json()["detail"]


def test_an_unknown_symbol_is_a_404_with_the_known_ones(ahead):
    reply = ahead.get(Forecast, "/predict/Z")
    assert (reply.status_code, reply.json()["known"]) == (404, ["A", "B"])


# --- the state follows the lake -------------------------------------------------------------------------------------


def test_a_new_snapshot_reaches_the_forecast(tmp_path):
    made = Books(tmp_path, FORECAST)
    made.put(TS[:-5])
    made.fit("ridge", {"alpha": 1.0})
    whole = books("A", TS[:-3], 0)

    async def conversation(client, app):
        before = (await client.get("/predict/A")).json()
        put(made.lake, made.recipe, whole.slice(len(TS) - 5), append=True)
        for _ in range(300):
            after = (await client.get("/predict/A")).json()
            if after["last"] != before["last"]:
                posted = await client.post("/predict", json={"symbol": "A", "snapshots": bodies(whole)})
                return before, after, posted.json()
            await asyncio.sleep(0.01)
        raise AssertionError("it does not follow the lake")

    before, after, posted = made.use(Forecast, conversation)
    assert before["last"]["ts_event"] == "2025-05-08T19:35:00Z"
    assert after["last"]["ts_event"] == "2025-05-08T19:45:00Z"
    assert after == posted


def test_without_records_it_is_not_ready_and_says_what_is_missing(tmp_path, ahead):
    made = Books(tmp_path, FORECAST)
    put(made.lake, made.recipe, books("A", TS[:-5], 0))
    made.models[1] = ahead.models[1]

    async def conversation(client, app):
        return [await client.get(path) for path in ("/ready", "/predict/A", "/predict/B", "/health")]

    ready, stored, missing, health = made.use(Forecast, conversation)
    assert (ready.status_code, stored.status_code, missing.status_code, health.status_code) == (503, 200, 503, 200)
    assert ready.json() == {"ready": False, "missing": ["B: the lake has no books of it; ingest them"]}
    assert "B: the lake has no books of it" in missing.json()["detail"]


def test_under_a_wall_clock_an_old_row_is_no_row_to_forecast_from(tmp_path, ahead):
    made = Books(tmp_path, FORECAST | {"serving": FORECAST["serving"] | {"clock": "wall"}})
    made.put(TS[:-5])
    made.models[1] = ahead.models[1]
    now = int(TS[-6])

    def at(late: int):
        return made.use(Forecast, lambda client, app: client.get("/predict/A"), clock=lambda: now + late)

    assert at(FIVE).status_code == 200
    assert "A: its newest row is 1.2 intervals old; at most 1" in at(FIVE + MINUTE).json()["detail"]


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_canary_answers_by_the_request_and_a_shadow_is_only_logged(ahead, monkeypatch):
    logged = []

    async def conversation(client, app):
        monkeypatch.setattr(app.log, "add", logged.append)
        ids = [f"request-{k}" for k in range(20)]
        replies = [await client.get("/predict/A", headers={"X-Request-ID": name}) for name in ids]
        return [reply.json()["model"]["version"] for reply in replies]

    route = Route(version=1, candidate=2, canary=0.5, shadow=True)
    versions = ahead.use(Forecast, conversation, route)
    assert versions == [route.choose(f"request-{k}") for k in range(20)]
    assert set(versions) == {1, 2}
    assert [row.version for row in logged if row.answered] == versions
    assert [row.version for row in logged if not row.answered] == [3 - v for v in versions]
    assert {row.ts_from for row in logged} == {int(TS[-6])}
    assert {row.name for row in logged} == {"ahead"}


def test_a_change_of_route_changes_the_answer_and_how_far_the_state_looks_back(ahead):
    async def conversation(client, app):
        one = (await client.get("/predict/A")).json()
        await app.reconfigure({"routes": {"ahead": Route(version=2).model_dump()}})
        return one, (await client.get("/predict/A")).json()

    one, two = ahead.use(Forecast, conversation)
    assert (one["model"]["version"], two["model"]["version"]) == (1, 2)
    assert one["steps"] != two["steps"]


def test_what_cannot_be_served_is_refused_with_the_reason(ahead, steps, tmp_path):
    recipe, contract = ahead.recipe, ahead.models[1].contract
    features = features_of(recipe.features)
    with pytest.raises(ModelError, match="columns is prices and the one served is features, outcomes, labels"):
        check_model(contract.model_copy(update={"reads": Reads.PRICES.value}), recipe, features)
    with pytest.raises(ModelError, match="the model looks at 500 rows at once"):
        check_model(contract.model_copy(update={"lookback": 500}), recipe, features)
    with pytest.raises(ModelError, match="the model forecasts 1 steps and steps has 3"):
        check_forecast(contract, steps.recipe)
    moves = Books(tmp_path, DIRECTION).recipe
    with pytest.raises(ConfigError, match="forecast serves the target mid_price of books; moves has market_direction"):
        check_recipe(moves, "forecast", "mid_price")


def test_a_history_that_does_not_reach_back_is_a_503(tmp_path, ahead):
    made = Books(tmp_path, FORECAST)
    made.put(TS[-78 : -78 + 27])
    made.models[1] = ahead.models[2]
    reply = made.get(Forecast, "/predict/A")
    assert reply.status_code == 503
    assert "the model looks at 6 rows with all features and there are 4" in reply.json()["detail"]


def test_the_api_documents_every_status_it_answers_with(ahead):
    schema = ahead.get(Forecast, "/openapi.json").json()
    assert set(schema["paths"]) >= {"/predict/{symbol}", "/predict", "/predict/batch", "/ready", "/model-info"}
    assert {"200", "404", "422", "503"} <= set(schema["paths"]["/predict/{symbol}"]["get"]["responses"])
    example = schema["components"]["schemas"]["ForecastRequest"]["examples"][0]
    assert "rows are needed" in ahead.post(Forecast, "/predict", example | {"symbol": "A"}).json()["detail"]
