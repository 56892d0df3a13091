"""POST: bars from a client are judged as strictly as ingest judges, and predicted from as the lake's own are."""

from __future__ import annotations

import json

import pytest
from ray.exceptions import RayError

from benchmarks.in_process import App
from benchmarks.installation import bars, session_closes
from serve_apps.index.answers import BatchAnswer

TS = session_closes(30)


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    """One whose lake no test changes."""
    return App(tmp_path_factory.mktemp("app"))


def body_of(app: App, symbol: str, ts=TS, last: int = 161, **more) -> dict:
    table = bars(symbol, ts, app.symbols.index(symbol) if symbol in app.symbols else 0)
    rows = table.drop_columns(["symbol"]).slice(len(ts) - last).to_pylist()
    rows = [row | {"ts_event": row["ts_event"].isoformat()} for row in rows]
    return {"symbol": symbol, "interval": "1h", "bars": rows, **more}


# --- POST /predict -------------------------------------------------------------------------------


def test_the_lakes_own_bars_give_the_served_prediction_bit_for_bit(app):
    async def both(client):
        posted = await client.post("/predict", json=body_of(app, "S002", last=len(TS)))
        return posted.json(), (await client.get("/predict/component", params={"symbol": "S002"})).json()

    posted, served = app.use(both)
    assert posted == served


@pytest.mark.parametrize("came", [0, 1, 160])
def test_too_few_bars_is_a_422_that_says_how_many(app, came):
    reply = app.post("/predict", body_of(app, "S000", last=came) | ({"bars": []} if not came else {}))
    assert reply.status_code == 422
    (problem,) = reply.json()["errors"]
    assert problem["loc"] == ["body", "bars"]
    assert problem["msg"] == f"161 bars are needed, the newest last; {came} came"


def test_just_enough_bars_are_enough(app):
    assert app.post("/predict", body_of(app, "S000", last=161)).status_code == 200


def test_another_interval_is_refused(app):
    reply = app.post("/predict", body_of(app, "S000", interval="5min"))
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["msg"] == "is '5min'; bench predicts from bars of '1h'"


@pytest.mark.parametrize(
    ("value", "message"),
    [("NaN", "Input should be a finite number"), ("-1", "Input should be greater than 0"), ("1e999", "finite number")],
)
def test_a_wrong_number_is_a_422_that_names_field_bound_and_value(app, value, message):
    body = json.dumps(body_of(app, "S000")).replace(
        f'"close": {body_of(app, "S000")["bars"][3]["close"]!r}', f'"close": {value}'
    )
    reply = app.post("/predict", None, content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 422
    (problem,) = reply.json()["errors"]
    assert problem["loc"] == ["body", "bars", 3, "close"]
    assert message in problem["msg"]
    assert problem["received"] == {"NaN": "nan", "-1": "-1", "1e999": "inf"}[value]


def test_what_is_no_json_is_a_422(app):
    reply = app.post("/predict", None, content=b"{", headers={"content-type": "application/json"})
    assert reply.status_code == 422
    assert "JSON" in reply.json()["errors"][0]["msg"]


def test_bars_beyond_the_lake_need_an_ingest_or_an_assumption(app):
    ahead = session_closes(31)[: len(TS) + 1]
    refused = app.post("/predict", body_of(app, "S000", ahead))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["body", "bars", 160, "ts_event"]
    assert "assume_flat_basket" in refused.json()["errors"][0]["msg"]
    answer = app.post("/predict", body_of(app, "S000", ahead, assume_flat_basket=True)).json()
    assert answer["features"]["basket_return"] == 0.0
    assert answer["ts_event"] == "2025-06-16T14:30:00Z"
    assert "taken as flat" in answer["notes"][0]


def test_a_shard_away_is_a_503(app):
    async def conversation(client):
        app.handles[0].error = RayError("gone")
        return await client.post("/predict", json=body_of(app, "S000"))

    reply = app.use(conversation)
    assert reply.status_code == 503
    assert "shard 0 failed" in reply.json()["detail"]


# --- POST /predict/batch -------------------------------------------------------------------------


def test_a_batch_answers_each_by_itself_in_order(app):
    items = [
        body_of(app, "S004"),
        body_of(app, "S000", last=5),
        {"symbol": "S001"},
        body_of(app, "S000"),
        body_of(app, "S000") | {"symbol": "S9"},
        "nonsense",
        body_of(app, "S001", session_closes(31)[: len(TS) + 1]),
    ]

    async def conversation(client):
        reply = await client.post("/predict/batch", json={"items": items})
        return reply, [len(handle.calls) for handle in app.handles]

    reply, calls = app.use(conversation)
    answer = BatchAnswer.model_validate_json(reply.content)
    assert reply.status_code == 200
    assert [i.result.symbol if i.result else i.error.status for i in answer.items] == [
        *("S004", 422, 422, "S000", 404, 422, 422)
    ]
    assert calls == [1, 1]  # one call to each shard
    assert answer.items[3].result.model_dump() == app.post("/predict", items[3]).json()


def test_a_batch_has_a_limit(app):
    reply = app.post("/predict/batch", {"items": [{}] * 101})
    assert reply.status_code == 422
    assert "at most 100 items" in reply.json()["errors"][0]["msg"]


def test_an_unknown_symbol_is_a_404_with_the_known_ones(app):
    reply = app.post("/predict", body_of(app, "S000") | {"symbol": "S9"})
    assert reply.status_code == 404
    assert (reply.json()["detail"], reply.json()["known"]) == ("no symbol of u5 'S9'", list(app.symbols))
