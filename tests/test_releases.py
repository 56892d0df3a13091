"""Which versions an answer is made of: one release an answer, whoever is asked, while the versions change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellwether.config.recipe import own_name
from bellwether.errors import ConfigError, ModelError, NoChampion, RegistryError
from bellwether.models.artefact import Artefact
from benchmarks.in_process import App, Held, holding
from benchmarks.installation import artefact, prepare
from data.lake import Lake
from serve_apps.index.component_predictor import ComponentPredictor
from serve_apps.index.published import publish
from serve_apps.index.releases import Release, Releases, own_recipe, resolved
from serve_apps.index.shard_state import ShardState
from serve_apps.index.sharding import shards
from serve_apps.metrics import Meter
from serve_apps.models.routes import Route, to_config
from serve_apps.models.served import Served

BUY = {1: 0.25, 2: 0.3, 3: 0.35}
"""What each version is known by at the ingress: its calibrated threshold."""

MODELS: dict[int, tuple[bytes, str]] = {}
"""What each version is known by in the shards: the graph, and its hash."""


class Several(Held):
    """Stores whose registry holds some versions of the pooled model, and of symbols' own; each predicts otherwise."""

    def open_registry(self):
        def load(name: str, version: int) -> tuple[int, Artefact]:
            if version not in BUY:
                raise RegistryError(f"{name} has no version {version}")
            content, sha256 = MODELS[version]
            changes = {"buy": BUY[version], "sell": -BUY[version], "sha256": sha256}
            if "." in name:
                changes["symbols"] = (name.partition(".")[2],)
            return version, Artefact(content=content, contract=self.artefact.contract.model_copy(update=changes))

        return SimpleNamespace(load=load, contract=lambda name, version: load(name, version)[1].contract)


def app_of(home, **options) -> App:
    app = App(home, thresholds="calibrated", **options)
    for version in set(BUY) - set(MODELS):
        made = artefact(app.recipe, app.lake, labels=version)
        MODELS[version] = made.content, made.contract.sha256
    app.stores = Several(**vars(app.stores))
    return route(app, version=1)


def route(app: App, **routes) -> App:
    app.config = to_config({app.recipe.name: Route(**routes)})
    return app


def changed(app: App, **routes) -> dict:
    return to_config({app.recipe.name: Route(**routes)})


async def take(app: App, config: dict) -> None:
    """What Serve does with a new ``user_config``."""
    await asyncio.gather(*(one.reconfigure(config) for one in (app.ingress, *(h.shard for h in app.handles))))


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    return app_of(tmp_path_factory.mktemp("releases"))


# --- a promotion ---------------------------------------------------------------------------------


def test_every_answer_is_of_one_version_while_it_changes_and_none_fails(app):
    """Thresholds are the ingress's, probabilities the shards': all are those of the version that the answer names."""

    async def conversation(client):
        done, seen, expected = asyncio.Event(), [], {}
        for version in (2, 3, 1):
            await take(app, changed(app, version=version))
            expected[version] = (await client.get("/signal/index")).json()

        async def loop():
            while not done.is_set() or len(seen) < 50:
                seen.append(await client.get("/signal/index"))
                await asyncio.sleep(0)

        loops = [asyncio.create_task(loop()) for _ in range(3)]
        for version in (2, 3, 1):
            await asyncio.sleep(0.05)
            await take(app, changed(app, version=version))
        done.set()
        await asyncio.gather(*loops)
        return seen, expected, (await client.get("/model-info")).json()["models"]

    seen, expected, models = app.use(conversation)
    assert {reply.status_code for reply in seen} == {200}
    answers = [reply.json() for reply in seen]
    assert len({str(answer["components"]) for answer in expected.values()}) == len(BUY)
    assert all(answer == expected[answer["model"]["version"]] for answer in answers)
    assert {version: answer["thresholds"]["buy"] for version, answer in expected.items()} == BUY
    assert {answer["model"]["version"] for answer in answers} == {1, 2, 3}
    assert [model["version"] for model in models] == [1]


def test_the_ingress_changes_when_its_shards_are_ready_and_not_before(app):
    async def conversation(client):
        app.handles[1].delay = 0.2
        taking = asyncio.create_task(app.ingress.reconfigure(changed(app, version=2)))
        await asyncio.sleep(0.1)
        during = (await client.get("/model-info")).json()["models"][0]["version"]
        await taking
        return during, (await client.get("/model-info")).json()["models"][0]["version"]

    assert app.use(conversation) == (1, 2)


def test_a_shard_is_asked_by_a_version_it_has_not_been_told_of_and_loads_it(app):
    async def conversation(client):
        await app.ingress.reconfigure(changed(app, version=3))
        return (await client.get("/signal/index")).json()

    answer = app.use(conversation)
    assert (answer["coverage"], answer["model"]["version"]) == (1.0, 3)


def test_a_version_that_cannot_be_loaded_leaves_the_one_before_and_ready_says_so(app):
    async def conversation(client):
        await take(app, changed(app, version=9))
        answers = [await client.get(path) for path in ("/signal/index", "/ready")]
        await take(app, changed(app, version=2))
        return *answers, await client.get("/ready")

    signal, hurt, healed = app.use(conversation)
    assert signal.json()["model"]["version"] == 1
    assert hurt.status_code == 503
    assert any("the versions before stay" in one and "has no version 9" in one for one in hurt.json()["missing"])
    assert healed.status_code == 200


def test_a_first_version_that_cannot_be_loaded_stops_the_replica(tmp_path):
    with pytest.raises(RegistryError, match="has no version 9"):
        route(app_of(tmp_path), version=9).get("/signal/index")


def test_an_answer_under_way_while_its_version_is_promoted_leaves_no_old_name_behind(app):
    """The canary's answer is composed when the candidate has become the version in Production already."""
    route(app, version=1, candidate=2, canary=1.0)

    async def conversation(client):
        shard, asked, promoted = app.handles[0].shard, asyncio.Event(), asyncio.Event()
        app.ingress._shards.timeout_s, predict = 30.0, shard.predict

        async def waiting(*arguments):
            asked.set()
            await promoted.wait()
            return await predict(*arguments)

        shard.predict = waiting
        canary = asyncio.create_task(client.get("/signal/index"))
        await asked.wait()
        await app.ingress.reconfigure(changed(app, version=2))
        promoted.set()
        return await canary, await client.get("/signal/index")

    before, after = app.use(conversation)
    route(app, version=1)
    assert before.json()["model"] == {"name": "bench", "version": 2, "alias": "Staging"}
    assert after.json()["model"] == {"name": "bench", "version": 2, "alias": "Production"}


# --- canary and shadow ---------------------------------------------------------------------------


def test_a_canary_answers_its_share_by_the_name_of_the_request(app):
    route(app, version=1, candidate=2, canary=0.5)

    async def conversation(client):
        replies = [
            await client.get("/signal/index", headers={"X-Request-ID": f"request-{k}"})
            for _ in range(2)
            for k in range(60)
        ]
        return [reply.json()["model"] for reply in replies]

    models = app.use(conversation)
    route(app, version=1)
    assert models[:60] == models[60:]  # the same request, the same version
    assert {(model["version"], model["alias"]) for model in models} == {(1, "Production"), (2, "Staging")}
    assert 15 < [model["version"] for model in models[:60]].count(2) < 45


def logged(app: App, conversation) -> list[dict]:
    """What is in the prediction log after a conversation."""
    rows = []

    async def then(client):
        app.ingress._notes._recorder._log = SimpleNamespace(add=rows.append)
        await conversation(client)
        for _ in range(100):
            await asyncio.sleep(0.005)

    app.use(then)
    return [row._asdict() for row in rows]


def test_a_shadow_predicts_for_the_log_and_answers_nothing(app):
    route(app, version=1, candidate=2, shadow=True)

    async def conversation(client):
        for _ in range(3):
            assert (await client.get("/signal/index")).json()["model"]["version"] == 1

    rows = logged(app, conversation)
    route(app, version=1)
    assert len(rows) == 2 * len(app.symbols)  # each new prediction once, however often it is asked for
    assert {(row["version"], row["alias"], row["answered"]) for row in rows} == {
        (1, "Production", True),
        (2, "Staging", False),
    }
    assert {row["symbol"] for row in rows} == set(app.symbols)
    assert all(len(row["features"]) == len(app.artefact.contract.features) and row["ts_from"] for row in rows)


def test_the_prediction_of_one_component_is_noted_once_whoever_asks_first(app):
    async def conversation(client):
        for _ in range(2):
            await client.get("/predict/component", params={"symbol": "S002"})
        await client.get("/signal/index")

    rows = logged(app, conversation)
    assert [row["symbol"] for row in rows] == ["S002", "S000", "S001", "S003", "S004"]
    assert all(row["answered"] and len(row["features"]) == len(app.artefact.contract.features) for row in rows)


# --- a symbol's own model ------------------------------------------------------------------------


def own_app(home, **own) -> App:
    """Version 1 of the pooled model, and of some symbols another version of their own."""
    app = app_of(home, models="per_symbol", loaded=2)
    routes = {own_name(app.recipe.name, symbol): Route(version=version) for symbol, version in own.items()}
    app.config = to_config({app.recipe.name: Route(version=1)} | routes)
    return app


def test_a_symbol_is_answered_by_its_own_model_and_the_others_by_the_pooled_one(tmp_path):
    app = own_app(tmp_path, S001=2, S004=3)

    async def conversation(client):
        parts = [(await client.get("/predict/component", params={"symbol": s})).json()["model"] for s in app.symbols]
        return parts, (await client.get("/signal/index")).json(), (await client.get("/model-info")).json()["models"]

    parts, signal, models = app.use(conversation)
    assert [(part["name"], part["version"]) for part in parts] == [
        *(("bench", 1), ("bench.S001", 2), ("bench", 1), ("bench", 1), ("bench.S004", 3))
    ]
    assert (signal["coverage"], signal["model"]["name"]) == (1.0, "bench")
    assert [(model["name"], model["version"]) for model in models] == [
        ("bench", 1),
        ("bench.S001", 2),
        ("bench.S004", 3),
    ]


def test_the_history_knows_the_last_bar_that_any_of_its_models_was_fitted_on(tmp_path):
    app = own_app(tmp_path, S001=2)
    late = datetime(2025, 6, 12, 20, tzinfo=UTC)
    opened = app.stores.open_registry()

    def contract(name, version):
        found = opened.contract(name, version)
        return found.model_copy(update={"train_end": late}) if name == "bench.S001" else found

    stores = SimpleNamespace(open_registry=lambda: SimpleNamespace(contract=contract))
    published = publish(app.config, app.recipe, stores)
    assert published.train_end(published.releases.answering) == late
    assert published.train_end(Release(1)) == opened.contract("bench", 1).train_end < late


def test_no_more_of_them_are_held_than_the_recipe_allows(tmp_path):
    app = own_app(tmp_path)
    state = ShardState(app.recipe, app.stores, app.symbols, Meter("test"))
    release = Release(1, tuple((symbol, 2) for symbol in app.symbols))
    predicted = state.predicted(state.view("x"), release)
    assert [predicted[symbol].prediction.symbol for symbol in app.symbols] == list(app.symbols)
    assert state._own.held == (("bench.S003", 2), ("bench.S004", 2))


def test_a_model_of_another_symbol_is_refused(tmp_path):
    app = own_app(tmp_path)
    stores = holding(app.lake, app.artefact)  # pooled, whatever it is called
    state = ShardState(app.recipe, stores, app.symbols, Meter("test"))
    with pytest.raises(ModelError, match="components is S000, S001, S002, S003, S004 and the one served is S002"):
        state.predictor(Release(1, (("S002", 1),)), "S002")


def test_symbols_without_a_model_of_their_own_have_no_route(tmp_path):
    recipe = prepare(tmp_path, components=3, models="per_symbol").load()

    def resolve(name, alias):
        if name in (recipe.name, "bench.S002") and alias == "Production":
            return 5
        raise NoChampion(name)

    routes = resolved(SimpleNamespace(resolve=resolve), recipe, "Production", canary=0.0, shadow=False)
    assert {name: route.version for name, route in routes.items()} == {"bench": 5, "bench.S002": 5}
    assert own_recipe(recipe, "S002").universe.symbols == ("S002",)
    with pytest.raises(NoChampion):
        resolved(SimpleNamespace(resolve=resolve), recipe, "Production", canary=0.5, shadow=False)


def test_the_candidate_release_is_made_of_candidates_where_there_are_any():
    routes = {
        "m": Route(version=1, candidate=2, canary=0.5),
        "m.A": Route(version=4, candidate=5),
        "m.B": Route(version=6),
    }
    both = Releases(name="m", routes=routes, symbols=("A", "B", "C")).all
    assert both == (Release(1, (("A", 4), ("B", 6))), Release(2, (("A", 5), ("B", 6))))


# --- shards --------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 8), st.data())
def test_a_symbol_more_moves_at_most_one_other_across_each_boundary(n, count, data):
    symbols = [f"S{k}" for k in range(n)]
    grown = list(symbols)
    grown.insert(data.draw(st.integers(0, n)), "new")
    place, then = (
        {symbol: k for k, part in enumerate(shards(universe, count)) for symbol in part}
        for universe in (symbols, grown)
    )
    if n >= count:  # or there is a shard more, too
        assert sum(place[symbol] != then[symbol] for symbol in symbols) <= count - 1


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["A", "B"]], "left out: C"),
        ([["A", "B"], ["B", "C"]], "more than once: B"),
        ([["A", "B", "C", "D"]], "not of the universe: D"),
        ([["A", "B", "C"], []], "a group is empty"),
    ],
)
def test_groups_that_are_no_partition_are_refused(groups, message):
    with pytest.raises(ConfigError, match=message):
        shards("ABC", groups)


def test_groups_may_stand_in_the_recipe_and_keep_the_universes_order_in_answers(tmp_path):
    groups = [["S002"], ["S001", "S000"]]
    recipe = prepare(tmp_path, components=3, shards=groups).load()
    assert shards(recipe.universe.symbols, recipe.serving.shards) == (("S002",), ("S001", "S000"))
    app = App(tmp_path, components=3, count=groups)
    assert [c["symbol"] for c in app.get("/signal/index").json()["components"]] == ["S000", "S001", "S002"]


# --- what every app's models do ------------------------------------------------------------------


def test_served_models_stay_where_new_routes_cannot_be_taken(tmp_path):
    made = prepare(tmp_path, components=3)
    recipe, lake = made.load(), Lake(made.lake)
    stores = Several(**vars(holding(lake, artefact(recipe, lake))))
    MODELS.update({version: MODELS.get(version, (stores.artefact.content, "")) for version in BUY})
    served = Served(stores.open_registry, lambda name, contract: None)

    async def use():
        with pytest.raises(RegistryError):
            await served.take(to_config({"bench": Route(version=9)}))
        await served.take(to_config({"bench": Route(version=1)}))
        await served.take(to_config({"bench": Route(version=9)}))
        first = served.choose("bench").version, served.error
        await served.take(to_config({"bench": Route(version=2)}))
        return first, (served.choose("bench").version, served.error)

    (kept, why), then = asyncio.run(use())
    assert (kept, "has no version 9" in why) == (1, True)
    assert then == (2, None)


def test_a_shard_that_cannot_prepare_a_release_says_why(tmp_path):
    app = app_of(tmp_path)

    async def use():
        shard = ComponentPredictor(app.recipe, app.symbols, app.stores)
        return await shard.prepare([Release(1)]), await shard.prepare([Release(9)])

    assert asyncio.run(use()) == (None, "RegistryError: bench has no version 9")
