"""The micro-price: the mid where it is expected to end up, learnt from the moves seen so far."""

from __future__ import annotations

from typing import Any

import numpy as np

from data.features.compiled import compiled

LEANS, SPREADS = 5, 6
STATES = LEANS * SPREADS
PRIOR = 1.0
SOLVE_EVERY = 256

MICROPRICE = np.dtype(
    [
        ("rows", "i8"),
        ("lean", "f8"),
        ("state", "i8"),
        ("mid", "f8"),
        ("seen", "f8", (STATES,)),
        ("moved", "f8", (STATES,)),
        ("led", "f8", (STATES, STATES)),
        ("adjustment", "f8", (STATES,)),
    ]
)
"""What is remembered of a book: where it is, how often it was in each state and what came next, and what follows."""


@compiled
def microprice(m: Any, bid: float, bid_qty: float, ask: float, ask_qty: float, tick: float) -> float:
    """Take the next best quote and return its micro-price, in the unit of prices.

    The book is in a state: to which side it leans and how strongly, in ``LEANS`` equal classes of the distance of its
    quantities over their sum, and how wide it is, in ``SPREADS`` classes of up to 1, 2, 4, 8 and 16 ticks and beyond.
    States follow each other as a Markov chain, and mirror images are alike: a book that leans to the asks is one that
    leans to the bids with all moves turned round, and one that leans to neither is expected to stay. The micro-price
    is the mid plus all moves that are expected to come,

        G = sum over i of B^i G1,   G1 = (1 - Q)^-1 r,   B = (1 - Q)^-1 T,

    with Q the transitions during which the mid stays, T those during which it moves, and r the expected next move. The
    sum solves (1 - Q - T) G = r, which is what is solved here, for the leaning states alone, as the rest mirrors them.
    Transitions are counted from the session's first quote on, so that nothing is fitted and nothing of the future is
    known; each state starts with one imaginary transition that says nothing (no move, then either side), which draws
    G to 0 where little has been seen. It is solved again every ``SOLVE_EVERY`` quotes; before the first the micro-price
    is the mid.

    Source: Stoikov, "The micro-price: a high-frequency estimator of future prices", Quantitative Finance 18 (2018),
    sections 2 and 3. The quantity-weighted mid, which also goes by this name, is not it.

    >>> m = np.zeros(1, MICROPRICE)[0]
    >>> microprice(m, 9.99, 300.0, 10.01, 100.0, 0.01)  # nothing learnt yet
    10.0
    """
    mid = (bid + ask) / 2.0
    lean = np.sign(bid_qty - ask_qty)
    state = _state(abs(bid_qty - ask_qty) / (bid_qty + ask_qty), (ask - bid) / tick)
    if m.rows > 0 and m.lean != 0.0:
        m.seen[m.state] += 1.0
        m.moved[m.state] += m.lean * (mid - m.mid)
        m.led[m.state, state] += m.lean * lean
    m.rows, m.lean, m.state, m.mid = m.rows + 1, lean, state, mid
    if m.rows % SOLVE_EVERY == 0:
        _solve(m)
    return mid + lean * m.adjustment[state]  # type: ignore[no-any-return]


@compiled
def forget_microprice(m: Any) -> None:
    """Be as at the start."""
    m.rows, m.lean, m.state, m.mid = 0, 0.0, 0, 0.0
    m.seen[:] = 0.0
    m.moved[:] = 0.0
    m.led[:, :] = 0.0
    m.adjustment[:] = 0.0


@compiled
def _state(lean: float, ticks: float) -> int:
    width, widest = 0, 1.0
    while width + 1 < SPREADS and ticks > widest + 0.5:
        width, widest = width + 1, 2.0 * widest
    return min(int(lean * LEANS), LEANS - 1) * SPREADS + width


@compiled
def _solve(m: Any) -> None:
    """Gauss's elimination. The imaginary transitions make every diagonal the largest of its row: no pivots needed."""
    a, g = np.empty((STATES, STATES)), m.adjustment
    for i in range(STATES):
        for j in range(STATES):
            a[i, j] = -m.led[i, j]
        a[i, i] += m.seen[i] + PRIOR
        g[i] = m.moved[i]
    for k in range(STATES):
        for i in range(k + 1, STATES):
            factor = a[i, k] / a[k, k]
            if factor != 0.0:
                for j in range(k + 1, STATES):
                    a[i, j] -= factor * a[k, j]
                g[i] -= factor * g[k]
    for i in range(STATES - 1, -1, -1):
        for j in range(i + 1, STATES):
            g[i] -= a[i, j] * g[j]
        g[i] /= a[i, i]
