"""The ingress of the app of trades: what each endpoint does."""

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
from bellwether.errors import DataError
from bellwether.models.artefact import Contract
from data.features import features_of
from serve_apps.args import AppArgs
from serve_apps.metrics import Meter
from serve_apps.models.checks import check_contract
from serve_apps.models.redeploy import redeploy
from serve_apps.models.served import Champion, Json, Served
from serve_apps.models.taking import take
from serve_apps.prediction_log import PredictionLog
from serve_apps.tick.answers import Appended, BatchAnswer, ModelList, TickAnswer
from serve_apps.tick.engine import APP, Engine
from serve_apps.tick.faults import quarantined
from serve_apps.tick.models import entry
from serve_apps.tick.posting import Posting
from serve_apps.tick.schemas import BatchRequest, PredictRequest, TickData, TicksRequest, posted
from serve_apps.tick.tape import FollowedTape, Tape, View
from serve_apps.web.bodies import answer
from serve_apps.web.common import install_common
from serve_apps.web.guard import guard
from serve_apps.web.problems import not_found, problems, refusal, unavailable, unprocessable
from serve_apps.web.request_id import request_id
from serve_apps.web.rules import Needs

BUILD = "serve_apps.ticks:build"

SCOPES: dict[str, Needs] = {"POST /predict": "write", "POST /predict/batch": "write"}
"""A trade in their bodies is counted, and with ``durable`` kept: GET is for those who may only read."""

REFUSED = (HTTPException, RequestValidationError, ValidationError)

log = logging.getLogger(__name__)


class Ticks:
    """The Serve ingress: trades in, predictions of several models out.

    Its symbols stand where the lake's newest session brings them, followed by trades that were posted to this replica
    alone. A background task looks at the lake every ``serving.refresh_s`` seconds.

    Parameters
    ----------
    args : AppArgs
    recipes : mapping
        The recipe of each model, the main one first: `serve_apps.tick.models.recipes_by_model`.
    clock : callable
        The time, UTC nanoseconds.
    """

    def __init__(self, args: AppArgs, recipes: Mapping[str, Recipe], clock: Callable[[], int] = time.time_ns) -> None:
        self._args, self._recipes, self._clock, self._stores = args, recipes, clock, args.stores()
        self._recipe = next(iter(recipes.values()))
        self._names = {model: recipe.name for model, recipe in recipes.items()}
        self._served = Served(self._stores.open_registry, self._check)
        self._lake = self._stores.open_lake()
        self._log, self._meter = PredictionLog(self._lake, APP), Meter(APP)
        self._engine: Engine
        self._posting: Posting
        self._following: asyncio.Task[None] | None = None

    async def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Answer by other versions, from a state that reaches back as far as they look."""
        await take(self._served, config, self._meter, self._prepare)

    async def _prepare(self, champions: Sequence[Champion]) -> None:
        """Stand where these versions can answer; the first time, read the lake."""
        lookback = max((c.contract.lookback for c in champions), default=1)
        if self._following is None or self._engine.tape.tape.lookback < lookback:
            tape = await asyncio.to_thread(lambda: FollowedTape(Tape(self._recipe, self._lake, lookback)))
            if self._following is not None:
                _check_reach(self._engine.tape.value, tape.value)
            self._follow(tape)

    def _follow(self, tape: FollowedTape) -> None:
        if self._following is None:
            self._engine = Engine(
                self._recipe,
                self._names,
                self._served,
                tape,
                log=self._log.add,
                meter=self._meter,
                clock=self._clock,
            )
            self._posting = Posting(self._recipe, self._lake, self._engine.now)
        else:
            self._following.cancel()
            self._engine.retape(tape)
        self._following = asyncio.get_running_loop().create_task(tape.follow(self._recipe.serving.refresh_s))

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The HTTP API. Endpoints return finished bodies; the models named here are for the documentation."""
        api = FastAPI(title="Bellwether ticks", summary="Predictions of trades, by several models at once.")
        predicted: dict[str, Any] = {"response_model": TickAnswer, "responses": problems(404, 503)}
        api.get("/models", response_model=ModelList)(self.models)
        api.get("/predict/{symbol:path}", **predicted)(self.current)
        api.post("/predict", **predicted)(self.predict)
        api.post("/predict/batch", response_model=BatchAnswer)(self.predict_batch)
        api.post("/ticks", response_model=Appended, responses=problems(404, 503))(self.ticks)
        install_common(api, self)
        guard(api, app=APP, safety=self._args.safety, scopes=SCOPES, answered=self._meter.answered)
        return api

    async def models(self) -> Response:
        """The recipe's model and its variants, with the version that answers."""
        held = {name: self._served.of(name, route.version) for name, route in self._served.routes.items()}
        alias = self._args.alias
        lines = [entry(model, recipe, held.get(recipe.name), alias) for model, recipe in self._recipes.items()]
        return answer({"models": lines})

    async def current(
        self,
        symbol: str,
        models: str | None = Query(default=None, description="Names with commas between; all, if left out."),
    ) -> Response:
        """Predictions from the newest trade that is known."""
        self._check_symbol(symbol)
        wanted = self._wanted([name for name in (models or "").split(",") if name])
        return answer(self._engine.predict(symbol, wanted, key=request_id()))

    async def predict(self, request: PredictRequest) -> Response:
        """Predictions after one more trade, or, without one, from the newest that is known.

        A trade of the request is counted in the replica that answers. With ``durable`` it is written to the lake first,
        from where every replica has it.
        """
        return answer(await self._predict(request))

    async def predict_batch(self, batch: BatchRequest) -> Response:
        """Several predictions, one after the other; each has its result or its error."""
        items = []
        for item in batch.items:
            items.append(await self._item(item))
            await asyncio.sleep(0)  # others have their turn
        return answer({"items": items})

    async def ticks(self, request: TicksRequest) -> Response:
        """Append trades to the lake. What is kept survives a crash, and every replica follows it."""
        for tick in request.ticks:
            self._check_symbol(tick.symbol)
        done = await self._posting.append(request.ticks)
        await self._look()
        refused = list(quarantined(done.rejected))
        return answer({"kept": done.added, "unchanged": done.unchanged, "quarantined": refused})

    def champions(self) -> Sequence[Champion]:
        """The versions held."""
        return self._served.all()

    async def missing(self) -> Sequence[str]:
        """What keeps the app from answering, one sentence each."""
        found = []
        if not self._served.routes:
            found.append(f"no version of {', '.join(self._names.values())} carries {self._args.alias}: promote one")
        known = self._engine.tape.value
        unread = {symbol: one.unread for symbol, one in known.items() if one.unread}
        if lacking := [symbol for symbol, one in known.items() if one.key[0] < 0 and symbol not in unread]:
            found.append(f"the lake has no trades of {', '.join(lacking)}: ingest or post them")
        elif not unread and not any(self._engine.live(symbol).known for symbol in known):
            found.append("every symbol is in the warm-up of its session")
        found += [f"new trades of {symbol} cannot be read: {why}" for symbol, why in unread.items()]
        return [*found, *(error for error in (self._served.error, self._engine.tape.error) if error)]

    async def reload(self) -> dict[str, Any]:
        """Resolve the aliases again."""
        return await redeploy(BUILD, self._args)

    def __del__(self) -> None:
        """Write the predictions that wait."""
        if hasattr(self, "_log"):
            self._log.close()

    async def _item(self, item: Any) -> Json:
        try:
            return {"result": await self._predict(PredictRequest.model_validate(item)), "error": None}
        except REFUSED as error:
            return {"result": None, "error": refusal(error)}

    async def _predict(self, request: PredictRequest) -> Json:
        self._check_symbol(request.symbol)
        self._wanted(request.models)  # refused before the trade is counted
        applied = False
        if request.tick_data is not None:
            count = self._write if request.durable else self._advance
            applied = await count(request.symbol, request.tick_data)
        wanted = self._wanted(request.models)  # of the versions that answer by now
        return self._engine.predict(request.symbol, wanted, key=request_id(), applied=applied)

    async def _advance(self, symbol: str, tick: TickData) -> bool:
        return self._engine.advance(symbol, tick)

    async def _write(self, symbol: str, tick: TickData) -> bool:
        done = await self._posting.append([posted(symbol, tick)])
        for refused in quarantined(done.rejected):
            where = [refused["field"]] if refused["field"] else []
            raise unprocessable(("body", "tick_data", *where), refused["message"])
        if not await self._look() or self._engine.tape.value[symbol].unread:
            raise unavailable("the trade is written, and the lake cannot be read now: ask again")
        return bool(done.added)

    async def _look(self) -> bool:
        """See what has just been written; whether that could be read. If not, the replica reads it at its next look."""
        tape = None
        try:
            while tape is not self._engine.tape:  # another may have been followed meanwhile
                tape = self._engine.tape
                await asyncio.to_thread(tape.refresh)
        except Exception:
            log.exception("what was written cannot be read yet")
            return False
        return True

    def _wanted(self, models: Sequence[str]) -> list[str]:
        """The models asked for; all that are served, if none is."""
        served = [model for model, name in self._names.items() if name in self._served.routes]
        for model in models:
            if model not in self._names:
                raise not_found("model", model, self._names)
            if model not in served:
                raise unavailable(f"{model} is not served: no version of {self._names[model]} carries the alias")
        if not served:
            raise unavailable(f"no model is served: no version carries {self._args.alias}")
        return list(dict.fromkeys(models)) or served

    def _check_symbol(self, symbol: str) -> None:
        universe = self._recipe.universe
        if symbol not in universe.symbols:
            raise not_found(f"symbol of {universe.name}", symbol, universe.symbols)

    def _check(self, name: str, contract: Contract) -> None:
        recipe = next(recipe for recipe in self._recipes.values() if recipe.name == name)
        check_contract(contract, recipe, features_of(recipe.features))


def _check_reach(before: View, now: View) -> None:
    """Raise `DataError` where a symbol would fall behind where it stands, for the lake cannot be read so far back."""
    for symbol, known in now.items():
        if known.unread and known.key < before[symbol].key:
            raise DataError(f"the trades of {symbol} cannot be read: {known.unread}")
