"""The scan behind the microstructure set: one change of the book in, one row of features out."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, log, pi, sin, sqrt
from typing import Any

import numpy as np

from data.features.compiled import compiled
from data.features.hawkes import faded
from data.features.microprice import MICROPRICE, forget_microprice, microprice
from data.features.moments import (
    autocorrelation,
    centre,
    forget,
    history,
    latest,
    product,
    remember,
    shape,
    total,
)
from data.features.order_flow import event_flow, queue_loss

LAGS = (1, 5, 10, 20)
BASIS_POINTS = 1e4
SAME = 1e-12
"""Relative change below which a mid has not moved: (bid + ask) / 2 of decimal prices is rarely exact in binary."""


def microstructure_state(flow: tuple[int, ...], window: int, trades: int) -> np.dtype[np.void]:
    """What a symbol remembers: the last quote, the windows, the sums of the session and what fades."""
    last = ("session", "second", "bid", "bid_qty", "ask", "ask_qty")
    sums = ("traded", "paid", "buys", "sells", "bid_loss", "ask_loss", "bias", "persistence", "relative_size")
    return np.dtype(
        [
            ("rows", "i8"),
            *((name, "f8") for name in (*last, *sums)),
            ("micro", MICROPRICE),
            ("mids", history(max(flow))),
            ("flows", history(max(flow))),
            ("signed", history(max(flow))),
            ("returns", history(window)),
            ("signs", history(trades)),
            ("sizes", history(trades)),
        ]
    )


def microstructure_kernel(
    levels: int,
    flow: tuple[int, ...],
    window: int,
    tick: float,
    hawkes: tuple[float, float, float],
    loss_decay: float,
) -> Callable[..., None]:
    """Compile the scan for these options; `data.features.microstructure` has the columns."""
    mu, alpha, beta = hawkes
    warmup, trade = max(*flow, window), 4 * levels

    @compiled
    def kernel(x: Any, who: Any, state: Any, out: Any) -> None:
        distances, squares = np.empty(window), np.empty(window)
        for i in range(x.shape[0]):
            s, q, row = state[who[i]], x[i], out[i]
            if q[trade + 4] != s.session:
                _restart(s, q[trade + 4])
            if not (q[0] > 0.0 and q[1] > 0.0 and q[2] > 0.0 and q[3] > 0.0):
                row[:] = np.nan
                continue
            mid, elapsed = (q[0] + q[2]) / 2.0, (q[trade + 3] - s.second if s.rows > 0 else 0.0)
            before = (s.bid + s.ask) / 2.0
            event = _take_quote(s, q, mid, before, faded(loss_decay, elapsed), loss_decay)
            _take_trade(s, q, trade, faded(beta, elapsed), alpha)
            micro = microprice(s.micro, q[0], q[1], q[2], q[3], tick)
            s.second = q[trade + 3]
            if s.rows > warmup:
                at = _write_levels(q, levels, mid, row)
                at = _write_prices(q, mid, micro, row, at)
                at = _write_flow(s, flow, event, row, at)
                at = _write_returns(s, distances, squares, row, at)
                at = _write_momentum(s, flow, mid, row, at)
                at = _write_trades(s, mid, mu, row, at)
                turn = 2.0 * pi * q[trade + 5]
                row[at], row[at + 1] = sin(turn), cos(turn)
            else:
                row[:] = np.nan
            remember(s.mids, mid)

    return kernel


@compiled
def _restart(s: Any, session: float) -> None:
    """Forget the session before, every field of it."""
    s.rows, s.session, s.second = 0, session, 0.0
    s.bid, s.bid_qty, s.ask, s.ask_qty = 0.0, 0.0, 0.0, 0.0
    s.traded, s.paid = 0.0, 0.0
    s.buys, s.sells, s.bid_loss, s.ask_loss = 0.0, 0.0, 0.0, 0.0
    s.bias, s.persistence, s.relative_size = 0.0, 0.0, 0.0
    forget_microprice(s.micro)
    forget(s.mids)
    forget(s.flows)
    forget(s.signed)
    forget(s.returns)
    forget(s.signs)
    forget(s.sizes)


@compiled
def _take_quote(s: Any, q: Any, mid: float, before: float, left: float, decay: float) -> float:
    """Move on to the best quote of ``q``; return its order flow, 0 for the session's first."""
    event, bid_loss, ask_loss = 0.0, 0.0, 0.0
    if s.rows > 0:
        event = event_flow(s.bid, s.bid_qty, s.ask, s.ask_qty, q[0], q[1], q[2], q[3])
        bid_loss = queue_loss(s.bid, s.bid_qty, q[0], q[1], -1.0)
        ask_loss = queue_loss(s.ask, s.ask_qty, q[2], q[3], 1.0)
        remember(s.returns, log(mid / before) if abs(mid / before - 1.0) >= SAME else 0.0)
    remember(s.flows, event)
    s.bid_loss = s.bid_loss * left + decay * bid_loss
    s.ask_loss = s.ask_loss * left + decay * ask_loss
    s.bid, s.bid_qty, s.ask, s.ask_qty = q[0], q[1], q[2], q[3]
    s.rows += 1
    return event


@compiled
def _take_trade(s: Any, q: Any, trade: int, left: float, alpha: float) -> None:
    """Take the trade of ``q``, if it has one; its side may be unknown."""
    price, size = q[trade], q[trade + 1]
    traded = price > 0.0 and size > 0.0
    side = np.sign(q[trade + 2]) if traded and q[trade + 2] != 0.0 else 0.0
    s.buys = s.buys * left + (alpha if side > 0.0 else 0.0)
    s.sells = s.sells * left + (alpha if side < 0.0 else 0.0)
    remember(s.signed, side * size if side != 0.0 else 0.0)
    if not traded:
        return
    s.traded += size
    s.paid += price * size
    remember(s.sizes, size)
    s.relative_size = size * s.sizes.count / total(latest(s.sizes, s.sizes.count))
    if side != 0.0:
        remember(s.signs, side)
        n = s.signs.count
        signs = latest(s.signs, n)
        s.bias = total(signs) / n
        s.persistence = product(signs[1:], signs[: n - 1]) / (n - 1) if n > 1 else 0.0


@compiled
def _write_levels(q: Any, levels: int, mid: float, row: Any) -> int:
    """An unknown level makes what needs it NaN, and every sum after it; an empty one has no quantity and no price."""
    bids, asks, near_bids, near_asks = 0.0, 0.0, 0.0, 0.0
    bid_moment, bid_square, ask_moment, ask_square = 0.0, 0.0, 0.0, 0.0
    for k in range(levels):
        bid_qty, ask_qty = q[4 * k + 1], q[4 * k + 3]
        bids += bid_qty
        asks += ask_qty
        near_bids += bid_qty / (k + 1)
        near_asks += ask_qty / (k + 1)
        row[k] = (bids - asks) / (bids + asks)
        if bid_qty != 0.0:
            away = BASIS_POINTS * (mid - q[4 * k]) / mid
            bid_moment += away * bids
            bid_square += away * away
        if ask_qty != 0.0:
            away = BASIS_POINTS * (q[4 * k + 2] - mid) / mid
            ask_moment += away * asks
            ask_square += away * away
    bid_slope, ask_slope = bid_moment / bid_square, ask_moment / ask_square
    row[levels] = (near_bids - near_asks) / (near_bids + near_asks)
    row[levels + 1] = bids / asks
    row[levels + 2], row[levels + 3] = bid_slope, ask_slope
    row[levels + 4] = (bid_slope - ask_slope) / (bid_slope + ask_slope)
    return levels + 5


@compiled
def _write_prices(q: Any, mid: float, micro: float, row: Any, at: int) -> int:
    row[at] = BASIS_POINTS * (q[2] - q[0]) / mid
    row[at + 1] = (q[0] * q[3] + q[2] * q[1]) / (q[1] + q[3])
    row[at + 2] = micro
    row[at + 3] = BASIS_POINTS * (micro - mid) / mid
    return at + 4


@compiled
def _write_flow(s: Any, flow: Any, event: float, row: Any, at: int) -> int:
    row[at] = event
    at += 1
    for k in range(len(flow)):
        row[at], row[at + 1] = total(latest(s.flows, flow[k])), total(latest(s.signed, flow[k]))
        at += 2
    return at


@compiled
def _write_returns(s: Any, distances: Any, squares: Any, row: Any, at: int) -> int:
    returns, n = latest(s.returns, distances.size), distances.size
    row[at] = sqrt(product(returns, returns))
    row[at + 1], energy = centre(returns, distances)
    row[at + 2] = sqrt(energy / n)
    row[at + 3], row[at + 4] = shape(distances, squares, energy / n)
    at += 5
    for k in range(len(LAGS)):
        row[at + k] = autocorrelation(distances, LAGS[k], energy)
    at += len(LAGS)
    for power in range(2):
        for k in range(n):
            squares[k] = abs(returns[k]) if power == 0 else returns[k] * returns[k]
        _, energy = centre(squares, distances)
        row[at + power] = autocorrelation(distances, 1, energy)
    return at + 2


@compiled
def _write_momentum(s: Any, flow: Any, mid: float, row: Any, at: int) -> int:
    """The mid of this row is not among the remembered ones yet."""
    for k in range(len(flow)):
        row[at + k] = mid / latest(s.mids, flow[k])[0] - 1.0
    return at + len(flow)


@compiled
def _write_trades(s: Any, mid: float, mu: float, row: Any, at: int) -> int:
    row[at] = mid * s.traded / s.paid - 1.0 if s.traded > 0.0 else 0.0
    row[at + 1] = s.relative_size
    row[at + 2], row[at + 3] = s.bias, s.persistence
    row[at + 4], row[at + 5] = mu + s.buys, mu + s.sells
    row[at + 6], row[at + 7] = s.bid_loss, s.ask_loss
    return at + 8
