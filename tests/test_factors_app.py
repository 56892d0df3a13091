"""The factors app: three rates in, the next interval's sell rate out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydantic import BaseModel

from bellwether.errors import ConfigError, ModelError, NoChampion
from bellwether.models import family
from bellwether.models.training import plain
from bellwether.registry import Ledger, Registry
from benchmarks.factors_in_process import RATES, App, body
from benchmarks.factors_installation import BOARD, EDGE, NAMES, artefact, board
from data.features.rates import POSTED
from data.targets.sell_rate import LEVELS
from serve_apps import builder
from serve_apps.factor import ingress
from serve_apps.factor.answers import (
    ClassificationAnswer,
    ClassificationBatch,
    Info,
    RegressionAnswer,
    RegressionBatch,
)
from serve_apps.factor.predicting import run
from serve_apps.factors import TARGETS, FactorsArgs, build
from serve_apps.models.routes import Route, to_config

SHARE = "it is a share of the interval's volume, between 0 and 1"
NUMBER = "send a number between 0 and 1"


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


# --- what is answered ----------------------------------------------------------------------------


def test_a_regression_is_the_sell_rate_now_plus_the_change_that_the_model_foretells(app: App) -> None:
    reply = app.post("/predict/regression", body(*RATES))
    found = RegressionAnswer.model_validate_json(reply.content)
    change = float(app.ingress.champions()[0].predictor.predict(np.array([RATES]))[0, 0])
    assert reply.status_code == 200
    assert set(reply.json()) == set(RegressionAnswer.model_fields)
    assert (found.no_change, found.prediction) == (0.25, 0.25 + change)
    assert found.prediction == pytest.approx(0.375, abs=0.02)
    assert found.features == dict(zip(POSTED, RATES, strict=True))
    assert found.model.model_dump() == {"name": "level2-factors.regression", "version": 1, "alias": "Production"}
    assert found.interpretation == (
        f"Sellers are expected to initiate {found.prediction:.1%} of the next day's volume, "
        f"{100 * change:.1f} points more than in the one posted."
    )
    assert found.notes == []


def test_its_interval_is_as_wide_as_the_contract_says_and_lies_within_the_bounds(app: App) -> None:
    radius = app.artefacts[NAMES["regression"], 1].contract.conformal["steps"][0]["radius"]
    wide = RegressionAnswer.model_validate(app.post("/predict/regression", body(*RATES)).json())
    assert wide.interval.high - wide.prediction == pytest.approx(radius)
    assert wide.prediction - wide.interval.low == pytest.approx(radius)
    assert (wide.interval.promised, wide.interval.measured) == (0.9, 0.875)
    app.artefacts[NAMES["regression"], 1] = artefact("regression", conformal={})
    assert app.post("/predict/regression", body(*RATES)).json()["interval"] is None


def test_a_rate_stays_a_rate_however_large_the_change(app: App) -> None:
    x = np.column_stack([np.linspace(0, 1, 50)] * 3)
    model = family("ridge").train(plain(x, 5 * x[:, 0] - 2.5), {"alpha": 1e-6, "lookback": 1})
    app.artefacts[NAMES["regression"], 1] = artefact("regression", model=model)
    replies = [app.get(f"/predict/regression/{path}").json() for path in ("0/0/0", "1/1/1")]
    assert [found["prediction"] for found in replies] == [0.0, 1.0]
    assert all(0 <= found["interval"]["low"] <= found["interval"]["high"] <= 1 for found in replies)


def test_a_classification_says_how_probable_it_is_that_the_rate_is_above_which_threshold(app: App) -> None:
    low, high = (app.post("/predict/classification", body(buy, 0, 0)).json() for buy in (0.9, 0.1))
    assert (low["prediction"], high["prediction"]) == LEVELS
    assert low["probability"] < 0.5 < high["probability"] == high["probabilities"]["high"]
    assert sum(high["probabilities"].values()) == pytest.approx(1)
    assert low["threshold"] == EDGE
    assert set(low) == set(ClassificationAnswer.model_fields)
    assert low["interpretation"] == (
        f"The next day's sell rate is expected to be low, 50.0% or less, with a probability of "
        f"{low['probabilities']['low']:.0%}; 50.0% is the median of the days the model was trained on."
    )


@pytest.mark.parametrize("task", TARGETS)
def test_rates_in_the_path_are_answered_like_posted_ones_and_may_be_integers(app: App, task: str) -> None:
    async def conversation(client: httpx.AsyncClient) -> None:
        for path, rates in (("0.75/0.125/0.0625", RATES), ("1/0/0", (1, 0, 0)), ("7.5e-1/.5/1.", (0.75, 0.5, 1))):
            posted = await client.post(f"/predict/{task}", json=body(*rates))
            got = await client.get(f"/predict/{task}/{path}")
            assert (got.status_code, got.content) == (200, posted.content)

    app.use(conversation)


def test_rates_that_no_trades_have_are_answered_with_a_note(app: App) -> None:
    assert app.post("/predict/regression", body(0.5, 0.6, 0.6)).json()["notes"] == [
        "large_buy_rate is above initiative_buy_rate, which it is part of in rates made of trades",
        "large_sell_rate is above 1 - initiative_buy_rate, which it is part of in rates made of trades",
    ]
    assert app.post("/predict/regression", body(0.3, 0.3, 0.7)).json()["notes"] == []


def test_a_model_that_its_gate_refused_says_so(app: App) -> None:
    app.artefacts[NAMES["regression"], 1] = artefact("regression", verdict={"passed": False, "reason": "no better"})
    (note,) = app.post("/predict/regression", body(*RATES)).json()["notes"]
    assert note.startswith("the model did not pass its gate")


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "batch"), [("regression", RegressionBatch), ("classification", ClassificationBatch)])
def test_each_row_of_a_batch_has_its_result_or_its_error(app: App, task: str, batch: type[BaseModel]) -> None:
    rows = [list(RATES), [0.5, 0.5], list(RATES), [0.5, True, 0], None, [2, 0, 0]]
    reply = app.post(f"/predict/{task}/batch", {"items": rows})
    items = batch.model_validate_json(reply.content).items  # type: ignore[attr-defined]
    assert reply.status_code == 200
    assert [item.result is None for item in items] == [False, True, False, True, True, True]
    assert [item.error is None for item in items] == [True, False, True, False, False, False]
    mistakes = [item["error"]["errors"][0] for item in reply.json()["items"] if item["error"]]
    assert [(mistake["loc"], mistake["msg"]) for mistake in mistakes] == [
        (["body", "items", 1], f"3 rates are needed, {', '.join(POSTED)}; 2 came"),
        (["body", "items", 3, 1], f"large_buy_rate is true: {NUMBER}"),
        (["body", "items", 4], f"features is null: send a list of the numbers {', '.join(POSTED)}"),
        (["body", "items", 5, 0], f"initiative_buy_rate is 2: {SHARE}"),
    ]


@pytest.mark.parametrize("task", TARGETS)
def test_a_batch_says_what_single_requests_say_but_for_the_rounding_of_a_float32(app: App, task: str) -> None:
    rows = np.random.default_rng(2).uniform(0, 1, (40, 3)).tolist()

    async def conversation(client: httpx.AsyncClient) -> tuple[Any, list[Any]]:
        together = (await client.post(f"/predict/{task}/batch", json={"items": rows})).json()
        return together, [(await client.post(f"/predict/{task}", json=body(*row))).json() for row in rows]

    together, alone = app.use(conversation)
    key = "prediction" if task == "regression" else "probability"
    for item, single in zip(together["items"], alone, strict=True):
        assert item["result"][key] == pytest.approx(single[key], abs=1e-6)
        assert item["result"]["features"] == single["features"]


def test_a_batch_is_one_run_of_the_graph(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    from bellwether.models.predictor import Predictor

    sizes = list[int]()
    predict = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda self, x: (sizes.append(len(x)), predict(self, x))[1])
    app.post("/predict/regression/batch", {"items": [list(RATES)] * 7 + [None]})
    assert sizes == [7]


@pytest.mark.parametrize("items", [[], [list(RATES)] * 1_001])
def test_a_batch_has_at_least_one_row_and_at_most_a_thousand(app: App, items: list[Any]) -> None:
    assert app.post("/predict/regression/batch", {"items": items}).status_code == 422


# --- about the models ----------------------------------------------------------------------------


def test_info_says_what_is_posted_what_is_predicted_and_how_well(app: App) -> None:
    reply = app.get("/info")
    found = Info.model_validate_json(reply.content)
    assert (found.recipe, found.interval) == ("level2-factors", "1d")
    assert [(f.name, f.low, f.high) for f in found.features] == [(name, 0.0, 1.0) for name in POSTED]
    assert {task: model.target for task, model in found.models.items()} == TARGETS
    assert [model.threshold for model in found.models.values()] == [None, EDGE]
    assert found.models["regression"].score.model_dump() == {"value": 0.25, "low": 0.125, "high": 0.5}
    assert found.models["regression"].baselines["persistence"].value is None
    assert "identity" in found.identity


def test_the_comparison_is_a_picture_that_is_drawn_once_and_sent_once(app: App) -> None:
    async def conversation(client: httpx.AsyncClient) -> tuple[httpx.Response, ...]:
        first, second = await asyncio.gather(*(client.get("/plot/model_comparison") for _ in range(2)))
        known = {"If-None-Match": f'W/"other", {first.headers["etag"]}'}
        return first, second, await client.get("/plot/model_comparison", headers=known)

    first, second, third = app.use(conversation)
    assert (first.status_code, first.headers["content-type"]) == (200, "image/png")
    assert first.content.startswith(b"\x89PNG\r\n")
    assert (second.content, second.headers["etag"]) == (first.content, first.headers["etag"])
    assert (third.status_code, third.content) == (304, b"")


def test_another_version_has_another_picture(app: App) -> None:
    name = NAMES["regression"]
    app.artefacts[name, 2] = artefact("regression", seed=2)
    app.boards[name, 2] = board(("mlp", False, 0.4))

    async def conversation(client: httpx.AsyncClient) -> list[str]:
        before = await client.get("/plot/model_comparison")
        await app.ingress.reconfigure(to_config(app.routes | {name: Route(version=2)}))
        return [reply.headers["etag"] for reply in (before, await client.get("/plot/model_comparison"))]

    before, after = app.use(conversation)
    assert before != after


def test_a_version_without_a_leaderboard_is_a_404(app: App) -> None:
    app.boards.pop((NAMES["classification"], 1))
    reply = app.get("/plot/model_comparison")
    assert reply.status_code == 404
    assert reply.json()["detail"] == "no leaderboard.json 'level2-factors.classification version 1'"


def test_it_is_ready_with_two_models(app: App) -> None:
    assert app.get("/ready").json() == {"ready": True, "missing": []}
    assert {model["name"] for model in app.get("/model-info").json()["models"]} == set(NAMES.values())


def test_every_status_of_every_path_is_documented(app: App) -> None:
    paths = app.get("/openapi.json").json()["paths"]
    rates = "{initiative_buy_rate}/{large_buy_rate}/{large_sell_rate}"
    for task in TARGETS:
        for path in (f"/predict/{task}", f"/predict/{task}/batch", f"/predict/{task}/{rates}"):
            ((_, operation),) = paths[path].items()
            assert {"200", "422"} <= set(operation["responses"])
    bounds = [p["schema"] for p in paths[f"/predict/regression/{rates}"]["get"]["parameters"]]
    assert [(bound["minimum"], bound["maximum"]) for bound in bounds] == [(0, 1)] * 3
    assert {"200", "304", "404"} <= set(paths["/plot/model_comparison"]["get"]["responses"])


# --- versions ------------------------------------------------------------------------------------


def test_a_canary_answers_its_share_and_a_shadow_is_logged_only(app: App) -> None:
    name = NAMES["regression"]
    app.artefacts[name, 2] = artefact("regression", seed=2)
    app.routes[name] = Route(version=1, candidate=2, canary=0.5, shadow=True)

    async def conversation(client: httpx.AsyncClient) -> list[int]:
        found = []
        for k in range(20):
            called = {"X-Request-ID": f"request-{k}"}
            reply = await client.post("/predict/regression", json=body(*RATES), headers=called)
            found.append(reply.json()["model"]["version"])
        return found

    versions = app.use(conversation)
    assert set(versions) == {1, 2}
    answered, shadows = ([row for row in app.logged if row.answered is which] for which in (True, False))
    assert [row.version for row in answered] == versions
    assert [row.version for row in shadows] == [3 - version for version in versions]
    assert [row.request_id for row in shadows] == [f"request-{k}" for k in range(20)]


def test_every_row_that_was_answered_is_logged_with_what_the_model_saw_and_said(app: App) -> None:
    reply = app.post("/predict/classification/batch", {"items": [list(RATES), None, [0, 0, 0]]}).json()
    assert [row.features for row in app.logged] == [RATES, (0.0, 0.0, 0.0)]
    assert [row.output[1] for row in app.logged] == [
        item["result"]["probability"] for item in reply["items"] if item["result"]
    ]
    assert len({row.inputs_sha for row in app.logged}) == 2


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"definition": "another"}, "feature definition"), ({"target": "sell_rate_identity"}, "target is")],
)
def test_a_model_of_something_else_is_refused(app: App, changes: dict[str, Any], why: str) -> None:
    app.artefacts[NAMES["regression"], 1] = artefact("regression", **changes)
    with pytest.raises(ModelError, match=why):
        app.get("/health")


def test_without_a_champion_it_is_not_built(home: Path) -> None:
    with pytest.raises(NoChampion, match=r"level2-factors\.regression"):
        build(FactorsArgs())


def test_a_model_that_looks_back_is_refused_for_a_request_has_one_interval(app: App) -> None:
    x = np.random.default_rng(0).uniform(0, 1, (100, 9))
    model = family("ridge").train(plain(x, x[:, 0], lookback=3), {"alpha": 1.0, "lookback": 3})
    app.artefacts[NAMES["regression"], 1] = artefact("regression", model=model, lookback=3)
    with pytest.raises(ModelError, match="the model looks at 3 intervals and a request has one"):
        app.post("/predict/regression", body(*RATES))


def test_a_shadow_that_fails_costs_the_answer_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(champion: Any, rows: Any) -> Any:
        if champion.version == 2:
            raise RuntimeError("the graph is damaged")
        return run(champion, rows)

    name = NAMES["regression"]
    app.artefacts[name, 2], app.routes[name] = (
        artefact("regression", seed=3),
        Route(version=1, candidate=2, shadow=True),
    )
    monkeypatch.setattr(ingress, "run", fails)
    assert app.post("/predict/regression", body(*RATES)).json()["model"]["version"] == 1
    assert [row.version for row in app.logged] == [1]


def test_a_recipe_whose_variants_are_others_is_refused(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[1] / "pipelines" / "recipes" / "level2-factors.yaml").read_text()
    other = tmp_path / "mine.yaml"
    other.write_text(text.replace("kind: sell_rate,", "kind: sell_rate_identity,"))
    with pytest.raises(ConfigError, match="factors serves sell_rate of the features rates as regression"):
        build(FactorsArgs(recipe=str(other)))


# --- on Ray --------------------------------------------------------------------------------------


@pytest.mark.ray
def test_over_http_on_a_cluster_a_promotion_reaches_the_running_replica(on_serve, tmp_path):
    places = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db", "ledger": f"{tmp_path}/promotions.jsonl"}
    registry = Registry(places["tracking_uri"], Ledger(places["ledger"]))

    def add(task: str, seed: int) -> None:
        version = registry.register(
            NAMES[task], artefact(task, seed=seed), files={"leaderboard.json": BOARD}, metrics={}
        )
        registry.promote(NAMES[task], version, "Production", who="test", why="test")

    for task in TARGETS:
        add(task, 0)
    made, arguments = builder("factors")
    with on_serve(factors=made(arguments(lake=f"{tmp_path}/lake", **places))) as base:
        url = f"{base}/factors"
        found = httpx.post(f"{url}/predict/regression", json=body(*RATES), timeout=30).json()
        assert found["prediction"] == pytest.approx(0.375, abs=0.02)
        assert httpx.get(f"{url}/predict/classification/1/0/0", timeout=30).json()["prediction"] == "low"
        assert httpx.get(f"{url}/predict/classification/2/0/0", timeout=30).status_code == 422
        assert httpx.get(f"{url}/plot/model_comparison", timeout=60).content.startswith(b"\x89PNG")
        add("regression", 3)
        reloaded = httpx.post(f"{url}/reload-model", timeout=60).json()
        assert (reloaded["before"][NAMES["regression"]], reloaded["after"][NAMES["regression"]]) == (1, 2)
        assert httpx.get(f"{url}/predict/regression/1/0/0", timeout=30).json()["model"]["version"] == 2
