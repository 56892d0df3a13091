"""How the simulated order flow moves: ten queues a side, one tick apart, and a book that leans before it moves.

The book is that of a large-tick stock (Cont and de Larrard, "Price dynamics in a Markovian limit order market", SIAM
Journal on Financial Mathematics 4, 2013): the spread is one tick and every level of the ten is filled. An event adds to
a queue, takes from one, trades against a best queue, or moves the price: a trade takes a best queue whole, its next
level becomes the best, and a new queue opens behind the move. Which way the price moves is the planted signal:

    P(up | the price moves) = (1 + g * sign(bid_qty - ask_qty)) / 2,    of the best queues before the event,

so g² is the share of the variance of the direction of moves that the book foretells. Whether it moves does not depend
on the queues. With g = 0 the mid is a martingale and nothing in the book says where it goes; trade prices still bounce
between bid and ask, as they do in any market.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.features.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEPTH = 10
MOVE, TRADE = 0.04, 0.16
"""Share of events that move the price, and that trade without moving it."""

TYPICAL = 12.0
"""Lots a queue is pulled towards; new queues have between 1 and twice as many."""

CLEAR, SET, ADD, CANCEL, EXECUTE = range(5)
"""Positions in `data.records.deltas.ACTIONS`."""

DRAWS = 6
"""Uniform numbers an event uses."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One session of one symbol: the book after each of n events, the trades, and the deltas, m of them.

    Parameters
    ----------
    bid : int64 array of shape (n,)
        Best bid in ticks; the best ask is one more.
    bids, asks : float64 arrays of shape (n, DEPTH)
        Lots a level, best first.
    side, lots : int64 arrays of shape (n,)
        Of the event's trade: 1 buyer-initiated, -1 seller-initiated, 0 none; its size.
    deltas : int64 array of shape (m, 6)
        Event, part, action (position in `data.records.deltas.ACTIONS`), side, ticks, lots.
    up, down : float64 arrays of shape (n,)
        Probability that the *next* event moves the mid up or down, given everything up to this one.
    """

    bid: Ints
    bids: Floats
    asks: Floats
    side: Ints
    lots: Ints
    deltas: Ints
    up: Floats
    down: Floats


def order_flow(rng: np.random.Generator, start: int, heat: Floats, g: float, persistence: float) -> Flow:
    """Run one session.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where all its chances come from.
    start : int
        Best bid at the opening, in ticks.
    heat : float64 array of shape (n,)
        What the share of moving events, `MOVE`, is multiplied with; event k uses ``heat[k - 1]``, so that the chance
        of a move is known before it.
    g : float
        Strength of the signal, 0 to 1.
    persistence : float
        Chance that a trade that does not move the price has the side of the one before.

    >>> flow = order_flow(np.random.default_rng(0), 10_000, np.ones(500), 0.0, 0.5)
    >>> flow.bids.shape, bool((flow.bids >= 1).all() and (flow.asks >= 1).all())
    ((500, 10), True)
    """
    n = len(heat)
    bids, asks = (np.floor(1.0 + 2.0 * TYPICAL * rng.random(DEPTH)) for _ in range(2))
    chance = MOVE * np.append(heat[:1], heat[:-1])
    bid, side, lots = (np.zeros(n, np.int64) for _ in range(3))
    books, deltas = np.zeros((2, n, DEPTH)), np.zeros((4 * n + 2 * DEPTH + 1, 6), np.int64)
    m = _opening(start, bids, asks, deltas)
    uniform = rng.random((n, DRAWS))
    m = _run(uniform, chance, g, persistence, start, bids, asks, bid, books, side, lots, deltas, m)
    lean = g * np.sign(books[0, :, 0] - books[1, :, 0])
    moves = MOVE * heat
    return Flow(
        bid=bid,
        bids=books[0],
        asks=books[1],
        side=side,
        lots=lots,
        deltas=deltas[:m],
        up=moves * (1.0 + lean) / 2.0,
        down=moves * (1.0 - lean) / 2.0,
    )


def _opening(start: int, bids: Floats, asks: Floats, deltas: Ints) -> int:
    """Event 0 says what the book is: `Flow.deltas` alone rebuild every row."""
    deltas[0] = (0, 0, CLEAR, 0, 0, 0)
    for k in range(DEPTH):
        deltas[1 + 2 * k] = (0, 1 + 2 * k, SET, 1, start - k, bids[k])
        deltas[2 + 2 * k] = (0, 2 + 2 * k, SET, -1, start + 1 + k, asks[k])
    return 1 + 2 * DEPTH


@compiled
def _run(
    u: Any,
    chance: Any,
    g: float,
    persistence: float,
    best: int,
    bids: Any,
    asks: Any,
    bid: Any,
    books: Any,
    side: Any,
    lots: Any,
    deltas: Any,
    m: int,
) -> int:
    last = 1
    for k in range(u.shape[0]):
        if k == 0:
            pass
        elif u[k, 0] < chance[k]:
            lean = g * np.sign(bids[0] - asks[0])
            up = 1 if u[k, 1] < 0.5 * (1.0 + lean) else -1
            side[k] = up
            ahead, behind = (asks, bids) if up > 0 else (bids, asks)
            lots[k] = int(ahead[0])
            m = _move(u, k, up, best, ahead, behind, deltas, m)
            best += up
        elif u[k, 0] < chance[k] + TRADE:
            last = last if u[k, 1] < persistence else -last
            queue = asks if last > 0 else bids
            m = _trade(u, k, last, best, queue, side, lots, deltas, m)
        else:
            m = _queue(u, k, best, bids, asks, deltas, m)
        bid[k] = best
        books[0, k, :] = bids
        books[1, k, :] = asks
    return m


@compiled
def _move(u: Any, k: int, up: int, best: int, ahead: Any, behind: Any, deltas: Any, m: int) -> int:
    """Take the best queue ahead, and let a new one open at the far end of it and behind the move."""
    touch, own = (best + 1, best) if up > 0 else (best, best + 1)
    far, near = np.floor(1.0 + 2.0 * TYPICAL * u[k, 2]), np.floor(1.0 + 2.0 * TYPICAL * u[k, 3])
    gone = behind[DEPTH - 1]
    _note(deltas, m, k, 0, EXECUTE, -up, touch, ahead[0])
    _note(deltas, m + 1, k, 1, ADD, -up, touch + up * DEPTH, far)
    _note(deltas, m + 2, k, 2, CANCEL, up, own - up * (DEPTH - 1), gone)
    _note(deltas, m + 3, k, 3, ADD, up, own + up, near)
    for level in range(DEPTH - 1):
        ahead[level] = ahead[level + 1]
    for level in range(DEPTH - 1, 0, -1):
        behind[level] = behind[level - 1]
    ahead[DEPTH - 1], behind[0] = far, near
    return m + 4


@compiled
def _trade(u: Any, k: int, way: int, best: int, queue: Any, side: Any, lots: Any, deltas: Any, m: int) -> int:
    """Trade part of a best queue; a queue of one lot gets an order instead, since taking it would move the price."""
    price = best + 1 if way > 0 else best
    if queue[0] <= 1.0:
        queue[0] += 1.0
        _note(deltas, m, k, 0, ADD, -way, price, 1.0)
        return m + 1
    taken = min(np.floor(1.0 + 3.0 * u[k, 2] * u[k, 3] * u[k, 4] * TYPICAL), queue[0] - 1.0)
    queue[0] -= taken
    side[k], lots[k] = way, int(taken)
    _note(deltas, m, k, 0, EXECUTE, -way, price, taken)
    return m + 1


@compiled
def _queue(u: Any, k: int, best: int, bids: Any, asks: Any, deltas: Any, m: int) -> int:
    """Add to a queue, or take from it; the longer it is, the likelier is the latter. Half of it happens at the best."""
    way = 1 if u[k, 1] < 0.5 else -1
    level = 0 if u[k, 2] < 0.5 else int((2.0 * u[k, 2] - 1.0) * DEPTH)
    queue = bids if way > 0 else asks
    price = best - level if way > 0 else best + 1 + level
    size = np.floor(1.0 + 3.0 * u[k, 3])
    if queue[level] <= size or u[k, 4] < TYPICAL / (TYPICAL + queue[level]):
        queue[level] += size
        _note(deltas, m, k, 0, ADD, way, price, size)
    else:
        queue[level] -= size
        _note(deltas, m, k, 0, CANCEL, way, price, size)
    return m + 1


@compiled
def _note(deltas: Any, m: int, event: int, part: int, action: int, side: int, ticks: int, lots: float) -> None:
    deltas[m, 0], deltas[m, 1], deltas[m, 2] = event, part, action
    deltas[m, 3], deltas[m, 4], deltas[m, 5] = side, ticks, int(lots)
