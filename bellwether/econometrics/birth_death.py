"""Which queue empties first: the best bid and the best ask as independent birth-death queues.

Orders join a queue at a constant rate and leave it at ``departure + cancel * size``; the price moves to the side whose
queue empties first. Sizes are in units of an order.

Sources: Cont, Stoikov and Talreja, "A stochastic model for order book dynamics", Operations Research 58 (2010), who
invert Laplace transforms; Cont and de Larrard, "Price dynamics in a Markovian limit order market", SIAM Journal on
Financial Mathematics 4 (2013), whose integral holds where orders join and leave at one rate. Here the backward equation
itself is solved, on a grid: any rates, all sizes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_sylvester

from bellwether.econometrics.compiled import compiled
from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Queue:
    """Rates of a queue, in orders a unit of time.

    Parameters
    ----------
    arrival : float
        Limit orders that join, not negative.
    departure : float
        Market orders, and cancellations that do not depend on the size; positive.
    cancel : float
        Cancellations for each order waiting, not negative.

    Raises
    ------
    ConfigError
        A rate is out of bounds.
    """

    arrival: float
    departure: float
    cancel: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.arrival < np.inf and 0.0 < self.departure < np.inf and 0.0 <= self.cancel < np.inf):
            raise ConfigError(f"{self}: departure must be positive, the other rates at least 0, all finite")


def balanced_chance(bid: Floats, ask: Floats) -> Floats:
    """Chance that the ask empties first where both queues gain and lose orders at one and the same rate.

    Cont and de Larrard (2013): with n orders at the bid and m at the ask,

        (1/π) ∫_0^π (2 - cos t - sqrt((2 - cos t)² - 1))^m sin(n t) cos(t/2) / sin(t/2) dt.

    Parameters
    ----------
    bid, ask : float64 arrays of one shape
        Whole numbers of orders, at least 1.

    Raises
    ------
    DataError
        A size is below 1 or no whole number.

    Examples
    --------
    >>> balanced_chance(np.array([1.0, 5.0, 3.0]), np.array([1.0, 5.0, 1.0])).round(4)
    array([0.5   , 0.5   , 0.7906])
    """
    if bid.shape != ask.shape or not all((s >= 1.0).all() and (s == np.round(s)).all() for s in (bid, ask)):
        raise DataError(f"bid {bid} and ask {ask} must be whole numbers of orders from 1, in one shape")
    nodes, weights = np.polynomial.legendre.leggauss(int(50 + 2 * max(bid.max(initial=1), ask.max(initial=1))))
    t = 0.5 * np.pi * (nodes + 1.0)
    rise = 2.0 - np.cos(t)
    decay = rise - np.sqrt(rise * rise - 1.0)
    values = decay ** ask[..., None] * np.sin(bid[..., None] * t) / np.tan(0.5 * t)
    chance: Floats = 0.5 * (values @ weights)
    return chance


def depletion_table(bid: Queue, ask: Queue, *, largest: int, grid: int | None = None) -> Floats:
    """Chance that the ask empties before the bid, for all sizes up to ``largest``.

    The backward equation of the two queues, ``G_bid U + U G_ask' = -(rate at which the ask goes from 1 to 0)``, is a
    Sylvester equation. The grid is cut off: a queue of ``grid`` orders takes no more. Where orders arrive faster than
    they leave, a real queue may never empty; the cut one does, and the answer depends on ``grid``.

    Parameters
    ----------
    bid, ask : Queue
    largest : int
        Largest size in the answer, at least 1.
    grid : int, optional
        Where queues are cut off; 4 times ``largest`` or 60 if that is more. The time it takes grows with its cube.

    Returns
    -------
    float64 array of shape (largest + 1, largest + 1)
        Element [n, m] for n orders at the bid and m at the ask. Row 0 is 0, column 0 is 1, and [0, 0] is 1/2.

    Raises
    ------
    ConfigError
        ``largest`` is below 1, or ``grid`` below ``largest``.

    Examples
    --------
    >>> queue = Queue(arrival=1.0, departure=1.5)
    >>> depletion_table(queue, queue, largest=3).round(4)
    array([[0.5   , 0.    , 0.    , 0.    ],
           [1.    , 0.5   , 0.2865, 0.1825],
           [1.    , 0.7135, 0.5   , 0.3572],
           [1.    , 0.8175, 0.6428, 0.5   ]])
    """
    size = max(60, 4 * largest) if grid is None else grid
    if largest < 1 or size < largest:
        raise ConfigError(f"largest is {largest} and grid {size}: largest must be at least 1, grid no less than that")
    empties = np.zeros((size, size))
    empties[:, 0] = ask.departure + ask.cancel
    scale = max(bid.arrival, bid.departure, ask.arrival, ask.departure)  # of time: the chance does not depend on it
    solved = solve_sylvester(_generator(bid, size) / scale, _generator(ask, size).T / scale, -empties / scale)
    table = np.zeros((largest + 1, largest + 1))
    table[:, 0], table[0, 0] = 1.0, 0.5
    table[1:, 1:] = np.clip(solved[:largest, :largest], 0.0, 1.0)
    return table


def look_up(table: Floats, bid: Floats, ask: Floats) -> Floats:
    """Chance that the ask empties first, for queues of any size: linear between the entries of a table.

    Parameters
    ----------
    table : float64 array of shape (m, m)
        From `depletion_table`.
    bid, ask : float64 arrays of shape (n,)
        Sizes in orders, not negative; those beyond the table count as its largest.

    Raises
    ------
    DataError
        A size is NaN or negative, or shapes differ.

    Examples
    --------
    >>> table = depletion_table(Queue(arrival=1.0, departure=1.5), Queue(arrival=1.0, departure=1.5), largest=3)
    >>> look_up(table, np.array([1.0, 1.5, 99.0]), np.array([1.0, 1.0, 3.0])).round(4)
    array([0.5   , 0.6068, 0.5   ])
    """
    if bid.ndim != 1 or bid.shape != ask.shape or not ((bid >= 0.0).all() and (ask >= 0.0).all()):
        raise DataError(f"bid {bid.shape} and ask {ask.shape} must be sizes of one shape (n,), none NaN or negative")
    return _look_up(table, bid, ask)


def estimate_queue(
    times: Floats, prices: Floats, sizes: Floats, *, side: Literal["bid", "ask"], unit: float | None = None
) -> Queue:
    """Rates of a best queue from a series of its price and size (maximum likelihood for constant rates).

    While the price stays, an increase is arrivals and a decrease departures. Where the price moves away the whole queue
    has left; where it improves, a new queue began and the interval tells nothing. Changes that cancel out between two
    rows are not seen: rows further apart give rates that are too low.

    Parameters
    ----------
    times, prices, sizes : float64 arrays of shape (n,)
        Ascending seconds, and what the book said then; finite, sizes positive.
    side : "bid" or "ask"
    unit : float, optional
        Size of an order; the mean absolute change of a queue whose price stays, if left out.

    Raises
    ------
    DataError
        Values are not usable, or the queue never loses an order.
    ConfigError
        ``unit`` is not positive.

    Examples
    --------
    >>> times, prices = np.arange(5.0), np.array([10.0, 10.0, 10.0, 10.0, 9.0])
    >>> estimate_queue(times, prices, np.array([3.0, 2.0, 3.0, 1.0, 8.0]), side="bid", unit=1.0)
    Queue(arrival=0.25, departure=1.0, cancel=0.0)
    """
    _check(times, prices, sizes)
    moved = np.diff(prices) * (1.0 if side == "bid" else -1.0)
    change = np.where(moved == 0.0, np.diff(sizes), np.where(moved < 0.0, -sizes[:-1], 0.0))
    watched = float(np.diff(times)[moved <= 0.0].sum())
    stayed = np.abs(change[(moved == 0.0) & (change != 0.0)])
    unit = (float(stayed.mean()) if len(stayed) else 0.0) if unit is None else unit
    gone = -float(np.minimum(change, 0.0).sum())
    if watched <= 0.0 or gone <= 0.0:
        raise DataError(f"the {side} queue loses nothing in {len(times)} rows: its rates cannot be estimated")
    if not unit > 0.0:
        raise ConfigError(f"unit is {unit}: it must be positive; give one where the size never changes")
    return Queue(arrival=float(np.maximum(change, 0.0).sum()) / unit / watched, departure=gone / unit / watched)


def _generator(queue: Queue, size: int) -> Floats:
    """Transition rates between 1 … size orders; what is missing in row 1 goes to an empty queue."""
    up = np.full(size, queue.arrival)
    up[-1] = 0.0
    down = queue.departure + queue.cancel * np.arange(1.0, size + 1.0)
    return np.diag(up[:-1], 1) + np.diag(down[1:], -1) - np.diag(up + down)


@compiled
def _look_up(table: Floats, bid: Floats, ask: Floats) -> Floats:
    out, last = np.empty(len(bid)), len(table) - 1
    for row in range(len(bid)):
        x, y = min(bid[row], last), min(ask[row], last)
        i, j = min(int(x), last - 1), min(int(y), last - 1)
        right, up = x - i, y - j
        low = (1.0 - right) * table[i, j] + right * table[i + 1, j]
        high = (1.0 - right) * table[i, j + 1] + right * table[i + 1, j + 1]
        out[row] = (1.0 - up) * low + up * high
    return out


def _check(times: Floats, prices: Floats, sizes: Floats) -> None:
    if times.ndim != 1 or times.shape != prices.shape or times.shape != sizes.shape or len(times) < 2:
        got = f"{times.shape}, {prices.shape}, {sizes.shape}"
        raise DataError(f"times, prices and sizes have shapes {got}: give (n,) each, at least two rows")
    if not (np.isfinite(prices).all() and np.isfinite(sizes).all() and (sizes > 0.0).all()):
        raise DataError("prices must be finite and sizes finite and positive: drop rows without a quote")
    if not np.isfinite(times).all() or (np.diff(times) < 0.0).any():
        raise DataError("times must be finite and ascending")
