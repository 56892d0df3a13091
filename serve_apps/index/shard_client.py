"""The shards as the ingress sees them: each called once, all at the same time, none waited for beyond a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Literal

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from bellwether.signal import Absence, Prediction
from serve_apps.index.component_predictor import Answers
from serve_apps.index.releases import Release

FAILURES = (RayError, RayServeException)
"""A shard that is down, restarting or overloaded, or whose code raised."""

LONGEST = 300
"""Characters of a failure that an answer repeats."""


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """A call that brought no answer: ``late``, or the shard is ``down``."""

    status: Literal["late", "down"]
    reason: str

    def absence(self) -> Absence:
        """The same, said of a component."""
        return Absence(status="late" if self.status == "late" else "missing", reason=self.reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What all shards said by one release. Rounds of one ``key`` say the same; it is None where one did not answer."""

    release: Release
    key: tuple[str, ...] | None
    answers: Mapping[str, Prediction | Absence]
    features: Mapping[str, tuple[float, ...]]


class ShardClient:
    """Handles of the shards, and their last answers.

    Parameters
    ----------
    handles : sequence
        One ``DeploymentHandle`` a shard.
    slices : sequence of tuple of str
        The symbols of each.
    timeout_s : float
        The deadline of a call.
    """

    def __init__(self, handles: Sequence[Any], slices: Sequence[tuple[str, ...]], timeout_s: float) -> None:
        self.handles, self.slices, self.timeout_s = tuple(handles), tuple(slices), timeout_s
        self._held: dict[tuple[int, Release], Answers] = {}
        self._rounds: dict[Release, asyncio.Future[Round]] = {}
        self._nobody = copy_context()
        self._place = {symbol: k for k, symbols in enumerate(self.slices) for symbol in symbols}

    def shard_of(self, symbol: str) -> int:
        """Number of the shard that holds a symbol of the universe."""
        return self._place[symbol]

    async def ask(self, release: Release) -> Round:
        """Ask every shard for its symbols; who asks for the same release while a round is under way shares it.

        A shared answer may be older than the request by as long as a round takes, at most ``timeout_s``; shards look at
        the lake less often than that. Under load, many requests then cost the shards one call each.

        A round belongs to no request: what is called in the context of one, Serve cancels when its client goes away.
        """
        if (round_ := self._rounds.get(release)) is None:
            asking = asyncio.get_running_loop().create_task(self._ask_all(release), context=self._nobody.copy())
            round_ = self._rounds[release] = asking
            round_.add_done_callback(lambda _: self._rounds.pop(release, None))
        return await asyncio.shield(round_)  # a client that goes away does not end it for the others

    async def prepare(self, releases: Collection[Release], patience_s: float) -> list[str | Unanswered | None]:
        """Let every shard load what it needs to answer by these releases; why one cannot, or None, in their order."""
        return list(
            await asyncio.gather(
                *(
                    self.call(k, "prepare", [r.narrowed(symbols) for r in releases], patience_s=patience_s)
                    for k, symbols in enumerate(self.slices)
                )
            )
        )

    def keep(self, releases: Collection[Release]) -> None:
        """Forget the answers of other releases."""
        self._held = {key: answers for key, answers in self._held.items() if key[1] in releases}

    async def _ask_all(self, release: Release) -> Round:
        said = await asyncio.gather(*(self._ask(k, release) for k in range(len(self.handles))))
        answers: dict[str, Prediction | Absence] = {}
        features: dict[str, tuple[float, ...]] = {}
        for symbols, one in zip(self.slices, said, strict=True):
            answers |= dict.fromkeys(symbols, one.absence()) if isinstance(one, Unanswered) else one.given or {}
            features |= {} if isinstance(one, Unanswered) else one.features or {}
        stamps = tuple(one.stamp for one in said if isinstance(one, Answers))
        key = stamps if len(stamps) == len(said) else None
        return Round(release=release, key=key, answers=answers, features=features)

    async def call(self, shard: int, method: str, *arguments: Any, patience_s: float | None = None) -> Any | Unanswered:
        """One call to one shard, under the deadline; a call that is given up is cancelled."""
        try:
            response = getattr(self.handles[shard], method).remote(*arguments)
            return await _within(response, shard, self.timeout_s if patience_s is None else patience_s)
        except FAILURES as error:
            last = (str(error).strip().splitlines() or [""])[-1]
            return Unanswered(status="down", reason=f"shard {shard} failed, {type(error).__name__}: {last}"[:LONGEST])

    async def _ask(self, shard: int, release: Release) -> Answers | Unanswered:
        held, symbols = self._held.get((shard, release)), self.slices[shard]
        known = held.stamp if held else None
        said: Answers | Unanswered = await self.call(shard, "predict", symbols, release.narrowed(symbols), known)
        if isinstance(said, Unanswered):
            return said
        if said.given is None and held is not None:
            return held
        self._held[shard, release] = said
        return said


async def _within(response: Any, shard: int, seconds: float) -> Any:
    task = asyncio.ensure_future(_answer(response))
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.cancelled():
            return Unanswered(status="down", reason=f"the call of shard {shard} was cancelled")
        if task.done():
            return task.result()
        return Unanswered(status="late", reason=f"shard {shard} did not answer within {seconds} s")
    finally:
        if not task.done():
            response.cancel()
            task.cancel()
            task.add_done_callback(_look_at)


async def _answer(response: Any) -> Any:
    return await response


def _look_at(task: asyncio.Task[Any]) -> None:
    """What became of a call that was given up interests nobody; asyncio complains if nobody asks."""
    if not task.cancelled():
        task.exception()
