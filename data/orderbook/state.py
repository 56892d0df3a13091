"""What an order book remembers: plain arrays that can be copied, saved and moved between processes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

REASONS = (
    "absent",
    "excess",
    "absent_set",
    "beyond",
    "outside",
    "through",
    "crossed",
    "malformed",
    "gap",
    "adrift",
    "stale",
)
"""What is counted, so that nothing happens silently.

========== ============================================================================================================
absent     cancel or execution at a price that is known to have no level: ignored
excess     cancel or execution of more than the level has: the level goes
absent_set a level set to 0 that is not there: ignored; of some feeds it is normal
beyond     event at a price where nothing was known: it determines no quantity, and often no place
outside    event at a price that ``depth`` certain levels are before, so that the feed should not tell of it: ignored
through    execution although the side has a better level: the better one stays
crossed    rows whose best bid is at or above the best ask: they are written as they are
malformed  change without a side, a positive price or a quantity of at least 0: ignored
gap        message whose predecessor is not the one before: the book is unknown until the next snapshot
adrift     messages of a numbered feed before its first snapshot or after a gap, that one included: not applied
stale      messages older than the snapshot before them: not applied
========== ============================================================================================================
"""

ABSENT, EXCESS, ABSENT_SET, BEYOND, OUTSIDE, THROUGH, CROSSED, MALFORMED, GAP, ADRIFT, STALE = range(len(REASONS))

NOWHERE, EVERYWHERE = np.inf, -np.inf
"""Keys a side is known down to: nothing is known; everything is."""

LEVEL = np.dtype([("key", "f8"), ("qty", "f8"), ("exact", "i8")])
"""A price level: side times price, so that better is higher; its quantity; whether that is all there is, or only the
least there can be. At least 0 means that the level may not exist."""

SIDE = np.dtype([("held", "i8"), ("edge", "f8"), ("reach", "f8"), ("before", "i8"), ("depth", "i8"), ("whole", "i8")])
"""A side: how many levels are held, how far it is complete, how far the feed tells of it, how many levels there may be
before that, and what the feed is like; see `data.orderbook.book`."""

MEMO = np.dtype(
    [
        ("open", "i8"),
        ("loading", "i8"),
        ("skipped", "i8"),
        ("following", "i8"),
        ("last", "i8"),
        ("ts", "i8"),
        ("recv", "i8"),
        ("seq", "i8"),
        ("trade_px", "f8"),
        ("trade_qty", "f8"),
        ("trade_side", "f8"),
    ]
)
"""The message in progress, and where a numbered feed stands; see `data.orderbook.scan`."""


class Book(NamedTuple):
    """The two sides of a book, bids first, and the message in progress.

    Parameters
    ----------
    levels : array of shape (2, capacity) and type `LEVEL`
        Levels held, by rising key: the best is the last. Only the first ``held`` of a side count.
    sides : array of shape (2,) and type `SIDE`
    memo : array of shape (1,) and type `MEMO`
    tally : int64 array of shape (len(REASONS),)
        How often what happened.
    """

    levels: NDArray[np.void]
    sides: NDArray[np.void]
    memo: NDArray[np.void]
    tally: NDArray[np.int64]


def new_book(depth: int = 0, whole: bool = False, capacity: int = 0) -> Book:
    """Return a book of which nothing is known.

    Parameters
    ----------
    depth : int
        Levels a side that the feed tells of; 0: every price.
    whole : bool
        Whether a snapshot of a feed that tells of every price has every level.
    capacity : int
        Levels a side there is room for.

    >>> book = new_book(depth=5)
    >>> book.sides["held"].tolist(), book.sides["edge"].tolist()
    ([0, 0], [inf, inf])
    """
    sides = np.zeros(2, SIDE)
    sides["depth"], sides["whole"], sides["edge"], sides["reach"] = depth, whole, NOWHERE, NOWHERE
    return Book(np.zeros((2, capacity), LEVEL), sides, np.zeros(1, MEMO), np.zeros(len(REASONS), np.int64))


def resized(book: Book, spare: int = 0) -> Book:
    """Return the same book with room for ``spare`` more levels a side, and its own copy of everything.

    Beyond the levels a side holds there are zeros: books that remember the same are the same to the byte.
    """
    held = book.sides["held"].tolist()
    levels = np.zeros((2, max(held) + spare), LEVEL)
    for new, old, count in zip(levels, book.levels, held, strict=True):
        new[:count] = old[:count]
    return Book(levels, book.sides.copy(), book.memo.copy(), book.tally.copy())


def tallied(book: Book) -> dict[str, int]:
    """Return what happened and how often, without what never did."""
    counts: dict[str, Any] = dict(zip(REASONS, book.tally.tolist(), strict=True))
    return {reason: count for reason, count in counts.items() if count}
