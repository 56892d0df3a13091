"""Trades that are posted, on their way to the disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from bellwether.config import Recipe
from bellwether.errors import DataError
from data.intake.append import Appended, Stream, append
from data.intake.ingest import source_identity
from data.lake import Lake
from data.lake.compaction import compact
from data.records import record_kind
from serve_apps.tick.schemas import PostedTick, raw
from serve_apps.web.problems import unavailable

MOST_PARTS = 64
"""Files of one symbol and date, one a post, that are made one when there are more."""

log = logging.getLogger(__name__)


class Posting:
    """Appends trades to the lake, one post of this replica after the other.

    Parameters
    ----------
    recipe : Recipe
    lake : Lake
    now : callable
        The time after which no trade is believed, UTC nanoseconds.
    """

    def __init__(self, recipe: Recipe, lake: Lake, now: Callable[[], int]) -> None:
        self._lake, self._now, self._one = lake, now, asyncio.Lock()
        self._stream = Stream(
            record=record_kind(recipe.record),
            kind=recipe.kind,
            session=recipe.session,
            identity=source_identity(recipe),
        )
        self._tidying: asyncio.Task[None] | None = None

    async def append(self, ticks: Sequence[PostedTick]) -> Appended:
        """Write trades to the lake; when this returns, they survive a crash.

        Raises
        ------
        HTTPException
            503: the lake cannot be written now.
        """
        async with self._one:
            try:
                appended = await asyncio.to_thread(append, self._stream, self._lake, raw(ticks), self._now())
            except (DataError, OSError) as error:
                log.exception("posted trades cannot be written")
                raise unavailable(f"the lake cannot be written now: {type(error).__name__}; send them again") from error
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.get_running_loop().create_task(asyncio.to_thread(self._tidy))
        return appended

    def _tidy(self) -> None:
        """Make one file of many; the features of their trades stay up to date."""
        try:
            if any(len(parts) > MOST_PARTS for parts in self._lake.parts(self._stream.kind).values()):
                compact(self._lake, self._stream.kind)
        except (DataError, OSError):
            log.exception("the lake's parts stay many; `bellwether lake compact` makes them one")
