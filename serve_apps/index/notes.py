"""What is written down beside the answers: what they said, and what the release in the shadow would have said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from bellwether.signal import Signal
from serve_apps.index.component_predictor import Explained
from serve_apps.index.posted import Posted
from serve_apps.index.posts import Refusal, predict
from serve_apps.index.recorder import Recorder
from serve_apps.index.releases import Release, Releases
from serve_apps.index.shard_client import Round, ShardClient
from serve_apps.web.request_id import request_id


class Notes:
    """Hands predictions to the recorder. The shadow is asked when the answer is there, and no request waits for it."""

    def __init__(self, recorder: Recorder, shards: ShardClient) -> None:
        self._recorder, self._shards = recorder, shards
        self._tasks: set[asyncio.Task[None]] = set()

    def round(self, said: Round, signal: Signal, releases: Releases, seconds: float) -> None:
        """Note a signal, and what is new in the round it was composed of."""
        self._recorder.signal(signal)
        if self._recorder.is_new(said):
            request = request_id()
            self._recorder.round(said, releases, seconds, request=request, answered=True)
            if (other := releases.beside(said.release)) is not None:
                self._later(self._shadow(other, releases, request))

    def newest(self, found: Explained, releases: Releases, release: Release, seconds: float) -> None:
        """Note the prediction of one symbol's newest bar."""
        self._recorder.newest(found, release, releases, seconds, request=request_id())

    def posted(
        self,
        given: Sequence[Posted],
        found: Sequence[Explained | Refusal],
        releases: Releases,
        release: Release,
        seconds: float,
    ) -> None:
        """Note predictions from bars that a client sent."""
        request = request_id()
        self._explained(found, releases, release, seconds, request, answered=True)
        if (other := releases.beside(release)) is not None:
            self._later(self._shadow_posted(given, releases, other, request))

    async def _shadow(self, release: Release, releases: Releases, request: str) -> None:
        started = time.perf_counter()
        said = await self._shards.ask(release)
        self._recorder.round(said, releases, time.perf_counter() - started, request=request, answered=False)

    async def _shadow_posted(self, given: Sequence[Posted], releases: Releases, release: Release, request: str) -> None:
        started = time.perf_counter()
        found = await predict(self._shards, given, release)
        self._explained(found, releases, release, time.perf_counter() - started, request, answered=False)

    def _explained(
        self,
        found: Sequence[Explained | Refusal],
        releases: Releases,
        release: Release,
        seconds: float,
        request: str,
        *,
        answered: bool,
    ) -> None:
        for one in found:
            if isinstance(one, Explained):
                self._recorder.explained(one, release, releases, seconds, request=request, answered=answered)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
