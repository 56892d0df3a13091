"""What a shard would have answered at its last bars, made when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from bellwether.drift import restored
from bellwether.errors import ModelError
from bellwether.signal import Absence
from data.features.base import Floats, Ints
from data.features.market import component_features
from data.features.tables import universe_context
from data.lake.slices import read_slice, slices
from data.records import record_kind
from data.wall import times
from serve_apps.index.counted import Counted, counted, nanoseconds
from serve_apps.index.releases import Release
from serve_apps.index.seen import Seen, seen
from serve_apps.index.shard_state import KEEP, ShardState, predict
from serve_apps.on_demand import OnDemand

RELEASES = 2
"""Releases whose predictions are kept: the one that answers and the one beside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PastAnswers:
    """What a shard says of its symbols' last bars. ``given`` is None where the caller holds what has this stamp."""

    stamp: str
    given: Mapping[str, Seen | Absence] | None


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The last rows of a symbol, and those a model may look back at before them.

    ``ts`` (n,), ``x`` (n, features); predictions begin at row ``first``.
    """

    ts: Ints
    x: Floats
    first: int


@dataclass(frozen=True, kw_only=True)
class _Tails:
    """``ts`` are the newest times of the whole universe, which every shard knows."""

    stamp: str
    ts: Ints
    of: Mapping[str, Tail | None]
    seen: dict[Release, Mapping[str, Seen | Absence]] = field(default_factory=dict)
    counted: dict[Release, Counted] = field(default_factory=dict)


class Past:
    """The last ``serving.history_bars`` bars of a shard's symbols, and what releases make of them.

    Nothing is read before the first call. After that the lake is read again when somebody asks and it has
    changed, so that the signal of the newest bar never waits for its history.
    """

    def __init__(self, state: ShardState) -> None:
        self._state, self._tails = state, OnDemand(state.version, lambda stamp: _tails(state, stamp))
        self._predicting, self._counting = asyncio.Lock(), asyncio.Lock()

    async def answers(self, release: Release, known: str | None = None) -> PastAnswers:
        """Predictions of all symbols; ``known`` is the stamp of those that the caller holds."""
        tails = await self._tails.get()
        stamp = f"{release.stamp}-{tails.stamp}"
        if stamp == known:
            return PastAnswers(stamp=stamp, given=None)
        async with self._predicting:  # who asks for the same meanwhile finds it there
            if release not in tails.seen:
                found = await asyncio.to_thread(self._predicted, tails, release)
                for old in [*tails.seen][: 1 - RELEASES]:
                    tails.seen.pop(old)
                tails.seen[release] = found
        return PastAnswers(stamp=stamp, given=tails.seen[release])

    async def counted(self, release: Release) -> Counted:
        """The rows of the last bars, counted by the reference of the pooled model of a release.

        Raises
        ------
        ModelError
            Its contract states no reference.
        """
        tails = await self._tails.get()
        async with self._counting:
            if release not in tails.counted:
                found = await asyncio.to_thread(self._counted, tails, release)
                for old in [*tails.counted][: 1 - RELEASES]:
                    tails.counted.pop(old)
                tails.counted[release] = found
        return tails.counted[release]

    def _counted(self, tails: _Tails, release: Release) -> Counted:
        contract = self._state.predictor(Release(release.version), "").contract
        if isinstance(detector := restored(contract.drift), str):
            raise ModelError(detector)
        window = tails.ts[-detector.bars :]
        return counted(
            f"{release.stamp}-{tails.stamp}",
            [(tail.ts, tail.x) for tail in tails.of.values() if tail is not None],
            since=int(window[0]) if len(window) else 0,
            train_end=nanoseconds(contract.train_end),
            detector=detector,
        )

    def _predicted(self, tails: _Tails, release: Release) -> Mapping[str, Seen | Absence]:
        return {symbol: self._seen(symbol, tail, release) for symbol, tail in tails.of.items()}

    def _seen(self, symbol: str, tail: Tail | None, release: Release) -> Seen | Absence:
        if tail is None:
            return Absence(status="missing", reason="the lake has no bars of it; ingest them")
        model = self._state.predictor(release, symbol)
        return seen(
            tail.ts, tail.x, lambda row: predict(model, row), first=tail.first, lookback=model.contract.lookback
        )


def _tails(state: ShardState, stamp: str) -> _Tails:
    recipe, lake = state.recipe, state.lake
    bars = slices(lake.entries(recipe.kind).values())
    context = universe_context(recipe, lake, {s: bars[s] for s in recipe.universe.symbols if s in bars})
    order, found = record_kind(recipe.record).order, dict.fromkeys(state.symbols)
    for symbol in (s for s in state.symbols if s in bars):
        table = pa.concat_tables(read_slice(lake, part, order) for part in bars[symbol])
        x = component_features(state.features, table, recipe.session, context)
        found[symbol] = tail(times(table), x, warmup=state.features.warmup, rows=recipe.serving.history_bars)
    return _Tails(stamp=stamp, ts=context.ts[-recipe.serving.history_bars :], of=found)


def tail(ts: Ints, x: Floats, *, warmup: int, rows: int) -> Tail:
    """The last ``rows`` rows beyond the warm-up, with the `KEEP` known ones before them."""
    first = min(max(len(ts) - rows, warmup), len(ts))
    before = np.flatnonzero(np.isfinite(x[:first]).all(axis=1))[-KEEP:]
    start = int(before[0]) if len(before) else first
    return Tail(ts=ts[start:], x=x[start:], first=first - start)
