"""The shards as the ingress sees them: each called once, all at the same time, none waited for beyond a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from bellwether.signal import Absence, Prediction
from serve_apps.index.component_predictor import Answers

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
    """What all shards said. Rounds with equal ``key`` say the same; it is None where a shard did not answer."""

    key: tuple[str, ...] | None
    answers: Mapping[str, Prediction | Absence]


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
        self._held: list[Answers | None] = [None] * len(self.handles)
        self._round: asyncio.Future[Round] | None = None
        self._place = {symbol: k for k, symbols in enumerate(self.slices) for symbol in symbols}

    def shard_of(self, symbol: str) -> int:
        """Number of the shard that holds a symbol of the universe."""
        return self._place[symbol]

    async def ask(self) -> Round:
        """Ask every shard for its symbols; who asks while a round is under way shares it.

        A shared answer may be older than the request by as long as a round takes, at most ``timeout_s``; shards look at
        the lake less often than that. Under load, many requests then cost the shards one call each.
        """
        if self._round is None:
            self._round = asyncio.ensure_future(self._ask_all())
            self._round.add_done_callback(self._over)
        return await asyncio.shield(self._round)  # a client that goes away does not end it for the others

    def _over(self, _: asyncio.Future[Round]) -> None:
        self._round = None

    async def _ask_all(self) -> Round:
        said = await asyncio.gather(*(self._ask(k) for k in range(len(self.handles))))
        answers: dict[str, Prediction | Absence] = {}
        for symbols, one in zip(self.slices, said, strict=True):
            answers |= dict.fromkeys(symbols, one.absence()) if isinstance(one, Unanswered) else one.given or {}
        stamps = tuple(one.stamp for one in said if isinstance(one, Answers))
        return Round(key=stamps if len(stamps) == len(said) else None, answers=answers)

    async def call(self, shard: int, method: str, *arguments: Any) -> Any | Unanswered:
        """One call to one shard, under the deadline; a call that is given up is cancelled."""
        try:
            response = getattr(self.handles[shard], method).remote(*arguments)
            return await self._within(response, shard)
        except FAILURES as error:
            last = (str(error).strip().splitlines() or [""])[-1]
            return Unanswered(status="down", reason=f"shard {shard} failed, {type(error).__name__}: {last}"[:LONGEST])

    async def _within(self, response: Any, shard: int) -> Any:
        task = asyncio.ensure_future(_answer(response))
        try:
            await asyncio.wait({task}, timeout=self.timeout_s)
            if task.done():
                return task.result()
            return Unanswered(status="late", reason=f"shard {shard} did not answer within {self.timeout_s} s")
        finally:
            if not task.done():
                response.cancel()
                task.cancel()
                task.add_done_callback(_look_at)

    async def _ask(self, shard: int) -> Answers | Unanswered:
        held = self._held[shard]
        said: Answers | Unanswered = await self.call(shard, "predict", self.slices[shard], held.stamp if held else None)
        if isinstance(said, Unanswered):
            return said
        if said.given is None and held is not None:
            return held
        self._held[shard] = said
        return said


async def _answer(response: Any) -> Any:
    return await response


def _look_at(task: asyncio.Task[Any]) -> None:
    """What became of a call that was given up interests nobody; asyncio complains if nobody asks."""
    if not task.cancelled():
        task.exception()
