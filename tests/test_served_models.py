"""Versions that a replica holds: they answer all at once, when what they need is there, or not at all."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from bellwether.errors import RegistryError
from bellwether.models import family
from bellwether.models.training import plain
from benchmarks.book_in_process import DIRECTION, Books
from benchmarks.books import events
from benchmarks.contracts import artefact_of
from benchmarks.tick_installation import install_ticks, tick_artefact
from data.features import features_of
from data.lake import Lake
from serve_apps.book.direction import Direction
from serve_apps.book.history import History
from serve_apps.metrics import Meter
from serve_apps.models import served as module
from serve_apps.models.per_version import PerVersion
from serve_apps.models.routes import Route, to_config
from serve_apps.models.served import Served
from serve_apps.models.taking import take
from serve_apps.stores import Stores
from serve_apps.tick.ingress import Ticks
from serve_apps.tick.known import Reader
from serve_apps.tick.models import recipes_by_model
from serve_apps.tick.tape import Tape
from serve_apps.ticks import TicksArgs


def config(version: int, name: str = "one") -> dict:
    return to_config({name: Route(version=version)})


@pytest.fixture
def served(monkeypatch) -> Served:
    """Versions without graphs, of which number 9 is not there."""

    def load(name, version):
        if version == 9:
            raise RegistryError(f"{name} has no version 9")
        return version, SimpleNamespace(contract=f"contract {version}")

    monkeypatch.setattr(module, "Predictor", lambda artefact: artefact)
    return Served(lambda: SimpleNamespace(load=load), lambda name, contract: None)


async def nothing(champions) -> None:
    pass


# --- the order of things -----------------------------------------------------------------------------


def test_versions_answer_when_what_they_need_is_prepared_and_not_before(served):
    async def use():
        await served.take(config(1))
        seen, ready = [], asyncio.Event()

        async def prepare(champions):
            seen.append(([one.version for one in champions], served.choose("one").version))
            await ready.wait()

        taking = asyncio.ensure_future(take(served, config(2), Meter("test"), prepare))
        while not seen:
            await asyncio.sleep(0)
        meanwhile = [one.version for one in served.all()]
        ready.set()
        await taking
        return seen, meanwhile, served.choose("one").version

    assert asyncio.run(use()) == ([([2], 1)], [1], 2)


def test_where_it_cannot_be_prepared_the_versions_before_stay_and_it_is_said(served):
    async def fails(champions):
        raise OSError("the lake is away")

    async def use():
        await served.take(config(1), nothing)
        await served.take(config(2), fails)
        kept = served.choose("one").version, served.error
        await served.take(config(2), nothing)
        return kept, (served.choose("one").version, served.error)

    (version, why), after = asyncio.run(use())
    assert (version, after) == (1, (2, None))
    assert why == "the routes before stay, for the new ones cannot be taken: OSError: the lake is away"


def test_where_nothing_answers_yet_the_reason_is_raised(served):
    async def fails(champions):
        raise OSError("the lake is away")

    with pytest.raises(OSError, match="the lake is away"):
        asyncio.run(served.take(config(1), fails))
    with pytest.raises(RegistryError):
        asyncio.run(served.take(config(9), nothing))


def test_what_is_made_of_a_version_is_made_once_and_dropped_with_it(served):
    made = []
    of = PerVersion(served, lambda champion: made.append(champion.version) or f"made of {champion.version}")

    async def use():
        for version in (1, 1, 2, 1):
            await served.take(config(version))
            assert {of(served.choose("one")) for _ in range(3)} == {f"made of {version}"}

    asyncio.run(use())
    assert made == [1, 2, 1]


# --- in running apps ---------------------------------------------------------------------------------


class Held:
    """Holds up a method until something has been asked meanwhile."""

    def __init__(self, monkeypatch, of: type, name: str) -> None:
        self.begun, self.asked = threading.Event(), threading.Event()
        method = getattr(of, name)

        def held(*given):
            self.begun.set()
            assert self.asked.wait(30)
            return method(*given)

        monkeypatch.setattr(of, name, held)


async def asked_meanwhile(app, config, ask, held: Held) -> list:
    """What ``ask()`` says before, while and after the app takes these routes; at least once while it prepares."""
    taking, said = asyncio.ensure_future(app.reconfigure(config)), [await ask()]
    while not taking.done():
        begun = held.begun.is_set()
        said.append(await ask())
        if begun:
            held.asked.set()
        await asyncio.sleep(0)
    await taking
    assert held.asked.is_set()
    return [*said, await ask()]


def windows(recipe, rows: int, **changes):
    """A model of classes that looks at so many rows; what it says means nothing."""
    width, rng = rows * len(features_of(recipe.features).outputs), np.random.default_rng(0)
    training = plain(rng.normal(size=(60, width)), rng.integers(0, 3, 60), classes=3)
    model = family("logistic").train(training, {"C": 1.0, "balanced": True})
    return artefact_of(recipe, "logistic", model, lookback=rows, **changes)


def test_trades_are_never_without_a_prediction_while_a_version_that_looks_back_is_taken(tmp_path, monkeypatch):
    made = install_ticks(tmp_path, symbols=1, models=(), target={"kind": "direction", "horizon": 5})
    recipe = made.load()
    models = {1: tick_artefact(recipe, Lake(made.lake)), 2: windows(recipe, 3)}
    registry = SimpleNamespace(load=lambda name, version: (version, models[version]))
    monkeypatch.setattr(Stores, "open_registry", lambda stores: registry)

    async def use():
        app = Ticks(TicksArgs(**made.args()), recipes_by_model(recipe))
        await app.reconfigure(config(1, recipe.name))

        async def ask():
            return app._engine.predict("S000", ["direction_5"])["predictions"]["direction_5"]

        return await asked_meanwhile(app, config(2, recipe.name), ask, Held(monkeypatch, Tape, "view"))

    said = asyncio.run(use())
    assert {one["reason"] for one in said} == {None}
    versions = [one["model"]["version"] for one in said]
    assert versions == sorted(versions)
    assert (versions[0], versions[-1]) == (1, 2)


def test_trades_that_cannot_be_read_so_far_back_again_stay_counted_and_the_version_before_goes_on(
    tmp_path, monkeypatch
):
    made = install_ticks(tmp_path, symbols=1, models=(), target={"kind": "direction", "horizon": 5})
    recipe = made.load()
    models = {1: tick_artefact(recipe, Lake(made.lake)), 2: windows(recipe, 3)}
    registry = SimpleNamespace(load=lambda name, version: (version, models[version]))
    monkeypatch.setattr(Stores, "open_registry", lambda stores: registry)

    def torn(reader, symbol, parts, before=None):
        raise OSError("torn")

    async def use():
        app = Ticks(TicksArgs(**made.args()), recipes_by_model(recipe))
        await app.reconfigure(config(1, recipe.name))
        before = app._engine.predict("S000", ["direction_5"])
        monkeypatch.setattr(Reader, "known", torn)
        await app.reconfigure(config(2, recipe.name))
        return before, app._engine.predict("S000", ["direction_5"]), await app.missing()

    before, after, missing = asyncio.run(use())
    assert after == before
    assert missing[-1].endswith("DataError: the trades of S000 cannot be read: OSError: torn")


def test_books_never_are_too_short_while_a_version_that_looks_back_is_taken(tmp_path, monkeypatch):
    made = Books(tmp_path, DIRECTION)
    made.put(events(2, 90)[:-40], trades=True)  # the newest session has 50 rows, most of which are warm-up
    made.fit("logistic", {"C": 1.0, "balanced": True})
    made.models[2] = windows(made.recipe, 40, edges=made.models[1].contract.edges)

    async def conversation(client: httpx.AsyncClient, app):
        held = Held(monkeypatch, History, "_newest")

        async def ask():
            reply = await client.get("/predict/A")
            return reply.status_code, reply.json()

        return await asked_meanwhile(app, config(2, made.recipe.name), ask, held)

    said = made.use(Direction, conversation)
    assert {status for status, _ in said} == {200}
    versions = [body["model"]["version"] for _, body in said]
    assert versions == sorted(versions)
    assert (versions[0], versions[-1]) == (1, 2)


def test_books_whose_state_cannot_be_made_to_reach_back_go_on_as_before(tmp_path, monkeypatch):
    made = Books(tmp_path, DIRECTION | {"serving": {"app": "strategy", "refresh_s": 60.0}})
    made.put(events(2, 60), trades=True)
    made.fit("logistic", {"C": 1.0, "balanced": True})
    made.models[2] = windows(made.recipe, 40, edges=made.models[1].contract.edges)
    made.models[3] = made.models[1]

    def away(self, symbol, parts):
        raise OSError("the lake is away")

    async def conversation(client, app):
        monkeypatch.setattr(History, "_newest", away)
        said = []
        for version in (2, 3):
            await app.reconfigure(config(version, made.recipe.name))
            said.append((await client.get("/predict/A")).json()["model"]["version"])
            said.append((await client.get("/ready")).json()["missing"])
        return said

    kept, why, taken, nothing_lacks = made.use(Direction, conversation)
    assert (kept, taken) == (1, 3)  # a version that looks at no more than the one before needs nothing of the lake
    assert why[0] == (
        "the routes before stay, for the new ones cannot be taken: DataError: the history of A cannot be read: "
        "OSError: the lake is away"
    )
    assert why[1:] == [f"new books of {symbol} cannot be read: OSError: the lake is away" for symbol in "AB"]
    assert nothing_lacks == why[1:]
