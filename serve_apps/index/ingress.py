"""The ingress of the index signal: what each endpoint does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from bellwether.config import Recipe
from bellwether.models.artefact import Contract
from bellwether.signal import Absence, compose, newest_bar
from bellwether.signal_policy import SignalPolicy
from data.lake import Lake
from data.weights.table import WeightTable, load_weights, weights_kind
from serve_apps.following import Following
from serve_apps.index.answers import AWAY, UNKNOWN, BatchAnswer, ComponentAnswer, Health, ModelInfo, SignalAnswer
from serve_apps.index.component_predictor import Explained
from serve_apps.index.posted import Posted, Refused
from serve_apps.index.schemas import LATEST, BatchRequest, PredictRequest
from serve_apps.index.shard_client import Round, ShardClient, Unanswered
from serve_apps.index.wire import Json, prediction_json, signal_json
from serve_apps.stores import Stores
from serve_apps.web.bodies import dumps
from serve_apps.web.problems import install, not_found, refusal, unavailable, unprocessable


@dataclass(frozen=True, kw_only=True)
class Model:
    """Which model answers, and its contract."""

    name: str
    version: int
    alias: str
    contract: Contract

    def json(self) -> Json:
        """What every answer says of it."""
        return {"name": self.name, "version": self.version, "alias": self.alias}


class IndexSignal:
    """The Serve ingress: HTTP in, one call to each shard, one composed answer out.

    Parameters
    ----------
    recipe : Recipe
    model : Model
        The version all shards were given.
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
        model: Model,
        slices: Sequence[tuple[str, ...]],
        handles: Sequence[Any],
        stores: Stores,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._recipe, self._model, self._clock = recipe, model, clock
        self._policy = SignalPolicy.of(recipe, (model.contract.buy, model.contract.sell))
        self._shards = ShardClient(handles, slices, recipe.serving.timeout_s)
        self._weights = _follow_weights(recipe, stores.open_lake())
        self._task = asyncio.get_running_loop().create_task(self._weights.follow(recipe.serving.refresh_s))
        self._composed: tuple[tuple[str, ...], bytes] | None = None

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The HTTP API. Endpoints return finished bodies; the models named here are for the documentation."""
        app = FastAPI(title="Bellwether index signal", summary="Predictions of components, composed into one signal.")
        install(app)
        app.get("/signal/index", response_model=SignalAnswer, responses=UNKNOWN)(self.signal)
        app.get("/predict/component", response_model=ComponentAnswer, responses=UNKNOWN | AWAY)(self.component)
        app.post("/predict", response_model=ComponentAnswer, responses=UNKNOWN | AWAY)(self.predict)
        app.post("/predict/batch", response_model=BatchAnswer)(self.predict_batch)
        app.get("/model-info", response_model=ModelInfo)(self.model_info)
        app.get("/health", response_model=Health, responses={503: {"model": Health}})(self.health)
        return app

    async def signal(
        self, universe: str | None = Query(default=None, description="The recipe's, if left out.")
    ) -> Response:
        """The index signal, with every component's part in it."""
        known = self._recipe.universe.name
        if universe not in (None, known):
            raise not_found("universe", str(universe), [known])
        return _answer(self._compose(await self._shards.ask()))

    async def component(self, symbol: str = Query(description="A component of the universe.")) -> Response:
        """The prediction of one component from its newest closed bar, with the features behind it."""
        self._check_symbol(symbol)
        found = await self._shards.call(self._shards.shard_of(symbol), "explain", symbol)
        if isinstance(found, Absence | Unanswered):
            raise unavailable(f"{symbol}: {found.reason}")
        return _answer(dumps(self._explained(found)))

    async def predict(self, request: PredictRequest) -> Response:
        """The prediction of one component from the bars in the request."""
        (item,) = await self._predict([self._posted(request)])
        if isinstance(item, HTTPException | RequestValidationError):
            raise item
        return _answer(dumps(item))

    async def predict_batch(self, batch: BatchRequest) -> Response:
        """Predictions from the bars of several requests; each has its result or its error."""
        checked = await asyncio.to_thread(lambda: [self._checked(item) for item in batch.items])
        good = [item for item in checked if isinstance(item, Posted)]
        answers = iter(await self._predict(good))
        items = [next(answers) if isinstance(item, Posted) else item for item in checked]
        return _answer(dumps({"items": [_item(item) for item in items]}))

    async def model_info(self) -> Response:
        """The model that answers, and the contract it is served under."""
        contract = self._model.contract
        return _answer(
            dumps(
                {"model": self._model.json(), "recipe": contract.recipe, "contract": contract.model_dump(mode="json")}
            )
        )

    async def health(self) -> Response:
        """Whether every shard answers from the newest state of the lake."""
        said = await asyncio.gather(*(self._shards.call(k, "health") for k in range(len(self._shards.handles))))
        shards = [_shard_health(symbols, one) for symbols, one in zip(self._shards.slices, said, strict=True)]
        answering = [s for s in shards if s["status"] in ("ok", "outdated")]
        well = len(answering) == len(shards) and not self._weights.error and all(s["status"] == "ok" for s in shards)
        status = "ok" if well else "degraded" if answering else "down"
        body = {"status": status, "reason": self._weights.error, "universe": self._recipe.universe.name}
        return _answer(dumps(body | {"model": self._model.json(), "shards": shards}), 200 if answering else 503)

    def _compose(self, said: Round) -> bytes:
        """The signal's body; made once for each state of shards and weights, unless it depends on the time."""
        version, weights = self._weights.value
        now = self._clock() if self._recipe.serving.clock == "wall" else None
        key = (*said.key, version) if said.key is not None and now is None else None
        if key is not None and self._composed is not None and self._composed[0] == key:
            return self._composed[1]
        universe = self._recipe.universe
        at = newest_bar(said.answers.values(), now)
        in_force = weights.at(LATEST if at is None else at, universe.symbols)
        signal = compose(universe.name, universe.symbols, in_force, said.answers, self._policy, now)
        body = dumps(signal_json(signal, self._model.json()))
        if key is not None:
            self._composed = key, body
        return body

    def _check_symbol(self, symbol: str) -> None:
        if symbol not in (known := self._recipe.universe.symbols):
            raise not_found(f"symbol of {self._recipe.universe.name}", symbol, known)

    def _checked(self, item: Any) -> Posted | HTTPException | RequestValidationError | ValidationError:
        try:
            return self._posted(PredictRequest.model_validate(item))
        except (HTTPException, RequestValidationError, ValidationError) as error:
            return error

    def _posted(self, request: PredictRequest) -> Posted:
        """The request as a shard takes it, if recipe and model allow it."""
        self._check_symbol(request.symbol)
        contract = self._model.contract
        if request.interval != contract.interval:
            why = f"is {request.interval!r}; {contract.recipe} predicts from bars of {contract.interval!r}"
            raise unprocessable(("body", "interval"), why)
        need, came = contract.warmup + 1, len(request.bars)
        if came < need:
            raise unprocessable(("body", "bars"), f"{need} bars are needed, the newest last; {came} came")
        return Posted(symbol=request.symbol, bars=request.table(), assume_flat_basket=request.assume_flat_basket)

    async def _predict(self, posted: Sequence[Posted]) -> list[Json | HTTPException | RequestValidationError]:
        """What the shards make of posted bars, in order: one call to each shard that holds one of the symbols."""
        place = [self._shards.shard_of(p.symbol) for p in posted]
        groups = {k: [p for p, at in zip(posted, place, strict=True) if at == k] for k in sorted(set(place))}
        said = await asyncio.gather(*(self._shards.call(k, "predict_bars", group) for k, group in groups.items()))
        answers = {k: one if isinstance(one, Unanswered) else iter(one) for k, one in zip(groups, said, strict=True)}
        found = []
        for at in place:
            answer = answers[at]
            found.append(self._result(answer if isinstance(answer, Unanswered) else next(answer)))
        return found

    def _result(self, one: Explained | Refused | Unanswered) -> Json | HTTPException | RequestValidationError:
        if isinstance(one, Unanswered):
            return unavailable(one.reason)
        if isinstance(one, Refused):
            return unprocessable(("body", *one.field), one.message)
        return self._explained(one)

    def _explained(self, found: Explained) -> Json:
        p = found.prediction
        return prediction_json(
            p.symbol, p.ts_event, p.probabilities, found.features, list(found.notes), self._model.json()
        )


def _follow_weights(recipe: Recipe, lake: Lake) -> Following[tuple[str, WeightTable]]:
    kind = weights_kind(recipe.universe)
    return Following(lambda: lake.version(kind), lambda version: (version, load_weights(lake, recipe.universe)))


def _answer(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def _item(item: Json | HTTPException | RequestValidationError | ValidationError) -> Json:
    if isinstance(item, HTTPException | RequestValidationError | ValidationError):
        return {"result": None, "error": refusal(item)}
    return {"result": item, "error": None}


def _shard_health(symbols: Sequence[str], said: str | Unanswered | None) -> Json:
    if isinstance(said, Unanswered):
        return {"symbols": list(symbols), "status": said.status, "reason": said.reason}
    return {"symbols": list(symbols), "status": "outdated" if said else "ok", "reason": said}
