"""One symbol in a running app: what the lake has, and the trades that only this replica was told of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from data.features.base import FeatureSet, Floats
from data.features.calendar import CLOCK, SessionClock
from serve_apps.tick.known import Known
from serve_apps.tick.record import Tick

MOST = 2_000
"""Trades of a session that a replica remembers without the lake: they are scanned again whenever the lake grows."""

LARGEST = float(np.finfo(np.float32).max)
"""Models take single precision."""

QUOTES = 4
"""Columns of a feature set of trades before those of the clock: price, volume, bid, ask."""


class Live:
    """The state of a symbol, advanced a trade at a time: no table in it, one row of NumPy.

    It is always what the lake has, and after it the trades told here that the lake does not have yet. So a trade that
    reaches the lake later is not counted twice, and a replica that was told nothing agrees with all others. Told more
    than `MOST` trades of a session, it goes on by itself until the lake has passed it.

    Parameters
    ----------
    features : FeatureSet
        With columns price, volume, bid, ask and those of the clock.
    clock : SessionClock
    known : Known
        Where to begin.
    lookback : int
        Rows the models look at.
    """

    def __init__(self, features: FeatureSet, clock: SessionClock, known: Known, lookback: int) -> None:
        self._features, self._clock, self._lookback = features, clock, lookback
        self._ts, self._of_clock = np.empty(1, np.int64), np.empty((1, len(CLOCK)))
        self._x, self._out = np.empty((1, len(features.inputs))), np.empty((1, len(features.outputs)))
        self.pending: list[Tick] = []
        self.key: tuple[int, int]
        self.instant: tuple[Tick, ...]
        self._base: Known
        self._state: NDArray[np.void]
        self._kept: Floats
        self._row: Floats
        self.known: bool
        self._session: float
        self._adrift: bool
        self._stand_at(known)

    @property
    def row(self) -> Floats:
        """Features of the newest trade; NaN where they are not known."""
        return self._row

    @property
    def unread(self) -> str:
        """Why the lake has trades that are not counted; empty where it has none."""
        return self._base.unread

    @property
    def settled(self) -> bool:
        """Whether the lake has every trade that was counted."""
        return not self.pending and not self._adrift

    @property
    def adrift(self) -> bool:
        """Whether it was told more than it remembers, and goes on by itself."""
        return self._adrift

    @property
    def price(self) -> float:
        """Of the newest trade."""
        return float(self._state["price"][0])

    def window(self, lookback: int) -> Floats | None:
        """What a model looks at, as one row of shape (1, lookback * features); None while it is not known."""
        if not self.known:
            return None
        if lookback == 1:
            return self._row[None]
        kept = self._kept[-lookback:]
        return kept.reshape(1, -1) if len(kept) == lookback else None

    @property
    def rows(self) -> int:
        """Trades of the session so far."""
        return int(self._state["rows"][0]) if self.key[0] >= 0 else 0

    def follow(self, known: Known) -> None:
        """Stand where the lake stands now, and after it what it does not have."""
        if known is self._base:
            return
        if self._adrift and known.key < self.key:
            self._base = known
        else:
            waiting = self.pending
            self._stand_at(known)
            self.resume(waiting)

    def reach(self, lookback: int) -> None:
        """Keep so many rows from now on; those before are not known again."""
        if self._lookback == 1:  # what was kept is of the lake, and there may be trades between it and the newest
            self._kept = self._row[None] if self.known else self._kept[:0]
        self._lookback = lookback

    def has(self, tick: Tick, numbered: bool) -> bool:
        """Whether this trade is known already: by its number, or at one instant by what it says."""
        return any(tick.said == other.said and (not numbered or tick.seq == other.seq) for other in self.instant)

    def next_seq(self, ts: int) -> int:
        """The number of one more trade at ``ts``."""
        return self.key[1] + 1 if ts == self.key[0] else 0

    def advance(self, tick: Tick) -> None:
        """Count one more trade; it comes after all others.

        Raises
        ------
        DataError
            The exchange's calendar does not reach so far; nothing was counted.
        """
        self._ts[0] = tick.ts
        clock = self._clock.at(self._ts, self._of_clock)
        x = self._x
        x[0, 0], x[0, 1] = tick.price, tick.volume
        x[0, 2] = np.nan if tick.bid is None else tick.bid
        x[0, 3] = np.nan if tick.ask is None else tick.ask
        x[0, QUOTES:] = clock[0]
        self._remember(tick, clock[0, 0])
        self._features.scan(x, self._state, out=self._out)
        self.instant = (*self.instant, tick) if tick.ts == self.key[0] else (tick,)
        self.key = tick.key
        self._take(self._out[0].copy())

    def resume(self, told: Sequence[Tick]) -> None:
        """Count trades that were counted before, those of them that come after where it stands: all in one scan."""
        ticks = [tick for tick in told if tick.key > self.key]
        if not ticks:
            return
        x = np.empty((len(ticks), self._x.shape[1]))
        x[:, :QUOTES] = np.array([(t.price, t.volume, t.bid, t.ask) for t in ticks], np.float64)  # None is NaN
        x[:, QUOTES:] = self._clock.at(np.array([tick.ts for tick in ticks], np.int64))
        out = self._features.scan(x, self._state)
        if self._lookback > 1:
            whole = out[(np.abs(out) <= LARGEST).all(axis=1)]
            self._kept = np.concatenate([self._kept, whole])[-self._lookback :]
        before = self.instant if ticks[-1].ts == self.key[0] else ()
        self.instant = (*before, *(tick for tick in ticks if tick.ts == ticks[-1].ts))
        self.key, self.pending, self._session = ticks[-1].key, ticks, float(x[-1, QUOTES])
        self._row, self.known = out[-1].copy(), _all_known(out[-1])

    def _remember(self, tick: Tick, session: float) -> None:
        """Keep what is scanned again when the lake grows; a session starts from nothing, unless rows are kept."""
        if session != self._session and self._lookback == 1:
            self.pending, self._adrift = [], False
        self._session = session
        if len(self.pending) >= MOST:
            self.pending, self._adrift = [], True
        if not self._adrift:
            self.pending.append(tick)

    def _take(self, row: Floats) -> None:
        self._row, self.known = row, _all_known(row)
        if self.known and self._lookback > 1:
            self._kept = np.concatenate([self._kept, row[None]])[-self._lookback :]

    def _stand_at(self, known: Known) -> None:
        self._base, self._state, self._session = known, known.state.copy(), float(known.state["session"][0])
        self.key, self.instant, self.pending = known.key, known.instant, []
        self._kept = known.kept
        self._row, self.known, self._adrift = known.row, _all_known(known.row), False


def _all_known(row: Floats) -> bool:
    return bool((np.abs(row) <= LARGEST).all())  # NaN is not
