"""What a family reads of a panel: features, or what was known of outcomes and prices, of one row or of several.

Training and serving read rows through this file: it is the one definition of what a model is shown. Nothing here looks
ahead: a row sees rows of its own symbol up to itself, outcomes whose ``t1`` has come, and prices of that moment or
before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bellwether.models.base import Family, Params, Reads
from data.panel import Panel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NONE = -1


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The rows of a panel, each with a pointer to those before it.

    Parameters
    ----------
    x : float64 array of shape (n, features)
    changes : float64 array of shape (n,)
        Outcome of the first step; of a level, how much it changed.
    value : float64 array of shape (n,)
        The series at the row.
    ts, t1, who : int64 arrays of shape (n,)
        As in `data.panel.Panel`, sorted by (ts, who).
    previous : int64 array of shape (n,)
        The row of the same symbol before this one, or -1.
    known : int64 array of shape (n,)
        The newest row of the same symbol whose outcome is known at this one, or -1; never the row itself or a later
        one. From there, the next one does not overlap it.
    names, symbols : tuple of str
        Features and components.
    """

    x: Floats
    changes: Floats
    value: Floats
    ts: Ints
    t1: Ints
    who: Ints
    previous: Ints
    known: Ints
    names: tuple[str, ...]
    symbols: tuple[str, ...]

    def columns(self, family: Family) -> tuple[str, ...]:
        """Names of what the family reads of one row."""
        if family.reads is Reads.FEATURES:
            return self.names
        return ("who", *self.symbols) if family.reads is Reads.PRICES else ("outcome",)

    def read(self, family: Family, params: Params, rows: Ints, labels: Ints | None = None) -> Floats:
        """What the family reads of these rows: `look` with what it says of itself and of its parameters."""
        return self.look(family.reads, params.get("lookback", 1), rows, labels)

    def look(self, reads: Reads, lookback: int, rows: Ints, labels: Ints | None = None) -> Floats:
        """What is read of these rows, shape (rows, lookback * columns): single precision of features with a lookback.

        Parameters
        ----------
        labels : int64 array of shape (n,)
            Class positions of all rows, for what reads them.
        """
        if reads is Reads.FEATURES:
            return _features(self.x, self.previous, rows, lookback)
        if reads is Reads.PRICES:
            return self._prices(rows)
        series = self.changes if reads is Reads.OUTCOMES or labels is None else labels.astype(np.float64)
        return _outcomes(series, self.known, rows, lookback)

    def reach(self, reads: Reads, lookback: int, row: int) -> int:
        """How many of the ``lookback`` rows, or known outcomes, a row has: `look` makes up the others."""
        if reads is Reads.PRICES:
            return lookback
        back, start = (self.previous, row) if reads is Reads.FEATURES else (self.known, int(self.known[row]))
        return int((_chain(back, np.array([start]), lookback) != NONE).sum())

    def _prices(self, rows: Ints) -> Floats:
        """Position of the symbol, then the logarithm of the newest price of every symbol; 0 before its first."""
        found = np.zeros((len(rows), 1 + len(self.symbols)))
        found[:, 0] = self.who[rows]
        for k in range(len(self.symbols)):
            own = np.flatnonzero((self.who == k) & np.isfinite(self.value))
            newest = np.searchsorted(self.ts[own], self.ts[rows], side="right") - 1
            there = newest >= 0
            found[there, 1 + k] = np.log(self.value[own][newest[there]])
        return found


def inputs(panel: Panel, level: bool) -> Inputs:
    """Index a panel. ``level`` says that its outcomes are later values of the series itself."""
    outcome = panel.outcome if panel.outcome.ndim == 1 else panel.outcome[:, 0]
    previous, known = np.full(len(panel.ts), NONE), np.full(len(panel.ts), NONE)
    for k in range(len(panel.symbols)):
        own = np.flatnonzero(panel.who == k)
        previous[own[1:]] = own[:-1]
        known[own] = _newest_known(panel.ts[own], panel.t1[own], own)
    return Inputs(
        x=panel.x,
        changes=outcome - panel.value if level else outcome,
        value=panel.value,
        ts=panel.ts,
        t1=panel.t1,
        who=panel.who,
        previous=previous,
        known=known,
        names=panel.features,
        symbols=panel.symbols,
    )


def _newest_known(ts: Ints, t1: Ints, own: Ints) -> Ints:
    """Of each row of one symbol, the last row whose outcome, and those of all rows before it, are known by then.

    An outcome that is known at the very moment of a row counts, as that of the bar that closes there. Where several
    rows share a moment, as trades of one order do, it does not: which of them made it known is not recorded.
    """
    reached = np.maximum.accumulate(t1)
    before, by = (np.searchsorted(reached, ts, side=side) for side in ("left", "right"))
    alone = np.searchsorted(ts, ts, side="right") - np.searchsorted(ts, ts, side="left") == 1
    count = np.where(alone, by, before)
    return np.where(count > 0, own[np.maximum(count - 1, 0)], NONE)


def _chain(pointer: Ints, rows: Ints, length: int) -> Ints:
    """Rows (rows, length) that end at ``rows`` and follow the pointer back, oldest first; -1 before the first."""
    chain = np.empty((len(rows), length), np.int64)
    at = rows
    for age in range(length):
        chain[:, length - 1 - age] = at
        at = np.where(at == NONE, NONE, pointer[at])
    return chain


def _features(x: Floats, previous: Ints, rows: Ints, lookback: int) -> Floats:
    """Rows of features up to each row; before the first, the first again. Single precision for more than one."""
    if lookback == 1:
        found: Floats = x[rows]
        return found
    chain = _chain(previous, rows, lookback)
    for age in range(1, lookback):  # oldest last: what is missing repeats the row after it
        column = lookback - 1 - age
        chain[:, column] = np.where(chain[:, column] == NONE, chain[:, column + 1], chain[:, column])
    return cast(Floats, x[chain].astype(np.float32).reshape(len(rows), -1))


def _outcomes(series: Floats, known: Ints, rows: Ints, lookback: int) -> Floats:
    """Outcomes known at each row, oldest first; 0 where there is none yet."""
    chain = _chain(known, known[rows], lookback)
    return np.where(chain == NONE, 0.0, series[chain])
