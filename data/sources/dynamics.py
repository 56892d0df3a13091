"""How the simulated market moves: a linear signal, a volatility that remembers, and the path inside a bar.

The log return of component i in bar t+1 is ``mean[t, i] + sd[t, i] * shock[t+1, i]``. Shocks are standard normal,
independent over time, and share a market part: their correlation across components is `CORRELATION`.

    mean[t, i] = g * basket[t] - g * (r[t, i] - basket[t]),   basket[t] = sum of weights[t, i] * r[t, i]

so the basket trends and a component's lead over it reverts. Both terms are features of the hourly set.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CORRELATION = 0.4
ALPHA, BETA = 0.2, 0.77
"""Share of the last bar's shock and of the last variance in the next variance; the rest pulls it back to 1."""


@dataclass(frozen=True, kw_only=True)
class Moves:
    """What `evolve` makes of T bars of N components.

    Parameters
    ----------
    returns : float64 array of shape (T, N)
        Log return of each bar.
    mean, sd : float64 arrays of shape (T, N)
        Of the log return of the bar after.
    heat : float64 array of shape (T,)
        The clustered factor in a bar's own sd; 1 where volatility does not cluster.
    """

    returns: Floats
    mean: Floats
    sd: Floats
    heat: Floats


def gain(strength: float, weights: Floats, sigma: Floats) -> float:
    """The coefficient g that makes the mean carry a share ``strength`` of the components' pooled variance.

    Returns follow r' = g·B·r + noise with B = 2·1w' - I, and B·B = I because weights sum to 1. With V the noise
    covariance (up to a common factor that may change over time), the mean's pooled variance over the return's is
    u·(q + u·s) / (s + u·q) for u = g², s = tr V, q = tr BVB': a quadratic in u, solved here. Exact in expectation
    as long as the weights are ``weights``. The index is an AR(1) of coefficient g: its own share is g².

    Parameters
    ----------
    strength : float
        In [0, 1).
    weights : float64 array of shape (N,)
        Sum to 1.
    sigma : float64 array of shape (N,)
        Noise sd of the components, in any common unit.

    Examples
    --------
    Two equal components have no covariance between basket and lead, and the share is g² for all:

    >>> round(gain(0.16, np.array([0.5, 0.5]), np.array([1.0, 1.0])), 6)
    0.4
    """
    noise = np.outer(sigma, sigma) * (CORRELATION + (1.0 - CORRELATION) * np.eye(len(sigma)))
    flip = 2.0 * np.outer(np.ones_like(weights), weights) - np.eye(len(weights))
    s, q = float(np.trace(noise)), float(np.trace(flip @ noise @ flip.T))
    half = q * (1.0 - strength) / (2.0 * s)
    return float(np.sqrt(max(np.sqrt(half**2 + strength) - half, 0.0)))


def shocks(rng: np.random.Generator, *shape: int) -> Floats:
    """Standard normals of shape (..., N), correlated along the last axis by a common market part."""
    market, own = rng.standard_normal((*shape[:-1], 1)), rng.standard_normal(shape)
    mixed: Floats = np.sqrt(CORRELATION) * market + np.sqrt(1.0 - CORRELATION) * own
    return mixed


def evolve(shock: Floats, scale: Floats, weights: Floats, g: float, *, clustered: bool) -> Moves:
    """Run the recursion.

    Parameters
    ----------
    shock : float64 array of shape (T, N)
        Standard normals of each bar.
    scale : float64 array of shape (T + 1, N)
        The sd of each bar before clustering, and of the one after the last.
    weights : float64 array of shape (T, N)
        In force at each bar.
    g : float
        See `gain`. The first bar has mean zero.
    clustered : bool
        The variance is multiplied by h[t+1] = 1 - α - β + (α·x[t] + β)·h[t], x the mean squared shock of the
        components: a GARCH(1, 1) common to all, known at t. Source: Bollerslev (1986), J. Econometrics 31, 307-327.
    """
    T, N = shock.shape
    moves = Moves(returns=np.empty((T, N)), mean=np.empty((T, N)), sd=np.empty((T, N)), heat=np.empty(T))
    mean, sd, h = np.zeros(N), scale[0], 1.0
    for t in range(T):
        moves.heat[t] = np.sqrt(h)
        r = mean + sd * shock[t]
        mean = g * (2.0 * (weights[t] @ r) - r)
        if clustered:
            h = 1.0 - ALPHA - BETA + (ALPHA * np.mean(shock[t] ** 2) + BETA) * h
        sd = scale[t + 1] * np.sqrt(h)
        moves.returns[t], moves.mean[t], moves.sd[t] = r, mean, sd
    return moves


def paths(rng: np.random.Generator, returns: Floats, sd: Floats, gap: Floats, steps: int) -> Floats:
    """Log prices inside each bar relative to the close before it: a Brownian bridge that ends at the return.

    Parameters
    ----------
    returns, sd : float64 arrays of shape (T, N)
        Log return of each bar from close to close, and its sd.
    gap : float64 array of shape (T,)
        Share of the bar's variance that happens before its open, in [0, 1); 0 opens at the close before.
    steps : int
        Steps from open to close.

    Returns
    -------
    float64 array of shape (T, steps + 1, N)
        Open first, close last.
    """
    elapsed = gap[:, None] + (1.0 - gap[:, None]) * np.linspace(0.0, 1.0, steps + 1)  # (T, steps + 1)
    passed = np.diff(elapsed, axis=1, prepend=0.0)
    walk = np.cumsum(np.sqrt(passed)[..., None] * shocks(rng, *passed.shape, returns.shape[1]), axis=1)
    bridge = walk - elapsed[..., None] * walk[:, -1:]
    return elapsed[..., None] * returns[:, None] + sd[:, None] * bridge
