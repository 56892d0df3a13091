"""What one change of the best quotes says: pressure on the price, and what its queues lost."""

from __future__ import annotations

from typing import Any

import numpy as np

from data.features.base import Floats
from data.features.compiled import compiled


@compiled
def event_flow(
    bid_before: float,
    bid_qty_before: float,
    ask_before: float,
    ask_qty_before: float,
    bid: float,
    bid_qty: float,
    ask: float,
    ask_qty: float,
) -> float:
    """Contribution of one change to the order-flow imbalance, in the unit of quantities; positive pushes up.

    What came to the best bid minus what left it, minus the same of the best ask. A better price counts as its whole
    queue having come, a worse one as the old queue having left.

    Source: Cont, Kukanov and Stoikov, "The price impact of order book events", Journal of Financial Econometrics 12
    (2014), equation for e_n in section 2.

    >>> event_flow(9.0, 5.0, 10.0, 5.0, 9.0, 7.0, 10.0, 5.0)  # two more to buy
    2.0
    >>> event_flow(9.0, 5.0, 10.0, 5.0, 9.0, 5.0, 11.0, 4.0)  # the ask is gone
    5.0
    """
    flow = 0.0
    if bid >= bid_before:
        flow += bid_qty
    if bid <= bid_before:
        flow -= bid_qty_before
    if ask <= ask_before:
        flow -= ask_qty
    if ask >= ask_before:
        flow += ask_qty_before
    return flow


@compiled
def event_flows(quotes: Any, out: Any) -> None:
    """Write the flow of each row since the row before to ``out``; 0 for the first.

    Parameters
    ----------
    quotes : float64 array of shape (n, 4)
        Best bid price and quantity, best ask price and quantity; no NaN.
    out : float64 array of shape (n,)

    >>> flows = np.empty(2)
    >>> event_flows(np.array([[9.0, 5.0, 10.0, 5.0], [9.0, 4.0, 10.0, 5.0]]), flows)
    >>> flows.tolist()
    [0.0, -1.0]
    """
    for i in range(len(quotes)):
        a, b = quotes[max(i - 1, 0)], quotes[i]
        out[i] = event_flow(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3])


def flows(quotes: Floats) -> Floats:
    """Return `event_flows` of ``quotes`` in a new array."""
    out = np.empty(len(quotes))
    event_flows(np.ascontiguousarray(quotes), out)
    return out


@compiled
def queue_loss(price_before: float, qty_before: float, price: float, qty: float, away: float) -> float:
    """Quantity that the best queue of a side has lost: by trades and cancellations, which look alike.

    Parameters
    ----------
    price_before, qty_before, price, qty : float
        The best level before and now. At one price it lost what it is smaller by; at a price further away it lost all.
    away : float
        Which way is further away: -1 for bids, 1 for asks.

    >>> queue_loss(9.0, 5.0, 9.0, 3.0, -1.0), queue_loss(9.0, 5.0, 8.0, 7.0, -1.0), queue_loss(9.0, 5.0, 9.1, 1.0, -1.0)
    (2.0, 5.0, 0.0)
    """
    if price == price_before:
        return max(qty_before - qty, 0.0)
    return qty_before if (price - price_before) * away > 0.0 else 0.0
