"""Books rebuilt from deltas: the order book after each message."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pyarrow as pa
from pydantic import Field

from bellwether.config.frozen import Frozen
from data.derive.base import Derivation, DeriveContext
from data.orderbook.replay import Replay
from data.orderbook.state import new_book, tallied
from data.records.books import LEVELS

logger = logging.getLogger(__name__)


class RebuildOptions(Frozen):
    """What a recipe says about rebuilding books.

    Parameters
    ----------
    depth : int
        Levels a side that the feed tells of: 5 for LOBSTER's files of 5 levels. 0: it tells of every price, as Binance
        does. With a higher number than the feed's, or 0, levels are taken for known that have dropped out of its view.
    whole : bool
        Only with ``depth`` 0: take what a snapshot or a cleared book shows for all there is. Binance's snapshots of
        1,000 levels are not, and a level beyond them that nothing names may come into view; without this, what lies
        beyond is unknown until the market has passed it, however many levels there are named.
    levels : int
        Levels a side to write.
    """

    depth: int = Field(default=0, ge=0)
    whole: bool = False
    levels: int = Field(default=LEVELS, ge=1, le=LEVELS)


def make(parts: Iterator[pa.Table], options: RebuildOptions, context: DeriveContext) -> Iterator[pa.Table]:
    """Yield the book after each message, part by part; what is odd about the messages is counted and logged.

    The book is carried from part to part, over midnight too: where a day begins anew, its deltas ``clear`` it.
    """
    replay = Replay(new_book(options.depth, options.whole), context.symbol, options.levels)
    for part in parts:
        yield replay.feed(part)
    yield replay.finish()
    if counts := tallied(replay.book):
        told = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
        logger.info("deltas of %s: %s", context.symbol, told)


KIND = Derivation(kind="rebuild", takes="deltas", gives="books", options=RebuildOptions, make=make, uses=(Replay,))
