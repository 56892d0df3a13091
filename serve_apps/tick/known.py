"""What the lake's newest session makes of a symbol: where its features stand after the last trade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from data.features import feature_kind, features_of
from data.features.base import Floats, InputContext
from data.features.tables import runs
from data.lake import Lake
from data.lake.manifest import Entry
from data.lake.slices import Slice, digest_of_parts, read_slice
from data.records import record_kind
from data.wall import times
from serve_apps.tick.record import COLUMNS, Tick, ticks_of

CHUNK = 65_536
"""Trades that are scanned at a time."""

NEVER = (-1, -1)
"""The key before all trades."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """The state of one symbol after the lake's newest trade. Never changes; further trades make another.

    Parameters
    ----------
    run : tuple of (str, str)
        Partition and digest of each slice that was scanned from the empty state.
    state : structured array of shape (1,)
        What the feature set remembers.
    row : float64 array of shape (features,)
        Features of the newest trade; NaN in the warm-up.
    kept : float64 array of shape (<= lookback, features)
        The last rows whose features are all known, oldest first.
    key : (int, int)
        Time and number of the newest trade; `NEVER` where there is none.
    instant : tuple of Tick
        The trades at the newest time.
    unread : str
        Why trades that came after these could not be read; empty where all were.
    """

    run: tuple[tuple[str, str], ...]
    state: NDArray[np.void]
    row: Floats
    kept: Floats
    key: tuple[int, int] = NEVER
    instant: tuple[Tick, ...] = ()
    unread: str = ""


class Reader:
    """Makes `Known` of a lake's trades by a recipe's features.

    Parameters
    ----------
    recipe : Recipe
    lake : Lake
    lookback : int
        Rows the models look at.
    """

    def __init__(self, recipe: Recipe, lake: Lake, lookback: int = 1) -> None:
        self.recipe, self.lake, self.lookback = recipe, lake, lookback
        self.kind, self.features = feature_kind(recipe.features.kind), features_of(recipe.features)
        self.order = record_kind(recipe.record).order

    def nothing(self) -> Known:
        """The state of a symbol without trades."""
        n = len(self.features.outputs)
        return Known(run=(), state=self.features.start(), row=np.full(n, np.nan), kept=np.empty((0, n)))

    def known(self, symbol: str, parts: Sequence[Slice], before: Known | None = None) -> Known:
        """Where a symbol stands after ``parts``, its slices by date; ``before`` itself if nothing has come.

        Trades that came after those of ``before`` are scanned on from there, to the same bits as from the start.
        """
        if not parts:
            return before if before is not None and before.key == NEVER else self.nothing()
        every = list(runs(self.recipe, parts))
        run = every[-1]
        seen = tuple((part.partition, part.digest) for part in run)
        if before is not None and before.run == seen:
            return before
        fresh = None if before is None else _fresh(before, run)
        if before is not None and fresh is not None:
            table = self._read(fresh)
            if table.num_rows and ticks_of(table.slice(0, 1))[0].key > before.key:
                return replace(self._scanned(symbol, before, table), run=seen)
        found = self._from_the_start(symbol, run)
        for older in reversed(every[:-1]):
            if len(found.kept) >= self.lookback:
                break
            earlier = self._from_the_start(symbol, older).kept
            found = replace(found, kept=np.concatenate([earlier, found.kept])[-self.lookback :])
        return replace(found, run=seen)

    def _from_the_start(self, symbol: str, run: Sequence[Slice]) -> Known:
        found = self.nothing()
        for part in run:
            found = self._scanned(symbol, found, self._read(part))
        return found

    def _read(self, part: Slice) -> pa.Table:
        return read_slice(self.lake, part, self.order, COLUMNS)

    def _scanned(self, symbol: str, before: Known, table: pa.Table) -> Known:
        """Scan trades, in the lake's order, from where ``before`` stands."""
        context = InputContext(symbol=symbol, session=self.recipe.session)
        state, row, kept = before.state.copy(), before.row, before.kept
        for first in range(0, table.num_rows, CHUNK):
            _, x = self.kind.inputs(self.features, table.slice(first, CHUNK), context)
            out = self.features.scan(x, state)
            whole = out[np.isfinite(out).all(axis=1)][-self.lookback :]
            row, kept = out[-1].copy(), np.concatenate([kept, whole])[-self.lookback :]
        if not table.num_rows:
            return before
        ts = times(table)
        instant = tuple(ticks_of(table.slice(int(np.searchsorted(ts, ts[-1])))))
        if before.key[0] == ts[-1] == instant[0].ts:
            instant = (*before.instant, *instant)
        return replace(before, state=state, row=row, kept=kept, key=instant[-1].key, instant=instant)


def _fresh(before: Known, run: Sequence[Slice]) -> Slice | None:
    """The files of a run's last slice that came after those scanned; None where those are not there as they were."""
    *older, last = run
    if tuple((part.partition, part.digest) for part in older) != before.run[:-1] or not before.run:
        return None
    partition, digest = before.run[-1]
    entries: Sequence[Entry] = last.entries
    if partition != last.partition:
        return None
    for n in range(len(entries) - 1, 0, -1):
        if digest_of_parts(entries[:n]) == digest:
            return replace(last, entries=tuple(entries[n:]))
    return None
