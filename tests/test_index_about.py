"""What is known about the signal, over HTTP: expected return, history, universes, stream, leaderboard, versions."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime
from math import fsum
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from ray.exceptions import RayError

from bellwether.config.recipe import Recipe
from bellwether.errors import RegistryError
from bellwether.registry.ledger import Entry
from bellwether.registry.versions import VersionInfo
from benchmarks.in_process import App
from benchmarks.installation import artefact, bars, put_bars, session_closes
from serve_apps.index.answers import SignalAnswer
from serve_apps.index.boards import leaderboard, versions
from serve_apps.index.more_answers import HistoryAnswer, LeaderboardAnswer, UniversesAnswer, VersionsAnswer
from serve_apps.on_demand import OnDemand

TS = session_closes(30)
PARTS = {"pair": ["S003", "S001"]}
SYMBOLS = [f"S{k:03d}" for k in range(5)]


def outlook() -> dict:
    """Deviations of 1 % without correlation; known of all components but the last."""
    rows = [[1e-4 if a == b else 0.0 for a in range(b + 1)] for b in range(4)] + [[None] * 5]
    reach = {"symbols": SYMBOLS, "multiplier": 2.0, "n": 321}
    pair = {"symbols": PARTS["pair"], "multiplier": 1.5, "n": 300}
    return {
        "symbols": SYMBOLS,
        "class_means": [-0.02, -0.01, 0.0, 0.01, 0.02],
        "covariance": rows,
        "coverage_level": 0.9,
        "universes": {"u5": reach, "pair": pair},
    }


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    """One whose lake no test changes, of a model with an outlook."""
    made = App(tmp_path_factory.mktemp("app"), universes=PARTS, history_bars=30)
    changed = artefact(made.recipe, made.lake, outlook=outlook())
    object.__setattr__(made.stores, "artefact", changed)
    return made


# --- expected return ---------------------------------------------------------------------------------------------


def test_the_expected_return_adds_up_and_names_what_it_rests_on(app):
    answer = app.get("/signal/index").json()
    SignalAnswer.model_validate(answer)
    found, means = answer["expected_return"], outlook()["class_means"]
    assert answer["expected_return_reason"] is None
    assert fsum(found["contributions"].values()) == found["mean"]
    assert list(found["contributions"]) == SYMBOLS[:4]
    expected = [
        sum(p * m for p, m in zip(c["probabilities"].values(), means, strict=True)) for c in answer["components"]
    ]
    assert found["mean"] == pytest.approx(sum(expected[:4]) / 4)
    assert found["sd"] == pytest.approx(0.01 / 2)  # of four that are not correlated
    assert (found["low"], found["high"]) == pytest.approx((found["mean"] - 0.01, found["mean"] + 0.01))
    assert (found["covers"], found["n"], found["coverage_level"], found["horizon_bars"]) == (0.8, 321, 0.9, 1)


def test_a_model_without_an_outlook_says_so(tmp_path):
    answer = App(tmp_path).get("/signal/index").json()
    assert answer["expected_return"] is None
    assert answer["expected_return_reason"] == "the model states no forecast errors: train it again"


# --- universes ---------------------------------------------------------------------------------------------------


def test_universes_are_listed_and_each_has_a_signal_of_its_own(app):
    async def conversation(client):
        listed = (await client.get("/universes")).json()
        pair = (await client.get("/signal/index", params={"universe": "pair"})).json()
        own = (await client.get("/signal/index")).json()
        again = (await client.get("/signal/index", params={"universe": "pair"})).json()
        return listed, pair, own, again

    listed, pair, own, again = app.use(conversation)
    assert UniversesAnswer.model_validate(listed).model_dump() == {
        "universes": [
            {"name": "u5", "symbols": SYMBOLS, "own": True},
            {"name": "pair", "symbols": ["S003", "S001"], "own": False},
        ]
    }
    assert pair == again
    assert (pair["universe"], [c["symbol"] for c in pair["components"]]) == ("pair", ["S003", "S001"])
    assert [c["share"] for c in pair["components"]] == [0.5, 0.5]
    scores = {c["symbol"]: c["score"] for c in own["components"]}
    assert pair["wss"] == (scores["S003"] + scores["S001"]) / 2
    assert pair["expected_return"]["n"] == 300
    assert len(own["components"]) == 5


@pytest.mark.parametrize("path", ["/signal/index", "/signal/index/history", "/signal/index/stream"])
def test_an_unknown_universe_is_a_404_with_the_known_ones(app, path):
    reply = app.get(path, universe="dax")
    assert reply.status_code == 404
    assert reply.json()["known"] == ["u5", "pair"]


@pytest.mark.parametrize("parts", [{"p": ["S000", "X"]}, {"p": ["S000", "S000"]}, {"p": []}, {"u5": ["S000"]}])
def test_a_recipe_refuses_a_universe_that_is_no_part_of_its_own(app, parts):
    changed = app.recipe.model_dump(mode="json")
    changed["serving"]["universes"] = parts
    with pytest.raises(ValidationError, match="universes"):
        Recipe.model_validate(changed)


# --- history -----------------------------------------------------------------------------------------------------


def test_the_newest_bar_of_the_history_is_the_live_signal(app):
    async def conversation(client):
        live = (await client.get("/signal/index")).json()
        return live, (await client.get("/signal/index/history")).json(), client

    live, history, _ = app.use(conversation)
    HistoryAnswer.model_validate(history)
    last = history["bars"][-1]
    for field in ("signal", "wss", "wss_probability", "coverage", "reason"):
        assert last[field] == live[field]
    assert (last["ts_event"], len(history["bars"])) == (live["bar_time"], 30)
    assert (history["model"], history["thresholds"]) == (live["model"], live["thresholds"])
    assert not any(bar["in_training"] for bar in history["bars"])  # the model's rows end long before
    assert {bar["index_return"] for bar in history["bars"]} == {None}


def test_a_shorter_history_is_the_end_of_the_longer_one_and_costs_no_new_predictions(app):
    async def conversation(client):
        whole = (await client.get("/signal/index/history")).json()["bars"]
        kept = dict(app.ingress._about._histories._held)
        part = (await client.get("/signal/index/history", params={"bars": 7, "universe": "u5"})).json()["bars"]
        assert all(app.ingress._about._histories._held[k] is kept[k] for k in kept)
        return whole, part

    whole, part = app.use(conversation)
    assert part == whole[-7:]


@pytest.mark.parametrize("bars", ["0", "31", "-1", "many"])
def test_a_history_that_is_not_kept_is_a_422_that_names_the_bound(app, bars):
    reply = app.get("/signal/index/history", bars=bars)
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["loc"] == ["query", "bars"]


def test_without_a_shard_there_is_no_history_and_then_there_is(app):
    async def conversation(client):
        app.handles[1].error = RayError("the actor died")
        away = await client.get("/signal/index/history")
        app.handles[1].error = None
        return away, await client.get("/signal/index/history")

    away, back = app.use(conversation)
    assert (away.status_code, back.status_code) == (503, 200)
    assert "shard 1 failed" in away.json()["detail"]


def test_without_the_bars_of_the_index_there_is_no_history_and_no_address_is_told(app):
    def gone():
        raise OSError("cannot read s3://secret")

    async def conversation(client):
        app.ingress._about._index = OnDemand(gone, lambda version: None)
        return await client.get("/signal/index/history")

    reply = app.use(conversation)
    assert (reply.status_code, reply.json()["detail"]) == (503, "the lake cannot be read now: OSError")


def test_the_signal_never_waits_for_the_history(app):
    async def conversation(client):
        await client.get("/signal/index")
        return [handle.shard._past._tails._followed for handle in app.handles]

    assert app.use(conversation) == [None, None]


def test_a_new_bar_comes_into_the_history_with_what_the_index_did(tmp_path):
    made = App(tmp_path, history_bars=30)
    longer = session_closes(31)[: len(TS) + 1]
    index = bars("X", longer, 9)

    async def conversation(client):
        before = (await client.get("/signal/index/history")).json()["bars"]
        made.lake.commit(made.recipe.kind, [made.lake.stage(made.recipe.kind, "X", index)])
        put_bars(made.lake, made.recipe, longer)
        return before, (await client.get("/signal/index/history")).json()["bars"]

    before, after = made.use(conversation)
    close = index["close"].to_pylist()
    assert [b["wss"] for b in after[:-1]] == [b["wss"] for b in before[1:]]
    assert after[-1]["ts_event"] == "2025-06-16T14:30:00Z"
    assert [b["index_close"] for b in after] == close[-30:]
    assert after[-2]["index_return"] == pytest.approx(close[-1] / close[-2] - 1)
    assert after[-1]["index_return"] is None


# --- stream ------------------------------------------------------------------------------------------------------


def streamed(made: App, life_s: float, during=None, universe: str | None = None) -> list[dict[str, str]]:
    """The events that a stream of that life brings."""

    async def conversation(client):
        made.ingress._about._streams.life_s = life_s
        params = {"universe": universe} if universe else {}
        reply = asyncio.create_task(client.get("/signal/index/stream", params=params))
        if during is not None:
            await asyncio.sleep(0.1)
            during()
        return (await reply).text

    blocks = [block.splitlines() for block in made.use(conversation).split("\n\n") if block]
    return [dict(line.split(": ", 1) for line in lines) for lines in blocks if lines[0].startswith("event")]


def test_the_stream_says_what_the_signal_says_and_again_after_a_new_bar(tmp_path):
    made = App(tmp_path)
    longer = session_closes(31)[: len(TS) + 1]
    found = streamed(made, 0.8, lambda: put_bars(made.lake, made.recipe, longer))
    bodies = [json.loads(event["data"]) for event in found]
    assert bodies[0]["bar_time"] == "2025-06-13T20:00:00Z"
    assert bodies[-1] == made.get("/signal/index").json()
    assert bodies[-1]["bar_time"] == "2025-06-16T14:30:00Z"
    assert len({event["id"] for event in found}) == len(found)


def test_streams_of_several_clients_cost_one_round_of_the_shards(app):
    async def conversation(client):
        app.ingress._about._streams.life_s = 0.3
        for handle in app.handles:
            handle.calls.clear()
        alone = await client.get("/signal/index/stream")
        once = len(app.handles[0].calls)
        many = await asyncio.gather(*(client.get("/signal/index/stream") for _ in range(8)))
        return alone, many, once, len(app.handles[0].calls) - once

    alone, many, once, eight = app.use(conversation)
    assert {reply.text for reply in many} == {alone.text}
    assert eight < 3 * once


def test_a_stream_of_another_universe_is_its_own(app):
    (event,) = streamed(app, 0.05, universe="pair")
    assert json.loads(event["data"])["universe"] == "pair"


# --- models ------------------------------------------------------------------------------------------------------

NOW = datetime(2025, 7, 1, 10, tzinfo=UTC)
VERDICT = {"passed": True, "reason": "made for a test", "metric": "macro_f1", "champion": 0.3}
SCORE = {"value": 0.3, "low": 0.2, "high": 0.4}
FIGURES = {"metric": "macro_f1", "score": 0.3, "folds": [0.2, 0.4], "holdout": {"scores": {"macro_f1": SCORE}}}


class Kept:
    """Stands in for a registry: version 2 came from a sweep whose leaderboard was kept, version 1 did not."""

    store = "here"

    def __init__(self) -> None:
        row = {"family": "logistic", "baseline": False, "metric": "macro_f1", "score": 0.3, "low": None, "high": 0.4}
        row |= {"folds": [0.2, None], "trials": 3, "error": None}
        self.board = json.dumps([row, row | {"family": "bad", "score": None, "error": "x"}])
        moves = [("promote", 1, None, "here"), ("promote", 9, None, "elsewhere"), ("promote", 2, 1, "here")]
        self.ledger = SimpleNamespace(entries=lambda: tuple(self.move(*move) for move in moves))

    def move(self, action, version, previous, store) -> Entry:
        named = {"who": "ada", "name": "bench", "alias": "Production", "why": "it is better"}
        return Entry(ts=NOW, action=action, version=version, previous=previous, store=store, **named)

    def read(self, name, version, file) -> str:
        if version != 2:
            raise RegistryError(f"no {file} at sqlite:///secret")
        return self.board

    def versions(self, name) -> list[VersionInfo]:
        known = {"family": "logistic", "created_at": NOW, "passed": True}
        return [
            VersionInfo(version=2, aliases=("Production",), metric="macro_f1", score=0.3, **known),
            VersionInfo(version=1, aliases=(), metric="", score=math.nan, **known),
        ]


@pytest.fixture
def contract(app):
    changes = {"metrics": FIGURES, "baselines": {"majority": FIGURES | {"score": 0.1}}, "verdict": VERDICT}
    return app.artefact.contract.model_copy(update=changes)


def test_the_leaderboard_is_that_of_the_sweep(contract):
    model = {"name": "bench", "version": 2, "alias": "Production"}
    board = leaderboard(Kept(), model, contract)
    LeaderboardAnswer.model_validate(board)
    assert (board["source"], board["metric"], board["verdict"]) == ("sweep", "macro_f1", VERDICT)
    first, second = board["rows"]
    assert (first["rank"], first["family"], first["champion"], first["folds"]) == (1, "logistic", True, [0.2, None])
    assert first["holdout"] == SCORE
    assert (second["champion"], second["score"], second["error"], second["holdout"]) == (False, None, "x", None)


def test_without_the_sweeps_leaderboard_it_is_what_the_contract_knows(contract):
    model = {"name": "bench", "version": 1, "alias": "Production"}
    board = leaderboard(Kept(), model, contract)
    LeaderboardAnswer.model_validate(board)
    assert board["source"] == "contract"
    assert [(r["rank"], r["family"], r["baseline"], r["score"]) for r in board["rows"]] == [
        (1, "logistic", False, 0.3),
        (2, "majority", True, 0.1),
    ]


def test_versions_and_moves_come_newest_first():
    found = versions(Kept(), "bench", 2)
    answer = VersionsAnswer.model_validate(found)
    assert [(v.version, v.aliases, v.answering) for v in answer.versions] == [(2, ["Production"], True), (1, [], False)]
    assert [(v.score, v.metric) for v in answer.versions] == [(0.3, "macro_f1"), (None, "")]
    assert [(m.version, m.previous, m.who) for m in answer.moves] == [(2, 1, "ada"), (1, None, "ada")]
    assert answer.moves[0].ts == answer.versions[0].created_at == "2025-07-01T10:00:00Z"


def test_a_registry_that_cannot_be_read_is_a_503_without_addresses_and_the_contract_still_speaks(app):
    def gone(*_):
        raise RegistryError("cannot open sqlite:///secret")

    async def conversation(client):
        app.ingress._about._registry = SimpleNamespace(read=gone, versions=gone, ledger=Kept().ledger, store="here")
        return await client.get("/versions"), await client.get("/leaderboard")

    listed, board = app.use(conversation)
    assert (listed.status_code, listed.json()["detail"]) == (503, "the registry cannot be read now")
    assert (board.status_code, board.json()["source"]) == (200, "contract")
    assert "secret" not in listed.text + board.text


# --- documentation -----------------------------------------------------------------------------------------------


def test_openapi_has_all_of_it_with_examples(app):
    spec = app.get("/openapi.json").json()
    schemas = spec["components"]["schemas"]
    for path in ("/signal/index/history", "/drift", "/universes", "/leaderboard", "/versions"):
        assert "$ref" in spec["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    stream = spec["paths"]["/signal/index/stream"]["get"]["responses"]
    assert "text/event-stream" in stream["200"]["content"]
    assert {"404", "503"} <= set(stream)
    for name in ("PastBar", "DriftAnswer", "BoardRow", "VersionPart", "Move", "ExpectedReturnPart"):
        assert schemas[name]["examples"]
