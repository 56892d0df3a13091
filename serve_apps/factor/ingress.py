"""The ingress of the factors app: what each endpoint does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from bellwether.config.recipe import Recipe
from bellwether.errors import RegistryError
from bellwether.models.artefact import Contract
from serve_apps.args import AppArgs
from serve_apps.factor.about import info
from serve_apps.factor.answers import (
    ClassificationAnswer,
    ClassificationBatch,
    Info,
    RegressionAnswer,
    RegressionBatch,
)
from serve_apps.factor.checks import check_rates
from serve_apps.factor.comparison import LEADERBOARD, Picture, draw
from serve_apps.factor.predicting import Floats, Row, classifications, finite, regressions, run, unit_of
from serve_apps.factor.rates import PathBuy, PathLargeBuy, PathLargeSell
from serve_apps.factor.schemas import ROW, BatchRequest, RatesRequest
from serve_apps.metrics import Meter
from serve_apps.models.intervals import Intervals
from serve_apps.models.per_version import PerVersion
from serve_apps.models.redeploy import redeploy
from serve_apps.models.served import Champion, Json, Served
from serve_apps.models.shadow import with_shadow
from serve_apps.models.taking import take
from serve_apps.prediction_log import PredictionLog
from serve_apps.prediction_rows import Logged, inputs_sha
from serve_apps.stores import Stores
from serve_apps.web.bodies import answer
from serve_apps.web.common import install_common
from serve_apps.web.guard import guard
from serve_apps.web.problems import not_found, problems, refusal, unavailable
from serve_apps.web.request_id import request_id

BUILD = "serve_apps.factors:build"

log = logging.getLogger(__name__)

PNG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}, "description": "The picture."},
    304: {"description": "It is the one the client has, by its `If-None-Match`."},
    **problems(404),
}
"""A 404 where a version that answers was registered without its leaderboard."""


class Factors:
    """The Serve ingress: three rates in, what they say about the next interval out. It keeps no state.

    Parameters
    ----------
    recipes : mapping of str to Recipe
        What each variant is made of.
    stores : Stores
        Where the leaderboards are, and the log of predictions goes.
    args : AppArgs
        What the app was built with.
    """

    def __init__(self, recipes: Mapping[str, Recipe], stores: Stores, args: AppArgs) -> None:
        self._recipes, self._stores, self._args = dict(recipes), stores, args
        self._served = Served(stores.open_registry, self._check)
        self._intervals = PerVersion(self._served, lambda champion: Intervals(champion.predictor))
        self._names = {task: recipe.name for task, recipe in self._recipes.items()}
        self._unit = unit_of(next(iter(self._recipes.values())).interval or "")
        self._meter = Meter("factors")
        self._log = PredictionLog(stores.open_lake(), "factors")
        self._picture: tuple[tuple[int, ...], Picture] | None = None
        self._drawing = asyncio.Lock()

    def __del__(self) -> None:
        """Write what the log still holds: Serve calls this when a replica that goes has answered its requests."""
        if hasattr(self, "_log"):
            self._log.close()

    async def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Answer by these versions from now on."""
        await take(self._served, config, self._meter)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The HTTP API. Endpoints return finished bodies; the models named here are for the documentation."""
        api = FastAPI(
            title="Bellwether factors", summary="The next interval's sell rate, from three rates of this one."
        )
        for task, one, many in (
            ("regression", RegressionAnswer, RegressionBatch),
            ("classification", ClassificationAnswer, ClassificationBatch),
        ):
            self._add_predictions(api, task, one, many)
        api.get("/info", response_model=Info)(self.info)
        api.get("/plot/model_comparison", response_class=Response, responses=PNG)(self.model_comparison)
        install_common(api, self)
        guard(api, app="factors", safety=self._args.safety, answered=self._meter.answered)
        return api

    def champions(self) -> Sequence[Champion]:
        """The versions it holds."""
        return self._served.all()

    async def missing(self) -> Sequence[str]:
        """Why it is not ready."""
        lacking = [] if self._served.routes else ["no model is loaded"]
        return lacking if self._served.error is None else [*lacking, self._served.error]

    async def reload(self) -> Json:
        """Let the versions answer that carry the aliases now."""
        return await redeploy(BUILD, self._args)

    async def info(self) -> Response:
        """What is predicted from what, by which models, and how well."""
        return answer(info(next(iter(self._recipes.values())), self._answering()))

    async def model_comparison(self, request: Request) -> Response:
        """How families and baselines compared when the models that answer were chosen: a PNG."""
        picture = await self._drawn()
        headers = {"ETag": picture.etag, "Cache-Control": "no-cache"}
        given = request.headers.get("if-none-match", "")
        if picture.etag in {part.strip().removeprefix("W/") for part in given.split(",")}:
            return Response(status_code=304, headers=headers)
        return Response(picture.png, media_type="image/png", headers=headers)

    def _check(self, name: str, contract: Contract) -> None:
        recipe = next(recipe for recipe in self._recipes.values() if recipe.name == name)
        check_rates(contract, recipe)

    def _add_predictions(self, api: FastAPI, task: str, one: type, many: type) -> None:
        """A row posted, a row in the path, and rows together."""

        async def predict(request: RatesRequest) -> Response:
            return answer(self._predict_one(task, request.features))

        async def predict_at(
            initiative_buy_rate: PathBuy, large_buy_rate: PathLargeBuy, large_sell_rate: PathLargeSell
        ) -> Response:
            return answer(self._predict_one(task, (initiative_buy_rate, large_buy_rate, large_sell_rate)))

        async def predict_batch(request: BatchRequest) -> Response:
            return answer({"items": await asyncio.to_thread(self._predict_batch, task, request.items)})

        rates = "{initiative_buy_rate}/{large_buy_rate}/{large_sell_rate}"
        for path, endpoint, method, model, summary in (
            (f"/predict/{task}/batch", predict_batch, "POST", many, f"{task.capitalize()} of several intervals"),
            (f"/predict/{task}/{rates}", predict_at, "GET", one, f"{task.capitalize()} of rates in the path"),
            (f"/predict/{task}", predict, "POST", one, f"{task.capitalize()} of one interval's rates"),
        ):
            api.add_api_route(path, endpoint, methods=[method], response_model=model, summary=summary)

    def _predict(self, task: str, rows: Sequence[Row]) -> list[Json | HTTPException]:
        """The answer to each row, by the version that answers this request; what it said is noted.

        A 503 in the place of a row that the model gives no finite number of: any three rates are a valid request.
        """
        champion = self._served.choose(self._names[task], request_id())
        output = with_shadow(self._served, champion, partial(self._run, rows))
        if champion.contract.classes:
            said = classifications(champion, rows, output, self._unit)
        else:
            said = regressions(champion, self._intervals(champion), rows, output, self._unit)
        return [one if whole else _unfit(champion) for one, whole in zip(said, finite(output), strict=True)]

    def _predict_one(self, task: str, row: Row) -> Json:
        (found,) = self._predict(task, [row])
        if isinstance(found, HTTPException):
            raise found
        return found

    def _predict_batch(self, task: str, items: Sequence[Any]) -> list[Json]:
        checked = [_checked(place, item) for place, item in enumerate(items)]
        good = [row for row in checked if isinstance(row, tuple)]
        answers = iter(self._predict(task, good) if good else [])
        return [_item(next(answers) if isinstance(row, tuple) else row) for row in checked]

    def _run(self, rows: Sequence[Row], champion: Champion, answered: bool) -> Floats:
        started, now = time.perf_counter(), time.time_ns()
        with self._meter.timed("inference"):
            output = run(champion, rows)
        took, good = time.perf_counter() - started, finite(output)
        if not good.all():
            which = champion.version, champion.name, rows[int(good.argmin())]
            log.warning("version %d of %s gives no finite numbers of %s; of rows: %d", *which, (~good).sum())
        for row, said in zip(compress(rows, good), output[good].tolist(), strict=True):
            self._log.add(
                Logged(
                    ts=now,
                    request_id=request_id(),
                    app="factors",
                    name=champion.name,
                    version=champion.version,
                    alias=champion.alias,
                    answered=answered,
                    symbol="",
                    inputs_sha=inputs_sha(np.array(row)),
                    features=row,
                    output=said,
                    latency_s=took,
                )
            )
        return output

    def _answering(self) -> dict[str, Champion]:
        """The version behind the alias of each variant, whatever the canary's share."""
        routes = self._served.routes
        return {task: self._served.of(name, routes[name].version) for task, name in self._names.items()}

    async def _drawn(self) -> Picture:
        """The picture of the versions that answer; drawn once for each."""
        champions = self._answering()
        key = tuple(champion.version for champion in champions.values())
        async with self._drawing:
            if self._picture is None or self._picture[0] != key:
                self._picture = key, await asyncio.to_thread(self._draw, champions)
            return self._picture[1]

    def _draw(self, champions: Mapping[str, Champion]) -> Picture:
        registry, boards = self._stores.open_registry(), {}
        for champion in champions.values():
            title = f"{champion.name} version {champion.version}"
            try:
                boards[title] = registry.read(champion.name, champion.version, LEADERBOARD)
            except RegistryError as error:
                raise not_found(LEADERBOARD, title, []) from error
        return draw(boards)


def _unfit(champion: Champion) -> HTTPException:
    return unavailable(f"{champion.contract.family} gives no finite numbers of what it is shown: retrain the model")


def _checked(place: int, item: Any) -> Row | RequestValidationError:
    """A row of a batch, or what is wrong with it."""
    try:
        return ROW.validate_python(item)
    except ValidationError as error:
        return RequestValidationError(
            [dict(found) | {"loc": ("body", "items", place, *found["loc"])} for found in error.errors()]
        )


def _item(found: Json | HTTPException | RequestValidationError) -> Json:
    if isinstance(found, HTTPException | RequestValidationError):
        return {"result": None, "error": refusal(found)}
    return {"result": found, "error": None}
