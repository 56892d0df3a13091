"""Where LOBSTER's deltas give the whole book, and what they say there."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from data.arrow import Column
from data.sources.lobster_blocks import Block, Ints


class Beginnings:
    """Finds the messages after which a day's deltas give the book.

    The first with a time, whatever is known then: the book of the day before is no longer true. And the first with a
    readable row of the book from there on, and from each message on that is lost: it may itself have such a row.
    """

    def __init__(self) -> None:
        self._opened, self._lost = False, True

    def next(self, block: Block) -> Ints:
        """Return the positions of such messages among the next ones."""
        shown, lost = (np.flatnonzero(flags.to_numpy(False)) for flags in (block.shown, block.lost))
        lost = np.append(0, lost) if self._lost else lost
        after = np.searchsorted(shown, lost)
        found: Ints = np.unique(shown[after[after < len(shown)]])
        self._lost = bool((after == len(shown)).any())
        timed = np.flatnonzero(block.ts.is_valid().to_numpy(False))
        if not self._opened and len(timed):
            found, self._opened = np.union1d(timed[:1], found), True
        return found


def snapshots(block: Block, at: Ints) -> dict[str, Column]:
    """Return the books after messages: a ``clear``, as part 1, and a ``set`` a level that is not empty.

    Where a row of the book cannot be read, or there is none, the ``clear`` stands alone.
    """
    book = [] if block.book is None else [column.to_numpy(False)[at] for column in block.book]
    shown = block.shown.to_numpy(False)[at]
    nothing = np.full(len(at), np.nan)
    price, qty = np.stack([nothing, *book[::2]], axis=1), np.stack([nothing, *book[1::2]], axis=1)
    n, parts = price.shape
    keep = ~np.isnan(price) & shown[:, None]
    keep[:, 0] = True
    side = np.tile([0, *[-1, 1] * (parts // 2)], n)
    action = np.tile(["clear", *["set"] * (parts - 1)], n)
    given = {"part": np.tile(np.arange(1, parts + 1), n), "side": side, "action": action}
    columns: dict[str, Column] = {name: pa.array(values[keep.ravel()]) for name, values in given.items()}
    columns |= {name: pa.array(v[keep], from_pandas=True) for name, v in {"price": price, "qty": qty}.items()}
    again = pa.array(np.repeat(at, keep.sum(axis=1)))
    told = {"ts_event": block.ts, "seq": block.seq, "row": block.row}
    return columns | {name: column.take(again) for name, column in told.items()}
