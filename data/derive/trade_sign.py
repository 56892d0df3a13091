"""Who began a trade, buyer or seller, told from its price where the feed does not say: Lee and Ready's rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.features.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAME = 1e-9
"""Relative difference below which a price is at the mid: the mid of two decimal prices is rarely exact in binary."""

TICK_STATE = np.dtype([("price", "f8"), ("way", "i8")])
"""What the tick test remembers: the last price, 0 if there is none, and which way the price last moved."""


@compiled
def lee_ready(price: float, bid: float, ask: float, memory: Any) -> int:
    """Return 1 for a buyer-initiated trade, -1 for a seller-initiated one, 0 if nothing decides; advance the memory.

    The quote test comes first: above the mid of the quote that stood before the trade buyers began it, below it
    sellers. At the mid, or where a side of the quote is not known (NaN), the tick test decides: the way from the last
    different price to this one. Neither decides at the mid before the price has moved.

    Source: Lee and Ready, "Inferring trade direction from intraday data", Journal of Finance 46 (1991), without its
    delay of five seconds: it is for quotes that are reported ahead of the trades they precede.

    Parameters
    ----------
    price, bid, ask : float
        Of the trade, and of the quote before it.
    memory : record of `TICK_STATE`
        Zero at the start; every trade must pass here, the tick test needs them all.

    >>> memory = np.zeros(1, TICK_STATE)[0]
    >>> lee_ready(10.03, 10.00, 10.04, memory), lee_ready(10.02, 10.00, 10.04, memory)
    (1, -1)
    """
    if memory.price > 0.0 and price != memory.price:
        memory.way = 1 if price > memory.price else -1
    memory.price = price
    beyond = 2.0 * price - (bid + ask)
    if beyond == beyond and abs(beyond) > SAME * (bid + ask):
        return 1 if beyond > 0.0 else -1
    return memory.way  # type: ignore[no-any-return]


@compiled
def _sign(price: Any, bid: Any, ask: Any, side: Any, memory: Any, out: Any) -> None:
    for i in range(len(price)):
        told = lee_ready(price[i], bid[i], ask[i], memory[0])
        out[i] = side[i] if side[i] != 0 else told


def trade_signs(
    price: Floats, bid: Floats, ask: Floats, side: Ints | None = None, memory: NDArray[np.void] | None = None
) -> Ints:
    """Sign the trades of one symbol in their order; a trade's sign depends on it and on those before it only.

    Parameters
    ----------
    price : float64 array of shape (n,)
        Prices.
    bid, ask : float64 arrays of shape (n,)
        The quote before each trade; NaN where it is not known.
    side : int64 array of shape (n,), optional
        What the feed says, 0 where it does not: it is believed.
    memory : array of `TICK_STATE`, shape (1,), optional
        Where the trades before ended; advanced in place. A fresh one if left out.

    Returns
    -------
    int64 array of shape (n,)
        1 buyer-initiated, -1 seller-initiated, 0 not known.

    >>> at = np.array([10.02, 10.02, 10.03, 10.02, 10.02])
    >>> trade_signs(at, np.full(5, 10.0), np.array([10.01, 10.04, 10.06, 10.04, 10.06])).tolist()
    [1, 0, 1, -1, -1]
    """
    out = np.empty(len(price), np.int64)
    side = np.zeros(len(price), np.int64) if side is None else side
    _sign(price, bid, ask, side, np.zeros(1, TICK_STATE) if memory is None else memory, out)
    return out
