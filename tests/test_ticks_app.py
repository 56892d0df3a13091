"""The app of trades: what it answers, what it refuses, and which versions answer."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bellwether.calibration.conformal import Conformal
from bellwether.errors import ConfigError
from bellwether.models.predictor import Predictor
from bellwether.registry import Ledger, Registry
from bellwether.trading_time import iso
from benchmarks.tick_in_process import Running, later, same_bits, table_row
from benchmarks.tick_installation import FIRST_OPEN, SECOND, VARIANTS, date_of, register
from data.lake import Lake
from data.wall import DAY
from serve_apps.tick.engine import Engine
from serve_apps.tick.schemas import BatchRequest
from serve_apps.ticks import TicksArgs, build

SERVED = ["direction_5", "direction_1", "future_return_5"]


# Who may ask


def test_a_key_that_only_reads_cannot_post_a_trade(made_ticks):
    with Running(made_ticks) as app:
        paths = app.get("/openapi.json").json()["paths"]
    scopes = {f"{how} {path}": said["x-scope"] for path, hows in paths.items() for how, said in hows.items()}
    assert {name for name in scopes if "predict" in name and scopes[name] == "read"} == {"get /predict/{symbol}"}
    assert scopes["post /predict"] == scopes["post /predict/batch"] == scopes["post /ticks"] == "write"


# What it says


def test_the_models_are_listed_whether_served_or_not(made_ticks):
    with Running(made_ticks) as app:
        models = {line["model"]: line for line in app.get("/models").json()["models"]}
    assert set(models) == {"direction_5", *VARIANTS}
    assert [name for name, line in models.items() if line["served"]] == SERVED
    assert models["direction_5"]["name"] == "trades"
    assert models["direction_1"]["classes"] == ["down", "flat", "up"]
    assert models["future_return_5"]["unit"] == "fraction of the price"
    assert "no version of trades.direction_10 carries Production" in models["direction_10"]["reason"]


def test_a_prediction_is_what_the_model_says_of_the_features(made_ticks):
    with Running(made_ticks) as app:
        said = app.get("/predict/S000").json()
    row, registry = table_row(made_ticks), Registry(made_ticks.tracking_uri, Ledger(made_ticks.ledger))
    assert list(said["predictions"]) == SERVED
    for model, recipe in ((m, made_ticks.load().variant(m) if m in VARIANTS else made_ticks.load()) for m in SERVED):
        (version, artefact), one = registry.load(recipe.name, "Production"), said["predictions"][model]
        output = Predictor(artefact).predict(row[None])[0].tolist()
        assert one["model"] == {"name": recipe.name, "version": version, "alias": "Production"}
        if classes := artefact.contract.classes:
            assert one["probabilities"] == dict(zip(classes, output, strict=True))
            assert (one["prediction"], one["confidence"]) == (classes[np.argmax(output)], max(output))
        else:
            low, high = Conformal.restore(artefact.contract.conformal["steps"][0]).interval(*np.array([output, output]))
            assert one["prediction"] == output[0]
            assert one["interval"] == {"low": low[0], "high": high[0], "coverage": 0.9}


def test_models_may_be_chosen(made_ticks):
    with Running(made_ticks) as app:
        assert list(app.get("/predict/S000?models=direction_1,direction_5").json()["predictions"]) == [
            "direction_1",
            "direction_5",
        ]
        assert list(app.predict(models=["direction_1"])["predictions"]) == ["direction_1"]
        assert app.get("/predict/S000?models=nope").json()["known"] == ["direction_5", *sorted(VARIANTS)]
        assert app.get("/predict/S000?models=nope").status_code == 404
        assert app.get("/predict/S000?models=direction_10").status_code == 503


def test_a_session_warms_up_first(made_ticks):
    opens = iso(FIRST_OPEN + 2 * DAY)
    with Running(made_ticks) as app:
        said = app.predict(tick={"ts_event": opens, "price": 100.0, "volume": 1})
        assert said["features_known"] is False
        assert said["reason"] == "warming up: 1 of the 50 trades of a session that the features need"
        assert {one["prediction"] for one in said["predictions"].values()} == {None}
        for second in range(1, 50):
            said = app.predict(
                tick={
                    "ts_event": FIRST_OPEN + 2 * DAY + second * SECOND,
                    "price": 100.0,
                    "volume": 1,
                    "bid": 99.0,
                    "ask": 101.0,
                }
            )
        assert said["features_known"] is False  # a lookback of the spread lacks the first trade's quote
        said = app.predict(
            tick={
                "ts_event": FIRST_OPEN + 2 * DAY + 50 * SECOND,
                "price": 100.0,
                "volume": 1,
                "bid": 99.0,
                "ask": 101.0,
            }
        )
        assert said["features_known"] is True
        assert None not in {one["prediction"] for one in said["predictions"].values()}


# What it refuses


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"price": -1.0}, "price", "greater than 0"),
        ({"price": "100"}, "price", "valid number"),
        ({"price": True}, "price", "valid number"),
        ({"volume": 0}, "volume", "greater than 0"),
        ({"bid": 101.0, "ask": 100.0}, None, "bid 101.0 is above ask 100.0"),
        ({"side": 2}, "side", "less than or equal to 1"),
        ({"seq": -1}, "seq", "greater than or equal to 0"),
        ({"ts_event": "2025-05-06T13:31:00"}, "ts_event", "with its zone"),
        ({"ts_event": "2024-05-06T13:31:00Z"}, "ts_event", "the newest trade of S000 is of 2025-05-06"),
        ({"ts_event": "2262-01-01T00:00:00Z"}, "ts_event", "still to come"),
        ({"colour": 1}, "colour", "Extra inputs"),
    ],
)
def test_a_wrong_trade_is_refused_by_its_field(made_ticks, change, field, said):
    with Running(made_ticks) as app:
        before = app.row().copy()
        found = app.post("/predict", symbol="S000", tick_data=later(made_ticks, 1) | change)
        assert same_bits(app.row(), before)
    (mistake,) = found.json()["errors"]
    assert found.status_code == 422
    assert mistake["loc"] == ["body", "tick_data", *([field] if field else [])]
    assert said in mistake["msg"]


def test_a_number_that_is_taken_is_refused(made_ticks):
    with Running(made_ticks) as app:
        app.predict(tick=later(made_ticks, 1, seq=5))
        found = app.post("/predict", symbol="S000", tick_data=later(made_ticks, 1, seq=5, price=99.0))
    assert found.json()["errors"][0]["loc"] == ["body", "tick_data", "seq"]


@pytest.mark.parametrize("path", ["/predict", "/ticks"])
def test_nan_is_refused(made_ticks, path):
    tick = json.dumps(later(made_ticks, 1)).replace("100.5,", "NaN,")
    body = (
        f'{{"symbol": "S000", "tick_data": {tick}}}'
        if path == "/predict"
        else f'{{"ticks": [{tick[:-1]}, "symbol": "S000"}}]}}'
    )
    with Running(made_ticks) as app:
        found = app.call("POST", path, content=body, headers={"content-type": "application/json"})
    assert found.status_code == 422
    assert found.json()["errors"][0]["loc"][-1] == "price"


def test_an_unknown_symbol_lists_the_known_ones(made_ticks):
    with Running(made_ticks) as app:
        asked = [
            app.get("/predict/X"),
            app.post("/predict", symbol="X"),
            app.post("/ticks", ticks=[{"symbol": "X"} | later(made_ticks, 1)]),
        ]
    assert [(found.status_code, found.json()["known"]) for found in asked] == [(404, ["S000", "S001"])] * 3


def test_a_batch_has_a_result_or_an_error_each(made_ticks):
    with Running(made_ticks) as app:
        items = [
            {"symbol": "S000", "tick_data": later(made_ticks, 1)},
            {"symbol": "S000", "tick_data": later(made_ticks, -1)},
            {"symbol": "X"},
            7,
        ]
        said = app.post(
            "/predict/batch", items=[*items, {"symbol": "S001", "models": ["direction_1"], "tick_data": {}}]
        ).json()["items"]
    assert [one["error"] and one["error"]["status"] for one in said] == [None, 422, 404, 422, None]
    assert said[0]["result"]["applied"] is True
    assert list(said[4]["result"]["predictions"]) == ["direction_1"]


numbers = st.floats() | st.integers(-3, 200) | st.sampled_from([5e-324, 1e308, 10**400, True, None, "1"])
stamps = st.integers(0, 40).map(lambda k: FIRST_OPEN + DAY + (100 + k) * SECOND) | st.integers() | st.text(max_size=8)
trades = st.fixed_dictionaries(
    {"ts_event": stamps, "price": numbers, "volume": numbers},
    optional={"bid": numbers, "ask": numbers, "side": st.integers(-2, 2), "seq": st.integers(-1, 3) | st.just(2**70)},
)
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3), max_leaves=4
)
symbols = st.sampled_from(["S000", "S001", "X", ""])
bodies = st.one_of(
    st.tuples(
        st.just("/predict"),
        st.fixed_dictionaries(
            {"symbol": symbols},
            optional={
                "tick_data": trades | anything,
                "models": st.lists(st.sampled_from(["direction_1", "x"])) | anything,
            },
        ),
    ),
    st.tuples(
        st.just("/predict/batch"),
        st.fixed_dictionaries(
            {"items": st.lists(st.fixed_dictionaries({"symbol": symbols, "tick_data": trades}), max_size=3) | anything}
        ),
    ),
    st.tuples(
        st.just("/ticks"),
        st.fixed_dictionaries(
            {"ticks": st.lists(st.builds(lambda s, t: t | {"symbol": s}, symbols, trades), max_size=3) | anything}
        ),
    ),
    st.tuples(st.sampled_from(["/predict", "/predict/batch", "/ticks"]), anything),
)


def test_no_body_makes_it_fail(made_ticks):
    with Running(made_ticks) as app:

        @settings(max_examples=150, suppress_health_check=list(HealthCheck))
        @given(bodies)
        def sent(one):
            path, body = one
            found = app.call("POST", path, content=json.dumps(body), headers={"content-type": "application/json"})
            assert found.status_code in (200, 404, 422), found.text
            found.json()

        sent()
        assert app.get("/predict/S000").status_code == 200


# Which versions answer


def test_without_any_model_it_starts_and_says_what_it_lacks(made_ticks, tmp_path):
    path = tmp_path / "untrained.yaml"
    path.write_text(
        Path(made_ticks.recipe).read_text(encoding="utf-8").replace("name: trades", "name: untrained"), encoding="utf-8"
    )
    made_ticks = replace(made_ticks, recipe=str(path))
    with Running(made_ticks) as app:
        ready, asked = app.get("/ready"), app.get("/predict/S000")
        assert not any(line["served"] for line in app.get("/models").json()["models"])
    assert ready.status_code == 503
    assert "no version of untrained, untrained.direction_1" in ready.json()["missing"][0]
    assert asked.status_code == 503


def test_it_is_ready_with_some_models_and_names_symbols_without_trades(made_ticks):
    with Running(made_ticks) as app:
        assert app.get("/ready").json() == {"ready": True, "missing": []}
        assert {one["name"] for one in app.get("/model-info").json()["models"]} == {
            "trades",
            "trades.direction_1",
            "trades.future_return_5",
        }
    lake = Lake(made_ticks.lake)
    lake.commit("ticks", [lake.entries("ticks")[f"S000/{date_of(1)}"]], replace=True)
    with Running(made_ticks) as app:
        assert app.get("/ready").json()["missing"] == ["the lake has no trades of S001: ingest or post them"]
        assert app.get("/predict/S001").json()["reason"] == "there are no trades of S001 yet"
        assert app.get("/predict/S001").json()["ts_event"] is None


def test_a_canary_answers_its_share_and_a_shadow_is_only_written_down(made_ticks):
    registry = Registry(made_ticks.tracking_uri, Ledger(made_ticks.ledger))
    answering = registry.resolve("trades.direction_1", "Production")
    candidate = register(made_ticks, made_ticks.load().variant("direction_1"), "Staging")
    with Running(made_ticks, canary=1.0) as app:
        models = {name: one["model"] for name, one in app.get("/predict/S000").json()["predictions"].items()}
    assert (models["direction_1"]["version"], models["direction_1"]["alias"]) == (candidate, "Staging")
    assert models["direction_5"]["alias"] == "Production"
    logged = []
    with Running(made_ticks, shadow=True) as app:
        app.ingress._engine._log = logged.append
        said = app.get("/predict/S000?models=direction_1").json()["predictions"]["direction_1"]
    assert said["model"]["version"] == answering
    assert [(row.version, row.answered, row.symbol) for row in logged] == [
        (answering, True, "S000"),
        (candidate, False, "S000"),
    ]
    assert logged[0].features == table_row(made_ticks).tolist()


def test_the_list_of_models_names_who_answers_and_not_a_canary(made_ticks):
    registry = Registry(made_ticks.tracking_uri, Ledger(made_ticks.ledger))
    answering = registry.resolve("trades.direction_1", "Production")
    assert register(made_ticks, made_ticks.load().variant("direction_1"), "Staging") != answering
    with Running(made_ticks, canary=0.01) as app:
        (line,) = [line for line in app.get("/models").json()["models"] if line["model"] == "direction_1"]
    assert (line["version"], line["alias"]) == (answering, "Production")


def test_a_shadow_that_fails_costs_the_answer_nothing(made_ticks, monkeypatch):
    candidate, answered = register(made_ticks, made_ticks.load().variant("direction_1"), "Staging"), Engine._answered

    def fails(self, symbol, look, key, champion, answers):
        if champion.version == candidate:
            raise RuntimeError("the graph is damaged")
        return answered(self, symbol, look, key, champion, answers)

    monkeypatch.setattr(Engine, "_answered", fails)
    with Running(made_ticks, shadow=True) as app:
        said = app.get("/predict/S000?models=direction_1")
    assert (said.status_code, said.json()["predictions"]["direction_1"]["reason"]) == (200, None)


def test_others_have_their_turn_while_a_batch_is_worked_on(made_ticks):
    async def turns(app):
        batch = asyncio.ensure_future(app.ingress.predict_batch(BatchRequest(items=[{"symbol": "S000"}] * 20)))
        taken = 0
        while not batch.done():
            taken += 1
            await asyncio.sleep(0)
        return taken

    with Running(made_ticks) as app:
        assert app.runner.run(turns(app)) >= 20


def test_a_promotion_changes_who_answers_and_not_the_state(made_ticks):
    with Running(made_ticks) as app:
        app.predict(tick=later(made_ticks, 1))
        row, version = app.row().copy(), register(made_ticks, made_ticks.load())
        app.runner.run(app.ingress.reconfigure(app.config()))
        said = app.predict()
        assert said["predictions"]["direction_5"]["model"]["version"] == version
        assert same_bits(app.row(), row)


def test_a_recipe_of_other_features_is_refused(made_ticks):
    with pytest.raises(
        ConfigError, match="ticks serves the features `ticks` of trades; index-hourly has hourly of bars"
    ):
        build(TicksArgs(recipe="index-hourly"))


@pytest.mark.ray
def test_it_serves_end_to_end(made_ticks, on_serve, home):
    app = build(TicksArgs(**made_ticks.args()))
    with on_serve(ticks=app) as base, httpx.Client(base_url=f"{base}/ticks", timeout=30.0) as client:
        assert client.get("/ready").json() == {"ready": True, "missing": []}
        tick = later(made_ticks, 1)
        posted = client.post("/ticks", json={"ticks": [{"symbol": "S000"} | tick]}).json()
        assert posted == {"kept": 1, "unchanged": 0, "quarantined": []}
        said = client.post("/predict", json={"symbol": "S000", "tick_data": {}}).json()
        assert (said["ts_event"], list(said["predictions"])) == (tick["ts_event"], SERVED)
        version = register(made_ticks, made_ticks.load().variant("direction_1"))
        assert client.post("/reload-model").json()["after"]["trades.direction_1"] == version
        said = client.get("/predict/S000?models=direction_1").json()
        assert said["predictions"]["direction_1"]["model"]["version"] == version
