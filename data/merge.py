"""New bars into the bars there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.records import BARS

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Bars of one symbol after new ones came, and what became of the new ones.

    Parameters
    ----------
    bars : pyarrow.Table
        Schema `data.records.BARS`, ``ts_event`` rising.
    added, revised, unchanged : int
        New bars at times that had none, at times that had another (the new one stands), and those there already.
    """

    bars: pa.Table
    added: int
    revised: int
    unchanged: int


def merge(old: pa.Table | None, new: pa.Table) -> Merged:
    """Merge bars of one symbol; both sides have ``ts_event`` rising without repeats."""
    if old is None:
        return Merged(bars=new, added=new.num_rows, revised=0, unchanged=0)
    before, after = times(old), times(new)
    at = np.searchsorted(before, after)
    known = np.isin(after, before)
    same = np.zeros(len(after), bool)
    same[known] = _equal(old.take(at[known]), new.filter(pa.array(known)))
    keep = ~np.isin(before, after)
    bars = pa.concat_tables([old.filter(pa.array(keep)).cast(BARS), new]).sort_by("ts_event")
    return Merged(bars=bars, added=int((~known).sum()), revised=int((known & ~same).sum()), unchanged=int(same.sum()))


def gaps(grids: Iterable[Ints]) -> int:
    """Count what is missing: times between a symbol's first and last at which another symbol has a bar.

    >>> gaps([np.array([1, 2, 3]), np.array([1, 3]), np.array([3, 4])])
    1
    """
    rising = [grid for grid in grids if len(grid)]
    union = np.unique(np.concatenate([*rising, np.empty(0, np.int64)]))
    return sum(
        int(np.searchsorted(union, grid[-1]) - np.searchsorted(union, grid[0])) + 1 - len(grid) for grid in rising
    )


def times(bars: pa.Table) -> Ints:
    """Return ``ts_event`` as UTC nanoseconds."""
    ts: Ints = bars["ts_event"].cast(pa.int64()).to_numpy()
    return ts


def _equal(one: pa.Table, other: pa.Table) -> NDArray[np.bool_]:
    names = [name for name in BARS.names if name not in ("symbol", "ts_event")]
    same: NDArray[np.bool_] = np.logical_and.reduce([one[name].to_numpy() == other[name].to_numpy() for name in names])
    return same
