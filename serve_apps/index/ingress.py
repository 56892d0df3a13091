"""The ingress of the index signal: what each endpoint does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from bellwether.config import Recipe
from bellwether.errors import ModelError
from bellwether.signal import Absence
from serve_apps.args import AppArgs
from serve_apps.index.about import NAMED, About
from serve_apps.index.answers import AWAY, UNKNOWN, BatchAnswer, ComponentAnswer, IndexReady, SignalAnswer
from serve_apps.index.component_predictor import Explained
from serve_apps.index.composer import Composer
from serve_apps.index.notes import Notes
from serve_apps.index.posted import Posted
from serve_apps.index.posted_bars import PostedBars
from serve_apps.index.posts import check_symbol, checked, posted, predict
from serve_apps.index.published import Published, publish
from serve_apps.index.recorder import APP, Recorder
from serve_apps.index.releases import Release
from serve_apps.index.schemas import BatchRequest, PredictRequest
from serve_apps.index.shard_client import ShardClient, Unanswered
from serve_apps.index.universes import Basket
from serve_apps.index.wire import Json, prediction_json
from serve_apps.metrics import Meter
from serve_apps.models.redeploy import redeploy
from serve_apps.models.served import Named
from serve_apps.prediction_log import PredictionLog
from serve_apps.stores import Stores
from serve_apps.web.bodies import answer
from serve_apps.web.common import install_common
from serve_apps.web.guard import guard
from serve_apps.web.pages import install_page
from serve_apps.web.problems import refusal, unavailable
from serve_apps.web.request_id import request_id

BUILD = "serve_apps.index_signal:build"

NOTHING_YET = "no model is loaded yet"

PATIENCE_S = 30.0
"""How long shards may take to load a release before the ingress answers by it without them."""

log = logging.getLogger(__name__)


class IndexSignal:
    """The Serve ingress: HTTP in, one call to each shard, one composed answer out.

    Parameters
    ----------
    recipe : Recipe
    args : AppArgs
        What the app was built with.
    slices : sequence of tuple of str
        The symbols of each shard.
    handles : sequence
        The shards, in the same order.
    stores : Stores
    clock : callable
        The time, UTC nanoseconds; looked at where ``serving.clock`` is ``wall``.

    Raises
    ------
    NotInLake
        The weights are not ingested: the replica does not start.
    """

    def __init__(
        self,
        recipe: Recipe,
        args: AppArgs,
        slices: Sequence[tuple[str, ...]],
        handles: Sequence[Any],
        stores: Stores,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._recipe, self._args, self._stores = recipe, args, stores
        self._shards = ShardClient(handles, slices, recipe.serving.timeout_s)
        self._composer = Composer(recipe, lake := stores.open_lake(), clock)
        self._meter = Meter(APP)
        self._log = PredictionLog(lake, APP)
        self._notes = Notes(Recorder(self._log, self._meter), self._shards)
        self._about = About(
            recipe,
            stores,
            shards=self._shards,
            weights=self._composer.weights,
            now=self._now,
            body=self._body,
            streams=max(1, args.max_ongoing // 2),
            meter=self._meter,
        )
        self._bars = PostedBars(recipe, lake, clock)
        self._published: Published | None = None
        self._error: str | None = None
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._composer.weights.follow(recipe.serving.refresh_s))
        self._measuring = loop.create_task(self._about.follow_drift(lambda: self._published))

    def __del__(self) -> None:
        """Measure no more, and write the predictions that wait.

        Serve calls this when a replica that goes has answered its requests.
        """
        if hasattr(self, "_measuring"):
            self._measuring.cancel()
        if hasattr(self, "_log"):
            self._log.close()

    async def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Answer by these routes once the shards have loaded what they name; until then, by those before.

        Where a version cannot be served those before stay, and ``/ready`` says why.

        Raises
        ------
        ModelError, RegistryError
            The same where there are none before: the replica does not start.
        """
        try:
            published = await asyncio.to_thread(publish, config, self._recipe, self._stores)
            await self._prepare(published.releases.all)
        except Exception as error:
            if self._published is None:
                raise
            log.exception("the versions before stay")
            self._error = f"the versions before stay, for the new ones cannot be served: {error}"
            return
        self._published, self._error = published, None
        self._shards.keep(published.releases.all)
        for one in published.named:
            self._meter.reloaded(one.name, one.version)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The HTTP API. Endpoints return finished bodies; the models named here are for the documentation."""
        api = FastAPI(title="Bellwether index signal", summary="Predictions of components, composed into one signal.")
        api.get("/signal/index", response_model=SignalAnswer, responses=UNKNOWN | AWAY)(self.signal)
        api.get("/predict/component", response_model=ComponentAnswer, responses=UNKNOWN | AWAY)(self.component)
        api.post("/predict", response_model=ComponentAnswer, responses=UNKNOWN | AWAY)(self.predict)
        api.post("/predict/batch", response_model=BatchAnswer, responses=AWAY)(self.predict_batch)
        self._bars.install(api)
        self._about.install(api)
        install_common(api, self, self.report, IndexReady)
        install_page(api)
        guard(api, app=APP, safety=self._args.safety, answered=self._meter.answered)
        return api

    async def signal(self, universe: str | None = NAMED) -> Response:
        """The index signal, with every component's part in it, and what the index is expected to return."""
        return answer(await self._body(self._about.universes.find(universe), request_id()))

    async def component(self, symbol: str = Query(description="A component of the universe.")) -> Response:
        """The prediction of one component from its newest closed bar, with the features behind it."""
        check_symbol(self._recipe, symbol)
        published, shard, started = self._now(), self._shards.shard_of(symbol), time.perf_counter()
        release = published.releases.choose(request_id())
        found = await self._shards.call(shard, "explain", symbol, release.narrowed(self._shards.slices[shard]))
        if isinstance(found, Absence | Unanswered):
            raise unavailable(f"{symbol}: {found.reason}")
        self._notes.newest(found, published.releases, release, time.perf_counter() - started)
        return answer(_explained(found, published, release))

    async def predict(self, request: PredictRequest) -> Response:
        """The prediction of one component from the bars in the request."""
        published = self._now()
        release = published.releases.choose(request_id())
        (item,) = await self._predict([posted(request, self._recipe, published.contract(release))], published, release)
        if isinstance(item, HTTPException | RequestValidationError):
            raise item
        return answer(item)

    async def predict_batch(self, batch: BatchRequest) -> Response:
        """Predictions from the bars of several requests; each has its result or its error."""
        published = self._now()
        release = published.releases.choose(request_id())
        contract = published.contract(release)
        looked = await asyncio.to_thread(lambda: [checked(item, self._recipe, contract) for item in batch.items])
        good = [item for item in looked if isinstance(item, Posted)]
        answers = iter(await self._predict(good, published, release))
        items = [next(answers) if isinstance(item, Posted) else item for item in looked]
        return answer({"items": [_item(item) for item in items]})

    def champions(self) -> Sequence[Named]:
        """The versions that answer, and those beside them."""
        return self._now().named

    async def reload(self) -> Json:
        """Let the versions answer that carry the aliases now."""
        return await redeploy(BUILD, self._args)

    async def missing(self) -> Sequence[str]:
        """What is lacking, one sentence each."""
        return (await self.report())["missing"]  # type: ignore[no-any-return]

    async def report(self) -> Json:
        """What is lacking, and how each shard is."""
        said = await asyncio.gather(*(self._shards.call(k, "health") for k in range(len(self._shards.handles))))
        shards = [_shard_health(symbols, one) for symbols, one in zip(self._shards.slices, said, strict=True)]
        missing = [
            f"shard {k} ({', '.join(one['symbols'])}) is {one['status']}: {one['reason']}"
            for k, one in enumerate(shards)
            if one["status"] != "ok"
        ]
        missing += [reason for reason in (self._error, self._composer.weights.error) if reason]
        missing += [] if self._published else [NOTHING_YET]
        return {"ready": not missing, "missing": missing, "shards": shards}

    async def _body(self, basket: Basket, key: str) -> bytes:
        """The signal of a basket now, by the release that the key is routed to."""
        published, started = self._now(), time.perf_counter()
        said = await self._shards.ask(published.releases.choose(key))
        composed = self._composer.compose(said, published, basket)
        self._notes.round(said, composed.signal, published.releases, time.perf_counter() - started)
        return composed.body

    def _now(self) -> Published:
        if self._published is None:
            raise unavailable(NOTHING_YET)
        return self._published

    async def _prepare(self, releases: Sequence[Release]) -> None:
        """Wait until the shards have loaded what these releases are made of; one that is away will when it is asked.

        Raises
        ------
        ModelError
            A shard says that it cannot.
        """
        said = await self._shards.prepare(releases, PATIENCE_S)
        if refused := sorted({one for one in said if isinstance(one, str)}):
            raise ModelError("; ".join(refused))

    async def _predict(
        self, given: Sequence[Posted], published: Published, release: Release
    ) -> list[Json | HTTPException | RequestValidationError]:
        started = time.perf_counter()
        found = await predict(self._shards, given, release)
        self._notes.posted(given, found, published.releases, release, time.perf_counter() - started)
        return [_explained(one, published, release) if isinstance(one, Explained) else one for one in found]


def _explained(found: Explained, published: Published, release: Release) -> Json:
    p = found.prediction
    model = published.releases.naming(release, p.symbol)
    return prediction_json(p.symbol, p.ts_event, p.probabilities, found.features, list(found.notes), model)


def _item(item: Json | HTTPException | RequestValidationError | ValidationError) -> Json:
    if isinstance(item, HTTPException | RequestValidationError | ValidationError):
        return {"result": None, "error": refusal(item)}
    return {"result": item, "error": None}


def _shard_health(symbols: Sequence[str], said: str | Unanswered | None) -> Json:
    if isinstance(said, Unanswered):
        return {"symbols": list(symbols), "status": said.status, "reason": said.reason}
    return {"symbols": list(symbols), "status": "outdated" if said else "ok", "reason": said}
