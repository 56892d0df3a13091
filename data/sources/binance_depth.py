"""Binance's order book changes and snapshots, as deltas."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from bellwether.errors import DataError
from data.sources.binance_feed import SNAPSHOT, UNKNOWN, WRONG, Event, happened, text, whole
from data.sources.rows import Rows

Delta = tuple[Any, ...]
Level = tuple[int, float, float]
REMEMBERED = 4_096
"""Updates of a symbol in which a snapshot without a time is looked up; it comes within seconds of its own."""


def deltas(feed: Iterable[Event], file: str, symbol: str) -> Iterator[pa.Table]:
    """Yield what a capture says of order books, in the order of the file.

    A ``depthUpdate`` is a ``set`` a level, bids first: ``seq`` its last update (u), ``prev_seq`` the one before its
    first (pu; spot has U - 1). A snapshot is ``clear`` and a ``set`` a level, ``seq`` its lastUpdateId. Nothing is
    left out: of updates that overlap a snapshot, whoever rebuilds the book applies those Binance says to apply
    (the first is the one whose updates contain lastUpdateId; spot: lastUpdateId + 1). A message of which one level
    cannot be is yielded without values: the gap it leaves shows in the numbers.

    A snapshot arrives after updates later than itself. Sorted by ``ts_event``, ``seq`` and ``part`` it stands where
    it belongs, after the last update it contains. One without a time (spot) takes that update's.

    Parameters
    ----------
    symbol : str
        What snapshots are of, which they do not say; if empty, the one symbol of the file.

    Raises
    ------
    DataError
        There are snapshots, several symbols, and no ``symbol``.
    """
    depth, rows = _Depth(file, symbol), Rows("deltas", file)
    for event in feed:
        try:
            for delta in depth.read(event):
                rows.add(delta)
        except WRONG:
            rows.bad(event.row)
        if rows.full:
            yield rows.taken()
    for event in depth.waiting:
        rows.bad(event.row)
    yield rows.taken()


class _Depth:
    """What is known of the books of a capture so far."""

    def __init__(self, file: str, symbol: str) -> None:
        self.waiting: list[Event] = []
        self._file, self._symbol = file, symbol
        self._known: defaultdict[str, deque[tuple[int, int]]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._guessed = False

    def read(self, event: Event) -> list[Delta]:
        """Return the deltas of an event, behind those of snapshots that waited for it."""
        if event.kind == UNKNOWN:
            raise ValueError("the line cannot be read")
        if event.kind == SNAPSHOT:
            return self._snapshot(event)
        if event.kind != "depthUpdate":
            return []
        made = _update(event)
        symbol, ts, seq = made[0][0], made[0][1], made[0][3]
        self._known[symbol].append((seq, ts))
        if self._guessed and len(self._known) > 1:
            self._refuse()
        waited, self.waiting = self.waiting, []
        return [delta for snapshot in waited for delta in self._snapshot(snapshot)] + made

    def _snapshot(self, event: Event) -> list[Delta]:
        symbol, ts, seq = self._named(), happened(event.data), whole(event.data, "lastUpdateId")
        levels = _levels(event.data["bids"], event.data["asks"])
        if not symbol or (ts is None and not self._known[symbol]):
            self.waiting.append(event)
            return []
        if ts is None:
            ts = self._placed(symbol, seq)
        head = (symbol, ts, event.received, seq)
        clear = (*head, 0, None, "clear", 0, None, None, None, event.row)
        return [clear, *_sets(head, None, 1, levels, event.row)]

    def _named(self) -> str:
        if self._symbol:
            return self._symbol
        if len(self._known) > 1:
            self._refuse()
        self._guessed = self._guessed or bool(self._known)
        return next(iter(self._known), "")

    def _placed(self, symbol: str, seq: int) -> int:
        """Return the time of the last update a snapshot contains, or of the first if it is older than all."""
        known = self._known[symbol]
        return next((ts for last, ts in reversed(known) if last <= seq), known[0][1])

    def _refuse(self) -> None:
        raise DataError(
            f"{self._file} has order books of {', '.join(sorted(self._known))} and a snapshot that does not say which "
            "it is of; say `symbol` in the source's options, or keep a capture a symbol"
        )


def _update(event: Event) -> list[Delta]:
    data = event.data
    ts = happened(data)
    if ts is None or not (data["b"] or data["a"]):
        raise ValueError("an update without a time or without levels")
    before = whole(data, "pu") if "pu" in data else whole(data, "U") - 1
    head = (text(data, "s"), ts, event.received, whole(data, "u"))
    return _sets(head, before, 0, _levels(data["b"], data["a"]), event.row)


def _levels(bids: list[list[str]], asks: list[list[str]]) -> list[Level]:
    """Return all levels of a message; without one of them it would say something else."""
    levels = [(side, float(price), float(qty)) for side, of in ((1, bids), (-1, asks)) for price, qty in of]
    if not all(0.0 < price < math.inf and 0.0 <= qty < math.inf for _, price, qty in levels):
        raise ValueError("a level that can be none")
    return levels


def _sets(head: Delta, before: int | None, part: int, levels: list[Level], row: int) -> list[Delta]:
    return [(*head, n, before, "set", side, price, qty, None, row) for n, (side, price, qty) in enumerate(levels, part)]
