"""Messages into an order book, and the book out after each."""

from __future__ import annotations

from typing import Any

import numpy as np

from data.features.compiled import compiled
from data.orderbook.book import CLEAR, CROSS, EXECUTE, HIDDEN, SET, apply, certain, clear, loaded
from data.orderbook.state import ADRIFT, CROSSED, EVERYWHERE, GAP, STALE

ADRIFT_NOW, SNAPSHOT, IN_STEP = 0, 1, 2
"""Where a numbered feed stands: no book; a snapshot and no update since; updates one after the other."""

UNNUMBERED = -1
"""``prev`` of a message that does not say which it follows."""


@compiled
def scan(action: Any, side: Any, value: Any, time: Any, book: Any, levels: int, stamp: Any, out: Any) -> int:
    """Apply deltas and write a row after each message; the last message stays open. Return the number of rows.

    Parameters
    ----------
    action, side : int8 arrays of shape (n,)
        As positions in `data.records.deltas.ACTIONS`; 1 bid, -1 ask.
    value : float64 array of shape (2, n)
        Prices and quantities.
    time : int64 array of shape (4, n)
        ``ts_event``, ``ts_recv``, ``seq`` and ``prev_seq``, `UNNUMBERED` where it is null.
    book : Book
        With room for n more levels a side.
    levels : int
        How many to write.
    stamp : int64 array of shape (n + 1, 3)
        ``ts_event``, ``ts_recv`` and ``seq`` of rows are written here.
    out : float64 array of shape (n + 1, 4 * levels + 3)
        Bid price and quantity and ask price and quantity of each level, and price, quantity and side of the trade.
    """
    m, rows = book.memo[0], 0
    for i in range(len(action)):
        if m.open and (time[0, i] != m.ts or time[2, i] != m.seq):
            write(book, levels, stamp[rows], out[rows])
            rows += 1
        if not m.open:
            _begin(book, time[0, i], time[2, i], time[3, i])
        m.recv = time[1, i]
        did = action[i]
        if did == CLEAR:
            clear(book)
            m.loading, m.following, m.last, m.skipped = 1, SNAPSHOT, m.seq, 0
        elif did in (EXECUTE, HIDDEN, CROSS):
            m.trade_px, m.trade_side = value[0, i], -side[i]
            m.trade_qty = value[1, i] if np.isnan(m.trade_qty) else m.trade_qty + value[1, i]
        if SET <= did <= EXECUTE and not m.skipped:
            apply(book, did, side[i], value[0, i], value[1, i])
    return rows


@compiled
def write(book: Any, levels: int, stamp: Any, out: Any) -> None:
    """Write the book after the open message, which is complete, to a row of ``stamp`` and of ``out``."""
    m = book.memo[0]
    if m.loading:
        loaded(book)
    m.open = 0
    stamp[0], stamp[1], stamp[2] = m.ts, m.recv, m.seq
    _write_side(book.levels[0], book.sides[0], 1.0, levels, out)
    _write_side(book.levels[1], book.sides[1], -1.0, levels, out[2:])
    out[4 * levels], out[4 * levels + 1], out[4 * levels + 2] = m.trade_px, m.trade_qty, m.trade_side
    book.tally[CROSSED] += int(out[0] >= out[2])


@compiled
def _begin(book: Any, ts: int, seq: int, prev: int) -> None:
    m = book.memo[0]
    m.open, m.ts, m.seq, m.skipped = 1, ts, seq, 0
    m.trade_px, m.trade_qty, m.trade_side = np.nan, np.nan, 0.0
    if prev == UNNUMBERED:
        m.skipped = int(m.following == IN_STEP)  # unless it clears the book, nobody knows where it belongs
        return
    if m.following == SNAPSHOT and seq < m.last:
        m.skipped = 1
        book.tally[STALE] += 1
        return
    in_step = prev <= m.last if m.following == SNAPSHOT else prev == m.last
    if m.following != ADRIFT_NOW and not in_step:
        book.tally[GAP] += 1
        clear(book)
        m.following = ADRIFT_NOW
    if m.following == ADRIFT_NOW:
        m.skipped = 1
        book.tally[ADRIFT] += 1
        return
    m.following, m.last = IN_STEP, seq


@compiled
def _write_side(levels: Any, s: Any, sign: float, wanted: int, out: Any) -> None:
    """Write price and quantity of each level to every fourth place of ``out`` and the one behind it."""
    at, place = s.held - 1, 0
    while place < 4 * wanted and at >= 0 and levels[at].key >= s.edge and certain(levels[at]):
        out[place] = sign * levels[at].key
        out[place + 1] = levels[at].qty if levels[at].exact == 1 else np.nan
        place, at = place + 4, at - 1
    rest = 0.0 if at < 0 and s.edge == EVERYWHERE else np.nan
    while place < 4 * wanted:
        out[place], out[place + 1] = np.nan, rest
        place += 4
