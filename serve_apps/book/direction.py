"""The ingress of the market direction: what each endpoint does."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Path, Response

from bellwether.config.recipe import Recipe
from bellwether.errors import ModelError
from bellwether.models.artefact import Contract
from bellwether.trading_time import SECOND, iso
from data.features import features_of
from data.features.base import Floats
from data.features.calendar import CLOCK, MINUTE, SessionClock
from data.options import checked
from data.targets import target_kind
from data.targets.market_direction import MoveOptions
from serve_apps.book.answers import DirectionAnswer, DirectionBatch
from serve_apps.book.app import BookApp, Json, Said
from serve_apps.book.checks import check_model
from serve_apps.book.live import Live
from serve_apps.book.schemas import BatchRequest, DirectionRequest
from serve_apps.models.served import Champion
from serve_apps.web.bodies import answer
from serve_apps.web.problems import problems

Symbol = Annotated[str, Path(description="A symbol of the universe.", examples=["SIM01"])]

BP = 1e-4

BEYOND = "the market closes before the outcome is read: the model was trained on outcomes within sessions"
"""What is said of a prediction that reaches beyond the close, where training left such rows out."""


def check_direction(contract: Contract, recipe: Recipe) -> None:
    """Raise `ModelError` where a version cannot be served, or was fitted to another cost than the recipe's."""
    check_model(contract, recipe, features_of(recipe.features))
    edges = tuple(target_kind(recipe.target.kind).fit(np.empty(0), recipe.target).tolist())
    if contract.edges != edges:
        own, here = (f"{e[-1] / BP:g}" for e in (contract.edges, edges))
        raise ModelError(f"the model's moves cost {own} bp and those of {recipe.name} {here}: train it again")


class Direction(BookApp):
    """Where the mid goes by more than it costs to trade, from the newest stored book or from posted ones."""

    app = "strategy"

    def __serve_build_asgi_app__(self) -> FastAPI:
        """The HTTP API. Endpoints return finished bodies; the models named here are for the documentation."""
        api = FastAPI(title="Bellwether market direction", summary="Whether the mid moves by more than a trade costs.")
        away = problems(404, 503)
        api.get("/predict/{symbol:path}", response_model=DirectionAnswer, responses=away)(self.predict_stored)
        api.post("/predict", response_model=DirectionAnswer, responses=away)(self.predict)
        api.post("/predict/batch", response_model=DirectionBatch)(self.predict_batch)
        return self.guarded(api)

    def check(self, contract: Contract) -> None:
        """Raise `ModelError` where a version cannot be served."""
        check_direction(contract, self.recipe)

    async def predict_stored(self, symbol: Symbol) -> Response:
        """The direction from the newest stored state of a symbol's book."""
        return answer(self.stored(symbol, None))

    async def predict(self, request: DirectionRequest) -> Response:
        """The direction from the last row in the request."""
        return answer(await asyncio.to_thread(self._of, request))

    async def predict_batch(self, batch: BatchRequest) -> Response:
        """Directions from the rows of several requests; each has its result or its error."""
        return answer({"items": await asyncio.to_thread(self.each, batch.items, self._item)})

    def say(self, champion: Champion, symbol: str | None, newest: Live, seen: Floats, asked: Any) -> Said:
        """Probabilities by class, and what they are about."""
        contract = champion.contract
        probabilities = champion.predictor.predict(seen[None])[0].astype(np.float64).tolist()
        likeliest = max(range(len(probabilities)), key=probabilities.__getitem__)
        seconds = checked("target 'market_direction'", MoveOptions, self.recipe.target.options).seconds
        until = newest.ts + int(seconds * SECOND)
        night = [BEYOND] if contract.overnight == "drop" and until > self._close(newest.ts) else []
        return Said(
            answer={
                "symbol": symbol,
                "ts_event": iso(newest.ts),
                "mid": newest.value,
                "direction": contract.classes[likeliest],
                "probabilities": dict(zip(contract.classes, probabilities, strict=True)),
                "confidence": probabilities[likeliest],
                "cost_bp": round(contract.edges[-1] / BP, 9),
                "seconds": seconds,
                "until": iso(until),
                "features": dict(zip(self.features.outputs, newest.newest.tolist(), strict=True)),
                "model": champion.json(),
                "notes": [*night, *self.notes(champion)],
            },
            output=probabilities,
        )

    def _close(self, ts: int) -> int:
        """When the session of a time closes; that time itself, where the market does not trade then."""
        minutes = SessionClock(self.recipe.session).at(np.array([ts]))[0, CLOCK.index("minutes_to_close")]
        return ts + round(float(minutes) * MINUTE)

    def _item(self, item: Any) -> Json:
        return self._of(DirectionRequest.model_validate(item))

    def _of(self, request: DirectionRequest) -> Json:
        return self.sent("books", request.books, request.symbol, None)
