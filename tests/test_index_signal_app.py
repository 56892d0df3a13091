"""The app over HTTP: a late or dead shard lowers coverage, wrong input gets a 4xx that says what is wrong."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import time
from math import fsum
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from ray.exceptions import RayError

from bellwether.config import load_recipe
from bellwether.errors import NoChampion, UnknownName
from benchmarks.in_process import App
from benchmarks.installation import install, put_bars, session_closes
from serve_apps import APPS, builder
from serve_apps.index.answers import ComponentAnswer, IndexReady, SignalAnswer
from serve_apps.index_signal import IndexSignalArgs, build
from serve_apps.web.request_id import request_id

ROOT = Path(__file__).resolve().parents[1]
TS = session_closes(30)


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    """One whose lake no test changes."""
    return App(tmp_path_factory.mktemp("app"))


# --- GET /signal/index ---------------------------------------------------------------------------


def test_the_signal_says_everything_it_was_made_of(app):
    reply = app.get("/signal/index")
    answer = SignalAnswer.model_validate_json(reply.content)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert [c.symbol for c in answer.components] == list(app.symbols)
    assert {c.status for c in answer.components} == {"fresh"}
    assert fsum(c.contribution for c in answer.components) == answer.wss
    assert (answer.coverage, answer.bar_time, answer.as_of) == (1.0, "2025-06-13T20:00:00Z", "2025-06-13T20:00:00Z")
    assert set(reply.json()) == set(SignalAnswer.model_fields)
    assert set(reply.json()["components"][0]) == set(
        SignalAnswer.model_fields["components"].annotation.__args__[0].model_fields
    )


def test_the_signal_is_the_sum_of_what_get_component_says(app):
    async def both(client):
        signal = (await client.get("/signal/index", params={"universe": "u5"})).json()
        return signal, [(await client.get("/predict/component", params={"symbol": s})).json() for s in app.symbols]

    signal, components = app.use(both)
    for part, alone in zip(signal["components"], components, strict=True):
        assert part["probabilities"] == alone["probabilities"]
        assert (part["action"], part["score"], part["ts_event"]) == (alone["action"], alone["score"], alone["ts_event"])
    assert signal["wss"] == pytest.approx(sum(0.2 * c["score"] for c in components))


def test_an_unknown_universe_is_a_404_with_the_known_one(app):
    reply = app.get("/signal/index", universe="dax")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.json()["detail"], reply.json()["known"]) == ("no universe 'dax'", ["u5"])


@pytest.mark.parametrize(
    ("delay", "error", "status", "reason"),
    [
        (30.0, None, "late", "shard 1 did not answer within 1.0 s"),
        (0.0, RayError("the actor died"), "missing", "shard 1 failed, RayError: the actor died"),
    ],
)
def test_a_shard_that_is_late_or_down_lowers_coverage_and_recovers(app, delay, error, status, reason):
    async def conversation(client):
        await client.get("/signal/index")
        app.handles[1].delay, app.handles[1].error = delay, error
        started = asyncio.get_running_loop().time()
        hurt = (await client.get("/signal/index")).json()
        took = asyncio.get_running_loop().time() - started
        call = app.handles[1].calls[-1]
        app.handles[1].delay, app.handles[1].error = 0.0, None
        return hurt, took, call.cancelled, (await client.get("/signal/index")).json()

    hurt, took, cancelled, healed = app.use(conversation)
    assert took < 5.0
    assert cancelled is (status == "late")
    assert [c["status"] for c in hurt["components"]] == ["fresh"] * 3 + [status] * 2
    assert hurt["components"][4]["reason"] == reason
    assert hurt["components"][4]["action"] is None
    assert hurt["coverage"] == pytest.approx(0.6)
    assert hurt["reason"] is None  # above the floor of 0.5: the thresholds decide
    assert healed["coverage"] == 1.0


def test_with_every_shard_away_it_holds_and_says_so(app):
    async def conversation(client):
        for handle in app.handles:
            handle.error = RayError("gone")
        return await client.get("/signal/index"), await client.get("/ready"), await client.get("/health")

    signal, ready, health = app.use(conversation)
    assert (signal.status_code, signal.json()["signal"], signal.json()["coverage"]) == (200, "HOLD", 0.0)
    assert signal.json()["reason"].startswith("no component with a weight has a fresh prediction")
    assert signal.json()["bar_time"] is None
    assert (ready.status_code, len(ready.json()["missing"])) == (503, 2)
    assert (health.status_code, health.json()) == (200, {"status": "ok"})  # the process is alive


def test_it_is_composed_once_for_each_state_of_the_shards(app):
    async def conversation(client):
        first = (await client.get("/signal/index")).content
        made = dict(app.ingress._composer._made)
        second = (await client.get("/signal/index")).content
        assert [*app.ingress._composer._made.values()] == [*made.values()]
        return first, second, [call for handle in app.handles for call in handle.calls]

    first, second, calls = app.use(conversation)
    assert first == second
    assert len(calls) == 4  # and yet each shard is asked each time


def test_requests_at_the_same_time_share_a_round(app):
    async def conversation(client):
        app.handles[0].delay = 0.1
        replies = await asyncio.gather(*(client.get("/signal/index") for _ in range(8)))
        later = await client.get("/signal/index")
        return [r.text for r in (*replies, later)], [len(handle.calls) for handle in app.handles]

    texts, calls = app.use(conversation)
    assert len(set(texts)) == 1
    assert calls == [2, 2]  # one for the eight, one for the ninth


def test_a_round_belongs_to_no_request(app):
    """Serve cancels what is called in the context of a request when its client goes away: here, others' answers."""
    called = []

    async def conversation(client):
        predict = app.handles[0].shard.predict

        async def noting(*arguments):
            called.append(request_id())
            return await predict(*arguments)

        app.handles[0].shard.predict = noting
        return await client.get("/signal/index", headers={"X-Request-ID": "the-first"})

    assert app.use(conversation).json()["coverage"] == 1.0
    assert called == [""]


def test_a_call_that_serve_cancels_lowers_coverage_and_fails_no_request(app):
    async def conversation(client):
        app.handles[1].error = asyncio.CancelledError()
        return await client.get("/signal/index")

    reply = app.use(conversation)
    assert (reply.status_code, reply.json()["coverage"]) == (200, pytest.approx(0.6))
    assert reply.json()["components"][4]["reason"] == "the call of shard 1 was cancelled"


def test_a_client_that_goes_away_does_not_end_the_round_for_others(app):
    async def conversation(client):
        app.handles[0].delay = 0.1
        first, second = (asyncio.ensure_future(client.get("/signal/index")) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
        return await second

    assert app.use(conversation).json()["coverage"] == 1.0


def test_a_new_bar_reaches_the_signal(tmp_path):
    app = App(tmp_path)
    longer = session_closes(31)[: len(TS) + 1]

    async def conversation(client):
        before = (await client.get("/signal/index")).json()
        put_bars(app.lake, app.recipe, longer)
        for _ in range(500):
            after = (await client.get("/signal/index")).json()
            if after["bar_time"] != before["bar_time"] and len({c["ts_event"] for c in after["components"]}) == 1:
                return before, after
            await asyncio.sleep(0.01)
        raise AssertionError("the signal does not follow the lake")

    before, after = app.use(conversation)
    assert before["bar_time"] == "2025-06-13T20:00:00Z"
    assert after["bar_time"] == "2025-06-16T14:30:00Z"


def test_a_component_whose_bars_stop_becomes_stale(tmp_path):
    app = App(tmp_path)
    put_bars(app.lake, app.recipe, TS[:-3], ("S001",))
    answer = app.get("/signal/index").json()
    stale = answer["components"][1]
    assert (stale["status"], stale["contribution"], stale["share"]) == ("stale", 0.0, 0.0)
    assert stale["reason"] == "its newest bar, 2025-06-13T17:30:00Z, is 2.5 bars old; at most 1"
    assert answer["coverage"] == pytest.approx(0.8)


def test_the_wall_clock_is_looked_at_for_every_answer(tmp_path):
    now = [int(TS[-1])]
    app = App(tmp_path, clock=lambda: now[0])
    app.recipe = app.recipe.model_copy(update={"serving": app.recipe.serving.model_copy(update={"clock": "wall"})})

    async def conversation(client):
        first = (await client.get("/signal/index")).json()
        now[0] += 3 * 24 * 3_600_000_000_000  # Monday 16:00: six and a half hours of trading later
        return first, (await client.get("/signal/index")).json()

    first, second = app.use(conversation)
    assert (first["coverage"], first["as_of"]) == (1.0, "2025-06-13T20:00:00Z")
    assert (second["signal"], second["coverage"], second["as_of"]) == ("HOLD", 0.0, "2025-06-16T20:00:00Z")
    assert {c["age_seconds"] for c in second["components"]} == {6.5 * 3600}


@pytest.mark.parametrize(("thresholds", "buy"), [("fixed", 0.5), ("calibrated", 0.25)])
def test_thresholds_come_from_recipe_or_model(tmp_path, thresholds, buy):
    answer = App(tmp_path, thresholds=thresholds).get("/signal/index").json()
    assert answer["thresholds"] == {"buy": buy, "sell": -buy, "coverage_floor": 0.5, "max_age_bars": 1}


# --- GET /predict/component ----------------------------------------------------------------------


def test_a_component_comes_with_features_and_class_names(app):
    reply = app.get("/predict/component", symbol="S003")
    answer = ComponentAnswer.model_validate_json(reply.content)
    assert set(reply.json()) == set(ComponentAnswer.model_fields)
    assert list(answer.probabilities) == list(app.artefact.contract.classes)
    assert list(answer.features) == list(app.artefact.contract.features)
    assert answer.model.model_dump() == {"name": "bench", "version": 7, "alias": "Production"}


def test_an_unknown_symbol_is_a_404_with_the_known_ones(app):
    reply = app.get("/predict/component", symbol="S9")
    assert reply.status_code == 404
    assert (reply.json()["detail"], reply.json()["known"]) == ("no symbol of u5 'S9'", list(app.symbols))


def test_a_component_without_prediction_is_a_503_that_says_why(tmp_path):
    app = App(tmp_path)
    put_bars(app.lake, app.recipe, TS[-40:], ("S001",))
    reply = app.get("/predict/component", symbol="S001")
    assert reply.status_code == 503
    assert reply.json()["detail"] == "S001: its history has 40 bars and the features need 161"


def test_a_missing_parameter_is_a_422_that_names_it(app):
    reply = app.get("/predict/component")
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["loc"] == ["query", "symbol"]


# --- the rest ------------------------------------------------------------------------------------


def test_ready_names_the_shard_that_is_not_well(app):
    async def conversation(client):
        well = await client.get("/ready")
        app.handles[1].delay = 30.0
        return well, await client.get("/ready")

    well, hurt = app.use(conversation)
    assert (well.status_code, well.json()["missing"]) == (200, [])
    assert hurt.status_code == 503
    assert hurt.json()["missing"] == ["shard 1 (S003, S004) is late: shard 1 did not answer within 1.0 s"]
    assert [(s.symbols, s.status) for s in IndexReady.model_validate_json(hurt.content).shards] == [
        (["S000", "S001", "S002"], "ok"),
        (["S003", "S004"], "late"),
    ]


def test_model_info_is_the_contract_and_tells_no_addresses(app):
    reply = app.get("/model-info")
    (info,) = reply.json()["models"]
    assert (info["name"], info["version"], info["alias"]) == ("bench", 7, "Production")
    assert info["contract"] == app.artefact.contract.model_dump(mode="json")
    assert app.lake.uri not in reply.text


def test_openapi_describes_every_endpoint_with_examples(app):
    spec = app.get("/openapi.json").json()
    assert {
        *("/health", "/model-info", "/predict", "/predict/batch", "/predict/component", "/bars", "/bars/batch"),
        *("/ready", "/reload-model", "/signal/index"),
    } <= set(spec["paths"])
    for methods in spec["paths"].values():
        for described in methods.values():
            assert described["summary"]
            assert described["description"]
            bodies = described["responses"]["200"]["content"]
            assert "application/json" not in bodies or "$ref" in bodies["application/json"]["schema"]
    for name in ("PredictRequest", "BatchRequest", "PostedBar", "RawBar", "BarsRequest", "BarsBatch"):
        assert spec["components"]["schemas"][name]["examples"]
    assert app.get("/docs").status_code == 200


def test_examples_in_the_documentation_are_valid_messages(app):
    from serve_apps.index.schemas import BAR, REQUEST, BarsBatch, BatchRequest, PostedBar, PredictRequest

    PostedBar.model_validate(BAR)
    PredictRequest.model_validate(REQUEST)
    BatchRequest.model_validate({"items": [REQUEST]})
    BarsBatch.model_validate(BarsBatch.model_config["json_schema_extra"]["examples"][0])


# --- building ------------------------------------------------------------------------------------


def test_the_table_of_apps_is_true_and_an_unknown_name_lists_it():
    for name in APPS:
        made, arguments = builder(name)
        assert callable(made)
        assert "recipe" in arguments.model_fields
    with pytest.raises(UnknownName, match=r"no served app 'index'; known: .*index_signal"):
        builder("index")


def test_serve_can_make_the_arguments_from_text():
    for name in APPS:
        made, arguments = builder(name)
        (taken,) = inspect.signature(made).parameters.values()
        assert taken.annotation is arguments  # as a class: postponed, it is a string, and Serve passes a plain dict
    assert IndexSignalArgs.model_validate({"recipe": "index-hourly", "shards": "3"}).shards == 3


def test_importing_an_app_starts_nothing():
    code = "import serve_apps.index_signal, ray, threading; print(ray.is_initialized(), threading.active_count())"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.split() == ["False", "1"]


def test_arguments_refuse_what_they_do_not_know():
    with pytest.raises(ValidationError, match="Extra inputs"):
        IndexSignalArgs(recipe="index-hourly", port=8000)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        IndexSignalArgs(recipe="index-hourly", shards=0)


def test_the_serve_config_is_valid_and_listens_on_loopback():
    from ray.serve.schema import ServeDeploySchema

    config = ServeDeploySchema.model_validate(yaml.safe_load((ROOT / "serve_apps" / "config.yaml").read_text()))
    assert config.http_options.host == "127.0.0.1"
    assert {one.import_path for one in config.applications} == {f"{module}:build" for module, _, _ in APPS.values()}
    for one in config.applications:
        _, arguments = builder(one.import_path.removeprefix("serve_apps.").removesuffix(":build"))
        load_recipe(arguments.model_validate(one.args).recipe)


def test_without_a_champion_it_is_not_built(home):
    with pytest.raises(NoChampion, match="bellwether promote index-hourly"):
        build(IndexSignalArgs(recipe="index-hourly"))


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    return install(tmp_path_factory.mktemp("served"), components=3, refresh_s=0.2)


def test_composed_in_one_process(installation):
    from ray import serve

    handle = serve.run(build(IndexSignalArgs(**installation.args(shards=2))), _local_testing_mode=True)
    for _ in range(500):  # here Serve does not wait until a deployment has taken its configuration
        if not handle.missing.remote().result():
            break
        time.sleep(0.01)
    answer = json.loads(handle.signal.remote(None).result().body)
    assert answer["coverage"] == 1.0
    assert answer["model"] == {"name": "bench", "version": 1, "alias": "Production"}
