"""What is missing between records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.arrow import pc

Ints = NDArray[np.int64]

GapIs = Literal["missing interval", "break in the numbering", "silence"]
"""What a gap is: a time at which a symbol has no record and another one has; a message whose feed says that another
one came between it and the one before; more than `SILENCE` without a record of a symbol within a UTC date."""

SILENCE = 5 * 60 * 1_000_000_000
"""Nanoseconds."""


def gaps(grids: Iterable[Ints]) -> int:
    """Count what is missing: times between a symbol's first and last at which another symbol has a record.

    >>> gaps([np.array([1, 2, 3]), np.array([1, 3]), np.array([3, 4])])
    1
    """
    rising = [np.unique(grid) for grid in grids if len(grid)]
    union = np.unique(np.concatenate([*rising, np.empty(0, np.int64)]))
    return sum(
        int(np.searchsorted(union, grid[-1]) - np.searchsorted(union, grid[0])) + 1 - len(grid) for grid in rising
    )


def silences(ts: Ints) -> int:
    """Count how often more than `SILENCE` passes from one of ``ts``, which rise, to the next.

    >>> silences(np.array([0, SILENCE, 2 * SILENCE + 1]))
    1
    """
    return int((np.diff(ts) > SILENCE).sum())


def breaks(deltas: pa.Table, before: int | None = None) -> tuple[int, int | None]:
    """Count messages that follow another than the feed says they follow.

    Parameters
    ----------
    deltas : pyarrow.Table
        Of one symbol, in their order, with ``seq`` and ``prev_seq``. A message whose feed names none before it, such as
        a snapshot, breaks nothing, nor does the one after it.
    before : int, optional
        The message before the first, as returned here for the deltas before these.

    Returns
    -------
    tuple
        The number of breaks, and the last message if it names the one before it.

    >>> breaks(pa.table({"seq": [3, 3, 5, 9], "prev_seq": [1, 1, 3, 7]}))
    (1, 9)
    """
    if not deltas.num_rows:
        return 0, before
    seq = deltas["seq"].to_numpy()
    chained = deltas["prev_seq"].is_valid().to_numpy()
    previous = pc.fill_null(deltas["prev_seq"], 0).to_numpy()
    start = np.concatenate([[True], seq[1:] != seq[:-1]])
    seq, chained, previous = seq[start], chained[start], previous[start]
    broken = int((chained[1:] & chained[:-1] & (previous[1:] != seq[:-1])).sum())
    if before is not None and chained[0]:
        broken += int(previous[0] != before)
    return broken, int(seq[-1]) if chained[-1] else None
