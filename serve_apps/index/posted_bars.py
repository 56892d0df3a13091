"""Bars that a client posts for good, on their way into the lake: judged by the very rules of ingest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from fastapi import FastAPI, HTTPException, Response

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError
from bellwether.trading_time import iso
from data.intake.batch import Batch, no_progress
from data.intake.ingest import source_identity
from data.intake.quality import refuse_crowded
from data.intake.screen import screen
from data.intake.spool import Spool
from data.lake import Lake
from data.records import record_kind
from data.records.base import RuleContext
from data.wall import times
from serve_apps.index.answers import BarsTaken
from serve_apps.index.schemas import BarsBatch, BarsRequest, raw_bars
from serve_apps.web.bodies import answer, dumps
from serve_apps.web.problems import not_found, problems, unavailable, unprocessable

TRIES = 8
"""How often bars are merged anew because another process was quicker."""

REFUSED = problems(404, 409, 503)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What became of bars: ``added + revised + unchanged + rejected.num_rows`` is their number.

    ``rejected`` has the schema `data.intake.screen.rejected_schema`; ``version`` is the kind's afterwards.
    """

    added: int
    revised: int
    unchanged: int
    rejected: pa.Table
    version: str


def take_bars(recipe: Recipe, lake: Lake, raw: pa.Table, now: int) -> Taken:
    """Screen raw bars and merge them into the lake, as `bellwether ingest` does with those of a file.

    When it returns they survive a crash; taking them again changes nothing. A process that is killed before has changed
    no bar, or all of them and not said so.

    Parameters
    ----------
    raw : pyarrow.Table
        Schema `data.sources.base.RAW`.
    now : int
        The clock, UTC nanoseconds: a bar that closes later is not closed yet.

    Raises
    ------
    DataError
        They come quicker than their interval, the lake has bars of these symbols from another source, or other
        processes kept writing them, `TRIES` times in a row. No bar of them is in the lake then.
    """
    for _ in range(TRIES):
        with TemporaryDirectory(prefix="bellwether-bars-") as folder:
            batch = _judged(recipe, lake, raw, now, Path(folder))
            try:
                version = batch.write(lake, no_progress)
            except DataError as error:  # what they were merged with has changed meanwhile
                refused = error
                continue
        rejected = screen(batch.record, raw, RuleContext(session=recipe.session, now=now)).rejected
        counts = {name: batch.counts[name] for name in ("added", "revised", "unchanged")}
        return Taken(**counts, rejected=rejected, version=version)
    raise refused


def _judged(recipe: Recipe, lake: Lake, raw: pa.Table, now: int, folder: Path) -> Batch:
    """The bars, screened and merged beside the lake."""
    kind = record_kind(recipe.record)
    batch = Batch(
        record=kind,
        kind=recipe.kind,
        timed=True,
        interval_ns=recipe.interval_ns,
        identity=source_identity(recipe),
        before=lake.parts(recipe.kind),
        session=recipe.session,
        now=now,
        folder=folder,
    )
    spool = Spool(folder / "raw", dated=kind.dated)
    batch.gather(spool, raw, no_progress)
    batch.judge_all(lake, spool, no_progress)
    refuse_crowded(batch.counts["crowded"], sum(batch.kept.values()))
    batch.refuse_others(batch.kept)
    return batch


class PostedBars:
    """``POST /bars`` and ``POST /bars/batch``: one post of this replica after the other.

    Parameters
    ----------
    recipe : Recipe
    lake : Lake
    clock : callable
        The time, UTC nanoseconds.
    """

    def __init__(self, recipe: Recipe, lake: Lake, clock: Callable[[], int]) -> None:
        self._recipe, self._lake, self._clock, self._one = recipe, lake, clock, asyncio.Lock()

    def install(self, api: FastAPI) -> None:
        """Add the endpoints."""
        api.post("/bars", response_model=BarsTaken, responses=REFUSED)(self.bars)
        api.post("/bars/batch", response_model=BarsTaken, responses=REFUSED)(self.bars_batch)

    async def bars(self, request: BarsRequest) -> Response:
        """Take bars of one symbol into the lake; answered when they would survive a crash."""
        return await self._take([request], ("body",))

    async def bars_batch(self, batch: BarsBatch) -> Response:
        """The same of several symbols, all at once."""
        return await self._take(batch.items, ("body", "items"))

    async def _take(self, requests: Sequence[BarsRequest], where: tuple[str, ...]) -> Response:
        self._check(requests, where)
        raw = await asyncio.to_thread(raw_bars, requests)
        async with self._one:
            try:
                taken = await asyncio.to_thread(take_bars, self._recipe, self._lake, raw, self._clock())
            except DataError as error:
                raise HTTPException(409, {"message": str(error)}) from error
            except OSError as error:
                log.exception("posted bars cannot be written")
                raise unavailable(f"the lake cannot be written now: {type(error).__name__}; send them again") from error
        return answer(await asyncio.to_thread(_told, self._recipe.kind, raw, taken))

    def _check(self, requests: Sequence[BarsRequest], where: tuple[str, ...]) -> None:
        """Refuse symbols and intervals that the recipe does not ingest, and bars that it makes itself."""
        recipe, universe = self._recipe, self._recipe.universe
        if recipe.derive:
            raise HTTPException(409, {"message": f"bars of {recipe.name} are made of other records: ingest those"})
        known = (*universe.symbols, *([universe.index] if universe.index else []))
        for n, request in enumerate(requests):
            if request.symbol not in known:
                raise not_found(f"symbol of {universe.name}", request.symbol, known)
            if request.interval != recipe.interval:
                place: list[str | int] = [*where] if len(where) == 1 else [*where, n]
                why = f"is {request.interval!r}; {recipe.name} has bars of {recipe.interval!r}"
                raise unprocessable([*place, "interval"], why)


def _told(kind: str, raw: pa.Table, taken: Taken) -> bytes:
    """The answer: how many of the bars are what, and why those in quarantine are there, a hundred thousand at most."""
    rejected = taken.rejected
    columns = (rejected["symbol"].to_pylist(), times(rejected).tolist(), rejected["reason"].to_pylist())
    said = {
        "kind": kind,
        "received": raw.num_rows,
        "new": taken.added,
        "revised": taken.revised,
        "unchanged": taken.unchanged,
        "quarantined": [
            {"symbol": symbol, "ts_event": iso(ts), "reason": reason}
            for symbol, ts, reason in zip(*columns, strict=True)
        ],
        "version": taken.version,
    }
    return dumps(said)
