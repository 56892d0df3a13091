"""The ingress of the price forecast: what each endpoint does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Response

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError, ModelError
from bellwether.models.artefact import Contract
from bellwether.trading_time import iso
from data.features import features_of
from data.features.base import Floats
from serve_apps.args import AppArgs
from serve_apps.book.ahead import next_rows
from serve_apps.book.answers import ForecastAnswer, ForecastBatch
from serve_apps.book.app import BookApp, Json, Said
from serve_apps.book.checks import check_model
from serve_apps.book.due import Due, Dues
from serve_apps.book.history import View
from serve_apps.book.live import Live
from serve_apps.book.prices import Pricer, Step
from serve_apps.book.schemas import BatchRequest, ForecastRequest
from serve_apps.models.per_version import PerVersion
from serve_apps.models.served import Champion
from serve_apps.stores import Stores
from serve_apps.web.bodies import answer
from serve_apps.web.problems import problems, unavailable, unprocessable

Symbol = Annotated[str, Path(description="A symbol of the universe.", examples=["SIM01"])]
Steps = Annotated[int | None, Query(ge=1, description="How many steps ahead; all the model has, if left out.")]


def check_forecast(contract: Contract, recipe: Recipe) -> None:
    """Raise `ModelError` where a version cannot be served, or forecasts other steps than the recipe's."""
    check_model(contract, recipe, features_of(recipe.features))
    if contract.steps != (steps := recipe.target.options.get("steps", 1)):
        raise ModelError(f"the model forecasts {contract.steps} steps and {recipe.name} has {steps}: train it again")


class Forecast(BookApp):
    """Prices of the next steps, each with an interval, from the newest stored snapshots or from posted ones."""

    app = "forecast"

    def __init__(self, recipe: Recipe, args: AppArgs, stores: Stores, clock: Callable[[], int] = time.time_ns) -> None:
        super().__init__(recipe, args, stores, clock)
        self._pricer, self._dues = PerVersion(self.served, lambda one: Pricer(one.predictor)), Dues(recipe)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The HTTP API. Endpoints return finished bodies; the models named here are for the documentation."""
        api = FastAPI(title="Bellwether price forecast", summary="Mid prices ahead, with intervals.")
        away = problems(404, 503)
        api.get("/predict/{symbol:path}", response_model=ForecastAnswer, responses=away)(self.predict_stored)
        api.post("/predict", response_model=ForecastAnswer, responses=away)(self.predict)
        api.post("/predict/batch", response_model=ForecastBatch)(self.predict_batch)
        return self.guarded(api)

    def check(self, contract: Contract) -> None:
        """Raise `ModelError` where a version cannot be served."""
        check_forecast(contract, self.recipe)

    def warm(self, view: View) -> None:
        """Read the calendar of the next session."""
        if latest := view.latest:
            next_rows(latest, self.recipe.session, self.recipe.interval_ns, 1)

    async def predict_stored(self, symbol: Symbol, steps: Steps = None) -> Response:
        """Prices ahead of the newest stored snapshot of a symbol."""
        return answer(self.stored(symbol, ("query", steps)))

    async def predict(self, request: ForecastRequest) -> Response:
        """Prices ahead of the last snapshot in the request."""
        return answer(await asyncio.to_thread(self._of, request))

    async def predict_batch(self, batch: BatchRequest) -> Response:
        """Prices ahead of several windows; each has its result or its error."""
        return answer({"items": await asyncio.to_thread(self.each, batch.items, self._item)})

    def say(self, champion: Champion, symbol: str | None, newest: Live, seen: Floats, asked: Any) -> Said:
        """All steps asked for that lie in the session, where the model knows no other; and the price each is from."""
        contract = champion.contract
        count = self._count(contract, asked)
        pricer = self._pricer(champion)
        found = pricer.steps(seen, newest.value)
        due = self._due_after(newest.ts, contract, count)
        if not due.times:
            self.meter.abstained("session over")
        steps = [_step(k, t, step, newest.value) for k, (t, step) in enumerate(zip(due.times, found, strict=False), 1)]
        return Said(
            answer={
                "symbol": symbol,
                "last": {"ts_event": iso(newest.ts), "mid": newest.value},
                "steps": steps,
                "reason": due.reason,
                "coverage": pricer.promised,
                "features": dict(zip(self.features.outputs, newest.newest.tolist(), strict=True)),
                "model": champion.json(),
                "notes": self.notes(champion),
            },
            output=[step.price for step in found],
        )

    def _item(self, item: Any) -> Json:
        return self._of(ForecastRequest.model_validate(item))

    def _of(self, request: ForecastRequest) -> Json:
        return self.sent("snapshots", request.snapshots, request.symbol, ("body", request.steps))

    def _count(self, contract: Contract, asked: Any) -> int:
        where, wanted = asked or ("body", None)
        if wanted is not None and wanted > contract.steps:
            what = f"{wanted} steps: the model forecasts {contract.steps}; train it on more (target.options.steps)"
            raise unprocessable((where, "steps"), what)
        return int(wanted or contract.steps)

    def _due_after(self, ts: int, contract: Contract, count: int) -> Due:
        try:
            return self._dues.after(ts, contract, count)
        except DataError as error:
            raise unavailable(str(error)) from error


def _step(number: int, ts: str, step: Step, last: float) -> Json:
    ends = {"lower": step.lower, "upper": step.upper}
    return {"step": number, "ts_event": ts, "price": step.price, **ends, "no_change": last}
