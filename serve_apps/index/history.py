"""The index signal at the last bars, as the version that answers now would have given it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from bellwether.signal import Absence, Prediction, Signal, compose
from bellwether.signal_policy import SignalPolicy
from bellwether.trading_time import iso
from data.weights.table import WeightTable
from serve_apps.index.index_bars import IndexBars
from serve_apps.index.past import PastAnswers
from serve_apps.index.releases import Release
from serve_apps.index.seen import Seen
from serve_apps.index.shard_client import ShardClient, Unanswered
from serve_apps.index.universes import Basket
from serve_apps.index.wire import Json

PATIENCE_S = 20.0
"""How long a shard may take: it reads the lake and predicts many rows the first time after a change."""

KEPT = 4
"""Histories that are kept composed."""


class Histories:
    """Histories as the shards give them, composed once for each state of shards and weights.

    Parameters
    ----------
    shards : ShardClient
    bars : int
        How many bars a history has; shards remember as many.
    """

    def __init__(self, shards: ShardClient, bars: int) -> None:
        self._shards, self._bars = shards, bars
        self._held: dict[tuple[int, Release], PastAnswers] = {}
        self._composing = asyncio.Lock()
        self._composed: OrderedDict[tuple[object, ...], list[Signal]] = OrderedDict()

    async def of(
        self, basket: Basket, release: Release, policy: SignalPolicy, weights: tuple[str, WeightTable]
    ) -> list[Signal] | Unanswered:
        """The signals of a basket by a release, or which shard did not answer: a history without it was never said.

        They come without their components. ``weights`` come with their version.
        """
        said = await asyncio.gather(*(self._ask(k, release) for k in range(len(self._shards.slices))))
        if away := [one for one in said if isinstance(one, Unanswered)]:
            return away[0]
        answers = [one for one in said if isinstance(one, PastAnswers)]
        key = (basket, policy, weights[0], *(one.stamp for one in answers))
        async with self._composing:  # who asks for the same meanwhile finds it there
            if key not in self._composed:
                seen = {symbol: what for one in answers for symbol, what in (one.given or {}).items()}
                made = past_signals(basket, weights[1], seen, policy, self._bars)
                self._composed[key] = await asyncio.to_thread(lambda: [replace(one, components=()) for one in made])
                while len(self._composed) > KEPT:
                    self._composed.popitem(last=False)
            return self._composed[key]

    async def _ask(self, shard: int, release: Release) -> PastAnswers | Unanswered:
        narrowed = release.narrowed(self._shards.slices[shard])
        held = self._held.get((shard, release))
        known = held.stamp if held else None
        said: PastAnswers | Unanswered = await self._shards.call(shard, "past", narrowed, known, patience_s=PATIENCE_S)
        if isinstance(said, PastAnswers):
            if said.given is None and held is not None:
                return held
            self._held = {key: kept for key, kept in self._held.items() if key[0] != shard} | {(shard, release): said}
        return said


def past_signals(
    basket: Basket, weights: WeightTable, seen: Mapping[str, Seen | Absence], policy: SignalPolicy, bars: int
) -> Iterator[Signal]:
    """The signal at each of the last ``bars`` closes of the basket's components, oldest first.

    At each close, every component answers from its newest bar by then, with the weights in force then, and ages are
    measured against that close; so the last signal is the live one, wherever the live one is not measured against the
    wall clock.
    """
    answers = {symbol: seen.get(symbol, _nothing()) for symbol in basket.symbols}
    closes = [a.ts[a.known] for a in answers.values() if isinstance(a, Seen)]
    at = np.unique(np.concatenate(closes))[-bars:] if closes else np.empty(0, np.int64)
    in_force = weights.matrix(at, basket.symbols)
    for ts, row in zip(at.tolist(), in_force, strict=True):
        yield compose(basket.name, basket.symbols, row, {s: _at(s, a, ts) for s, a in answers.items()}, policy)


def bar_json(signal: Signal, index: IndexBars, train_end: int) -> Json:
    """One bar of the history; ``train_end`` is UTC nanoseconds."""
    ts = signal.ts_event or 0
    close, following = index.at(ts)
    return {
        "ts_event": iso(ts),
        "signal": signal.signal,
        "wss": signal.wss,
        "wss_probability": signal.wss_probability,
        "coverage": signal.coverage,
        "reason": signal.reason,
        "index_close": close,
        "index_return": following,
        "in_training": ts <= train_end,
    }


def _at(symbol: str, answer: Seen | Absence, ts: int) -> Prediction | Absence:
    if isinstance(answer, Absence):
        return answer
    return answer.at(symbol, ts) or Absence(status="missing", reason=f"no prediction of it is kept of {iso(ts)}")


def _nothing() -> Absence:
    return Absence(status="missing", reason="no answer")
