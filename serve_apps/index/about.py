"""What is known about the signal: its history, its stream, its universes, the models behind it, and their drift."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Header, Query, Response

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError, RegistryError
from bellwether.registry import Registry
from bellwether.trading_time import iso
from data.weights.table import WeightTable
from serve_apps.following import Following
from serve_apps.index import boards
from serve_apps.index.answers import AWAY, UNKNOWN
from serve_apps.index.counted import nanoseconds
from serve_apps.index.drift import Drift
from serve_apps.index.history import Histories, bar_json
from serve_apps.index.index_bars import IndexBars, index_bars
from serve_apps.index.more_answers import (
    EVENTS,
    DriftAnswer,
    HistoryAnswer,
    LeaderboardAnswer,
    UniversesAnswer,
    VersionsAnswer,
)
from serve_apps.index.published import Published
from serve_apps.index.releases import Release
from serve_apps.index.shard_client import ShardClient, Unanswered
from serve_apps.index.stream import Streams
from serve_apps.index.universes import Basket, Universes
from serve_apps.index.wire import Json, thresholds_json
from serve_apps.metrics import Meter
from serve_apps.on_demand import OnDemand
from serve_apps.stores import Stores
from serve_apps.web.bodies import answer
from serve_apps.web.problems import unavailable
from serve_apps.web.request_id import request_id

NAMED = Query(default=None, description="One of GET /universes; the recipe's, if left out.")

log = logging.getLogger(__name__)

Body = Callable[[Basket, str], Awaitable[bytes]]
"""``body(basket, key)``: the signal of a basket now, by the release that the key is routed to."""


class About:
    """Endpoints of one ingress that say something about its signal.

    Parameters
    ----------
    shards, weights : ShardClient, Following
        Those of the ingress.
    now : callable
        What it answers by.
    body : callable
        Its answer.
    streams : int
        How many may be open at a time.
    meter : Meter
        That of the ingress.
    """

    def __init__(
        self,
        recipe: Recipe,
        stores: Stores,
        *,
        shards: ShardClient,
        weights: Following[tuple[str, WeightTable]],
        now: Callable[[], Published],
        body: Body,
        streams: int,
        meter: Meter,
    ) -> None:
        self.universes = Universes(recipe)
        self._recipe, self._stores, self._weights, self._now, self._body = recipe, stores, weights, now, body
        self._histories = Histories(shards, recipe.serving.history_bars)
        self._drift = Drift(shards, recipe.serving.history_bars, meter)
        self._streams = Streams(recipe.serving.refresh_s / 2, streams)
        lake = stores.open_lake()
        self._index = OnDemand(lambda: lake.version(recipe.kind), lambda _: index_bars(recipe, lake))
        self._registry: Registry | None = None
        self._boards: dict[Release, Json] = {}

    def install(self, api: FastAPI) -> None:
        """Add the endpoints."""
        most = self._recipe.serving.history_bars

        async def history(
            bars: int = Query(default=most, ge=1, le=most, description="How many, the newest last."),
            universe: str | None = NAMED,
        ) -> Response:
            """What the signal would have been at the last bars by the version that answers now, and what came of it."""
            return answer(await self._history(self.universes.find(universe), bars))

        async def stream(
            universe: str | None = NAMED,
            last_event_id: str | None = Header(default=None, description="The id of the last event that was received."),
        ) -> Response:
            """The index signal now and whenever it changes, as server-sent events."""
            basket, key = self.universes.find(universe), request_id()
            self._now()  # refuses where there is nothing to stream yet
            return self._streams.response(lambda: self._body(basket, key), last_event_id)

        api.get("/signal/index/history", response_model=HistoryAnswer, responses=UNKNOWN | AWAY)(history)
        api.get("/signal/index/stream", response_class=Response, responses=EVENTS | UNKNOWN | AWAY)(stream)
        api.get("/drift", response_model=DriftAnswer, responses=AWAY)(self.drift)
        api.get("/universes", response_model=UniversesAnswer)(self.list_universes)
        api.get("/leaderboard", response_model=LeaderboardAnswer, responses=AWAY)(self.leaderboard)
        api.get("/versions", response_model=VersionsAnswer, responses=AWAY)(self.versions)

    async def follow_drift(self, now: Callable[[], Published | None]) -> None:
        """Measure drift now and then, once there is something to answer by."""
        await self._drift.follow(now)

    async def list_universes(self) -> Response:
        """The universes that have a signal."""
        return answer(self.universes.json())

    async def leaderboard(self) -> Response:
        """How the families did in the sweep that the answering version came from."""
        published = self._now()
        release = published.releases.answering
        if (board := self._boards.get(release)) is None:
            model, contract = published.releases.naming(release), published.contract(release)
            board = await self._of_registry(lambda registry: boards.leaderboard(registry, model, contract))
            if board["source"] == "sweep":  # otherwise the registry may have been away for a moment
                self._boards = {release: board}
        return answer(board)

    async def drift(self) -> Response:
        """How far the features of the last bars are from those the answering version was trained on."""
        found = await self._drift.of(self._now())
        if isinstance(found, Unanswered):
            raise unavailable(found.reason)
        return answer(found)

    async def versions(self) -> Response:
        """Versions of the model and the moves of their aliases, newest first."""
        name, version = self._recipe.name, self._now().releases.answering.version
        return answer(await self._of_registry(lambda registry: boards.versions(registry, name, version)))

    async def _history(self, basket: Basket, bars: int) -> Json:
        published = self._now()
        release = published.releases.choose(request_id())
        policy, contract = published.policy(release), published.contract(release)
        signals = await self._histories.of(basket, release, policy, self._weights.value)
        if isinstance(signals, Unanswered):
            raise unavailable(signals.reason)
        index, train_end = await self._index_bars(), nanoseconds(published.train_end(release))
        return {
            "universe": basket.name,
            "model": published.releases.naming(release),
            "train_end": iso(train_end),
            "horizon_bars": contract.horizon,
            "thresholds": thresholds_json(policy),
            "bars": [bar_json(signal, index, train_end) for signal in signals[-bars:]],
        }

    async def _index_bars(self) -> IndexBars:
        try:
            return await self._index.get()
        except (DataError, OSError) as error:  # its message may have addresses
            log.exception("bars of the index cannot be read")
            raise unavailable(f"the lake cannot be read now: {type(error).__name__}") from error

    async def _of_registry(self, read: Callable[[Registry], Json]) -> Json:
        try:
            return await asyncio.to_thread(lambda: read(self._opened()))
        except RegistryError as error:  # its message may have addresses
            raise unavailable("the registry cannot be read now") from error

    def _opened(self) -> Registry:
        if self._registry is None:
            self._registry = self._stores.open_registry()
        return self._registry
