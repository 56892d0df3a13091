"""What is written down beside the answers: what they said, and what the release in the shadow would have said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bellwether.signal import Signal
from serve_apps.index.component_predictor import Explained
from serve_apps.index.posted import Posted
from serve_apps.index.posts import Refusal, predict
from serve_apps.index.recorder import Made, Recorder
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
            made = Made(release=said.release, releases=releases, request=request_id(), seconds=seconds)
            self._recorder.round(said, made)
            self._beside(made, self._round)

    def newest(self, found: Explained, releases: Releases, release: Release, seconds: float) -> None:
        """Note the prediction of one symbol's newest bar."""
        made = Made(release=release, releases=releases, request=request_id(), seconds=seconds)
        self._recorder.newest(found, made)

    def posted(
        self,
        given: Sequence[Posted],
        found: Sequence[Explained | Refusal],
        releases: Releases,
        release: Release,
        seconds: float,
    ) -> None:
        """Note predictions from bars that a client sent."""
        made = Made(release=release, releases=releases, request=request_id(), seconds=seconds)
        self._explained(found, made)
        self._beside(made, partial(self._posted, given))

    async def _round(self, asked: Made, started: float) -> None:
        said = await self._shards.ask(asked.release)
        self._recorder.round(said, replace(asked, seconds=time.perf_counter() - started))

    async def _posted(self, given: Sequence[Posted], asked: Made, started: float) -> None:
        found = await predict(self._shards, given, asked.release)
        self._explained(found, replace(asked, seconds=time.perf_counter() - started))

    def _explained(self, found: Sequence[Explained | Refusal], made: Made) -> None:
        for one in found:
            if isinstance(one, Explained):
                self._recorder.explained(one, made)

    def _beside(self, made: Made, ask: Callable[[Made, float], Coroutine[Any, Any, None]]) -> None:
        """Let the release in the shadow, if there is one, say the same without answering."""
        if (other := made.releases.beside(made.release)) is not None:
            self._later(ask(replace(made, release=other, answered=False), time.perf_counter()))

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
