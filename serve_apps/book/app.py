"""What the apps over order books share: versions, the state that follows the lake, and rows to predict from."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any, ClassVar

from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from bellwether.config.recipe import Recipe
from bellwether.errors import BadFeatures, DataError
from bellwether.models.artefact import Contract
from bellwether.trading_time import SECOND, trading_time
from data.features import features_of
from data.features.base import Floats
from serve_apps.args import AppArgs
from serve_apps.book.history import History, View
from serve_apps.book.live import Live, Short
from serve_apps.book.posted import Refused, posted
from serve_apps.book.schemas import PostedBook
from serve_apps.following import Following
from serve_apps.metrics import Meter
from serve_apps.models.gate import gate_notes
from serve_apps.models.redeploy import redeploy
from serve_apps.models.served import Champion, Served
from serve_apps.models.shadow import with_shadow
from serve_apps.models.taking import take
from serve_apps.prediction_log import PredictionLog
from serve_apps.prediction_rows import Logged, inputs_sha
from serve_apps.stores import Stores
from serve_apps.web.common import install_common
from serve_apps.web.guard import guard
from serve_apps.web.problems import not_found, refusal, unavailable, unprocessable
from serve_apps.web.request_id import request_id

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one version makes of a row: the answer, and what the log keeps of it."""

    answer: Json
    output: Sequence[float]


class BookApp(ABC):
    """A Serve ingress over the books of a universe.

    Each replica makes its state from the lake and follows it. The versions that answer are no argument: they come in
    `reconfigure`, so that a promotion changes nothing else.

    Parameters
    ----------
    recipe : Recipe
    args : AppArgs
    stores : Stores
    clock : callable
        The time, UTC nanoseconds.
    """

    app: ClassVar[str]

    def __init__(self, recipe: Recipe, args: AppArgs, stores: Stores, clock: Callable[[], int] = time.time_ns) -> None:
        self.recipe, self.args, self.clock = recipe, args, clock
        self.features = features_of(recipe.features)
        self.served = Served(stores.open_registry, lambda name, contract: self.check(contract))
        self.lake = stores.open_lake()
        self.history = History(recipe, self.lake, self._enough)
        self._needs: tuple[Contract, ...] = ()
        self.meter, self.log = Meter(self.app), PredictionLog(self.lake, self.app)
        self.following: Following[View] | None = None

    def __del__(self) -> None:
        if hasattr(self, "log"):
            self.log.close()

    async def reconfigure(self, config: Mapping[str, Any]) -> None:
        """Answer by these routes from now on (`Served.take`), from a state that reaches back as far as they need."""
        await take(self.served, config, self.meter, self._prepare)
        self._needs = _contracts(self.served.all())

    async def _prepare(self, champions: Sequence[Champion]) -> None:
        """Have a state that reaches back far enough for these versions and for those that answer meanwhile."""
        before, self._needs = _back(self._needs), _contracts((*self.served.all(), *champions))
        if self.following is None:
            following = await asyncio.to_thread(
                Following, self.version, self.history.view, lambda view: not view.unread
            )
            await asyncio.to_thread(self.warm, following.value)
            follow = following.follow(self.recipe.serving.refresh_s)
            self.following, self._task = following, asyncio.get_running_loop().create_task(follow)
        elif _back(self._needs) != before:
            await asyncio.to_thread(self.following.refresh)
            self._check_reach(self.following.value)

    def guarded(self, api: FastAPI) -> FastAPI:
        """The API with what all apps have; called when its own routes are there."""
        install_common(api, self)
        guard(api, app=self.app, safety=self.args.safety, answered=self.meter.answered)
        return api

    @abstractmethod
    def check(self, contract: Contract) -> None:
        """Raise `ModelError` where a version cannot be served."""

    @abstractmethod
    def say(self, champion: Champion, symbol: str | None, newest: Live, seen: Floats, asked: Any) -> Said:
        """What a version makes of a row."""

    def notes(self, champion: Champion) -> list[str]:
        """What a client should know of the version that answers."""
        return gate_notes(champion.contract)

    def warm(self, view: View) -> None:
        """Load what the first request from this state should not wait for."""
        return

    # --- what every app says of itself

    def champions(self) -> Sequence[Champion]:
        """The versions it holds."""
        return self.served.all()

    async def missing(self) -> list[str]:
        """What it lacks before it can answer for every symbol."""
        if self.following is None:
            return ["the models are not loaded yet"]
        view = self.following.value
        lacking = [f"{s}: {n}" for s, n in view.newest.items() if isinstance(n, str) and s not in view.unread]
        unread = [f"new {self.recipe.record} of {s} cannot be read: {why}" for s, why in view.unread.items()]
        return [error for error in (self.served.error, self.following.error) if error] + lacking + unread

    async def reload(self) -> Json:
        """Resolve the aliases again, in every replica."""
        return dict(await redeploy(f"serve_apps.{self.app}:build", self.args))

    # --- answers

    def version(self) -> str:
        """What the state depends on: the lake, and how far the models look back."""
        return f"{self.lake.version(self.recipe.kind)}-{_back(self._needs)}"

    def stored(self, symbol: str, asked: Any) -> Json:
        """The answer from the newest stored row of a symbol."""
        self.check_symbol(symbol)
        newest = self.view().newest[symbol]
        if isinstance(newest, str):
            self.meter.abstained("no features")
            raise unavailable(f"{symbol}: {newest}")
        self._check_age(symbol, newest)
        try:
            return self._answer(self._champion(), symbol, newest, asked)
        except BadFeatures as error:
            raise unavailable(f"{symbol}: {error}") from error

    def sent(self, field: str, books: tuple[PostedBook, ...], symbol: str | None, asked: Any) -> Json:
        """The answer from rows that a client sent in ``field``."""
        if symbol is not None:
            self.check_symbol(symbol)
        champion, now = self._champion(), self.clock()
        if self.recipe.serving.clock == "data":  # history and simulation: what the lake holds has happened
            now = max(now, self.view().latest)
        with self.meter.timed("features"):
            found = posted(self.recipe, self.features, books, symbol, now, champion.contract)
        if isinstance(found, Refused):
            where = ("body", field) if found.row is None else ("body", field, found.row)
            raise unprocessable(where, found.message)
        try:
            return self._answer(champion, symbol, found, asked)
        except BadFeatures as error:
            raise unprocessable(("body", field), str(error)) from error

    def each(self, items: Sequence[Any], one: Callable[[Any], Json]) -> list[Json]:
        """Results of a batch, each with its answer or its error."""
        return [_item(item, one) for item in items]

    def check_symbol(self, symbol: str) -> None:
        """Raise a 404 for a symbol that is not in the universe."""
        if symbol not in (known := self.recipe.universe.symbols):
            raise not_found(f"symbol of {self.recipe.universe.name}", symbol, known)

    def view(self) -> View:
        """The state now."""
        if self.following is None or not self.served.routes:
            raise unavailable("the models are not loaded yet")
        return self.following.value

    def _champion(self) -> Champion:
        self.view()
        return self.served.choose(self.recipe.name, request_id())

    def _answer(self, champion: Champion, symbol: str | None, newest: Live, asked: Any) -> Json:
        return with_shadow(self.served, champion, partial(self._said, symbol, newest, asked)).answer

    def _said(self, symbol: str | None, newest: Live, asked: Any, champion: Champion, answered: bool) -> Said:
        started, seen = time.perf_counter(), newest.seen(champion.contract)
        if isinstance(seen, Short):
            if answered:
                self.meter.abstained("short history")
            raise unavailable(f"{symbol}: {seen}")
        with self.meter.timed("inference"):
            said = self.say(champion, symbol, newest, seen, asked)
        if not all(map(isfinite, said.output)):
            raise BadFeatures(f"{champion.contract.family} gives no finite numbers of what it is shown")
        self.log.add(
            Logged(
                ts=self.clock(),
                request_id=request_id(),
                app=self.app,
                name=champion.name,
                version=champion.version,
                alias=champion.alias,
                answered=answered,
                symbol=symbol or "",
                inputs_sha=inputs_sha(seen),
                features=seen.tolist() if champion.contract.lookback == 1 else None,
                output=said.output,
                latency_s=time.perf_counter() - started,
                ts_from=newest.ts,
            )
        )
        return said

    def _enough(self, newest: Live) -> bool:
        return not any(isinstance(newest.seen(contract), Short) for contract in self._needs)

    def _check_reach(self, view: View) -> None:
        """Raise `DataError` where a symbol that answers would be too short, for what is behind it cannot be read."""
        for symbol, why in view.unread.items():
            newest = view.newest[symbol]
            if isinstance(newest, Live) and not self._enough(newest):
                raise DataError(f"the history of {symbol} cannot be read: {why}")

    def _check_age(self, symbol: str, newest: Live) -> None:
        """Raise a 503 where the newest row of a live market is older than the recipe allows."""
        serving, session = self.recipe.serving, self.recipe.session
        if serving.clock == "data":
            return
        age = trading_time(self.clock(), session) - trading_time(newest.ts, session)
        self.meter.staleness(symbol, age / SECOND)
        if (interval := self.recipe.interval_ns) and age > serving.max_age_bars * interval:
            self.meter.abstained("stale")
            raise unavailable(
                f"{symbol}: its newest row is {age / interval:.1f} intervals old; at most {serving.max_age_bars}"
            )


def _contracts(champions: Sequence[Champion]) -> tuple[Contract, ...]:
    return tuple(champion.contract for champion in champions)


def _back(contracts: Sequence[Contract]) -> list[tuple[str, int]]:
    """How far they look back, and on what: all that the state depends on of them."""
    return sorted({(contract.reads, contract.lookback) for contract in contracts})


def _item(item: Any, one: Callable[[Any], Json]) -> Json:
    try:
        return {"result": one(item), "error": None}
    except (HTTPException, RequestValidationError, ValidationError) as error:
        return {"result": None, "error": refusal(error)}
