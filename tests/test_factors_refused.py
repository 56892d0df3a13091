"""The factors app refuses what is no rate, with the feature, the bound and the value, and never with a 5xx; and says so
where its model gives no number."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.factors_in_process import JSON, RATES, App, body
from benchmarks.factors_installation import NAMES, artefact
from data.features.rates import POSTED
from serve_apps.factor import ingress
from serve_apps.factor.predicting import run
from serve_apps.factors import TARGETS
from serve_apps.models.routes import Route

SHARE = "it is a share of the interval's volume, between 0 and 1"
NUMBER = "send a number between 0 and 1"


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (True, f"is true: {NUMBER}"),
        ("0.5", f'is "0.5": {NUMBER}'),
        (None, f"is null: {NUMBER}"),
        ([0.5], f"is a list: {NUMBER}"),
        ({}, f"is an object: {NUMBER}"),
        (float("nan"), f"is NaN: {SHARE}"),
        (float("inf"), f"is Infinity: {SHARE}"),
        (float("-inf"), f"is -Infinity: {SHARE}"),
        (-1e-9, f"is -1e-09: {SHARE}"),
        (1.0000001, f"is 1.0000001: {SHARE}"),
        (10**50, f"is {str(10**50)[:40]}…: {SHARE}"),
    ],
)
@pytest.mark.parametrize("place", range(3))
def test_a_number_that_is_no_rate_is_a_422_with_feature_bound_and_value(
    app: App, place: int, value: Any, why: str
) -> None:
    rates = list[Any](RATES)
    rates[place] = value
    reply = app.post("/predict/classification", body(*rates))
    (mistake,) = reply.json()["errors"]
    assert reply.status_code == 422
    assert (mistake["loc"], mistake["msg"]) == (["body", "features", place], f"{POSTED[place]} {why}")


@pytest.mark.parametrize(
    ("posted", "why"),
    [
        ({"features": [0.5, 0.1]}, f"3 rates are needed, {', '.join(POSTED)}; 2 came"),
        ({"features": [0.5, 0.1, 0.1, 0.1]}, f"3 rates are needed, {', '.join(POSTED)}; 4 came"),
        (
            {"features": {}},
            f"features is an object: send a list of the numbers {', '.join(POSTED)}",
        ),
        ({"features": [0.5, 0.1, 0.1], "symbol": "A"}, "Extra inputs are not permitted"),
        ({}, "Field required"),
    ],
)
def test_a_body_of_another_shape_is_a_422(app: App, posted: Any, why: str) -> None:
    reply = app.post("/predict/regression", posted)
    assert (reply.status_code, reply.json()["errors"][0]["msg"]) == (422, why)


@pytest.mark.parametrize("text", ["nan", "inf", "true", "1_0", "0x1", "١", "-0.5", "1e999", "1.5", "%20"])
def test_text_in_the_path_that_is_no_rate_is_a_422_that_names_the_feature(app: App, text: str) -> None:
    reply = app.get(f"/predict/regression/0.5/{text}/0.5")
    (mistake,) = reply.json()["errors"]
    assert (reply.status_code, mistake["loc"]) == (422, ["path", "large_buy_rate"])
    assert mistake["msg"].startswith("large_buy_rate is ")


# --- a model that gives no numbers ---------------------------------------------------------------

HARD = (0.0, 0.0, 0.0)
"""The row that models of these tests give no finite number of."""

SAID = " gives no finite numbers of what it is shown: retrain the model"


def spoilt(monkeypatch: pytest.MonkeyPatch, value: float, version: int = 1) -> None:
    """Let a version give this in a place of its answer to `HARD`."""

    def spoils(champion: Any, rows: Any) -> Any:
        output = run(champion, rows)
        if champion.version == version:
            output[[row == HARD for row in rows], -1] = value
        return output

    monkeypatch.setattr(ingress, "run", spoils)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(("task", "family"), [("regression", "ridge"), ("classification", "logistic")])
def test_where_a_model_gives_no_finite_number_it_is_a_503_that_says_so(
    app: App, monkeypatch: pytest.MonkeyPatch, task: str, family: str, value: float
) -> None:
    spoilt(monkeypatch, value)
    for reply in (app.post(f"/predict/{task}", body(*HARD)), app.get(f"/predict/{task}/0/0/0")):
        assert (reply.status_code, reply.headers["content-type"]) == (503, "application/problem+json")
        assert reply.json()["detail"] == family + SAID
    assert app.logged == []


@pytest.mark.parametrize("task", TARGETS)
def test_it_costs_no_other_row_of_a_batch_and_is_not_noted(
    app: App, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    spoilt(monkeypatch, float("nan"))
    reply = app.post(f"/predict/{task}/batch", {"items": [list(RATES), list(HARD), [2, 0, 0], list(RATES)]})
    items = json.loads(reply.content, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["items"]
    assert reply.status_code == 200
    assert [item["error"] and item["error"]["status"] for item in items] == [None, 503, 422, None]
    assert items[1]["error"]["detail"].endswith(SAID)
    assert items[0]["result"] == items[3]["result"]
    assert [row.features for row in app.logged] == [RATES, RATES]


def test_of_a_shadow_it_costs_the_answer_nothing_and_is_told(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = NAMES["regression"]
    app.artefacts[name, 2] = artefact("regression", seed=2)
    app.routes[name] = Route(version=1, candidate=2, shadow=True)
    spoilt(monkeypatch, float("nan"), version=2)
    assert app.post("/predict/regression", body(*HARD)).json()["model"]["version"] == 1
    assert [row.version for row in app.logged] == [1]
    assert f"version 2 of {name} gives no finite numbers of {HARD}" in caplog.text


# --- any JSON at all -----------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([0, 1, 0.5]) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
POSSIBLE = st.integers(0, 1) | st.floats(0, 1)
BODIES = (
    st.fixed_dictionaries({"features": st.lists(POSSIBLE | ANYTHING, min_size=2, max_size=4) | ANYTHING}) | ANYTHING
)


def valid(posted: Any) -> bool:
    """Written apart from what the app does: exactly three numbers between 0 and 1, and nothing else."""
    if not isinstance(posted, dict) or posted.keys() != {"features"} or not isinstance(posted["features"], list):
        return False
    rates = posted["features"]
    return len(rates) == 3 and all(type(rate) in (int, float) and 0 <= rate <= 1 for rate in rates)


def test_any_json_at_all_is_answered_if_and_only_if_it_is_three_rates(app: App) -> None:
    seen = set[int]()

    async def conversation(client: httpx.AsyncClient) -> None:
        loop = asyncio.get_running_loop()

        @given(posted=BODIES, task=st.sampled_from(list(TARGETS)))
        @example(posted={"features": [0, 0.5, 1]}, task=next(iter(TARGETS)))  # chance may make none that is good
        @settings(max_examples=300)
        def check(posted: Any, task: str) -> None:
            asked = client.post(f"/predict/{task}", content=json.dumps(posted), headers=JSON)
            reply = asyncio.run_coroutine_threadsafe(asked, loop).result(30)
            seen.add(reply.status_code)
            assert reply.status_code == (200 if valid(posted) else 422)

        await asyncio.to_thread(check)

    app.use(conversation)
    assert seen == {200, 422}
