"""Hawkes processes with an exponential kernel: events that bring on further events.

The intensity of events of type i, given all events before t, is

    λ_i(t) = mu_i + Σ_j Σ_{t_k < t, type j} alpha_ij exp(-beta (t - t_k))

with one decay ``beta`` for all types. One type is the plain process; two (buys, sells) excite themselves and each
other. An event of type j is followed by ``alpha_ij / beta`` events of type i on average: the branching matrix.

Sources: Hawkes, "Spectra of some self-exciting and mutually exciting point processes", Biometrika 58 (1971); thinning:
Ogata, "On Lewis' simulation method for point processes", IEEE Transactions on Information Theory 27 (1981); likelihood
in O(n): Ozaki, "Maximum likelihood estimation of Hawkes' self-exciting point processes" (1979); residuals: Ogata,
"Statistical models for earthquake occurrences and residual analysis for point processes", JASA 83 (1988).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import hyp1f1

from bellwether.econometrics.compiled import compiled
from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Hawkes:
    """Parameters; rates are events a unit of time.

    Parameters
    ----------
    mu : float64 array of shape (k,)
        Rates of events nothing brought on, not negative.
    alpha : float64 array of shape (k, k)
        ``alpha[i, j]``: jump of the intensity of type i at an event of type j, not negative.
    beta : float
        Decay, positive: what an event adds is halved after ``log(2) / beta``.

    Raises
    ------
    ConfigError
        A shape or a sign is wrong.

    Examples
    --------
    >>> model = Hawkes(mu=np.array([0.5]), alpha=np.array([[0.8]]), beta=1.2)
    >>> round(model.branching, 3), model.rates().round(3)
    (0.667, array([1.5]))
    """

    mu: Floats
    alpha: Floats
    beta: float

    def __post_init__(self) -> None:
        k = len(self.mu)
        if k == 0 or self.alpha.shape != (k, k):
            raise ConfigError(f"mu has {k} types and alpha shape {self.alpha.shape}: give at least one, and (k, k)")
        if (self.mu < 0.0).any() or (self.alpha < 0.0).any() or not self.beta > 0.0:
            raise ConfigError(f"mu {self.mu}, alpha {self.alpha.tolist()}, beta {self.beta}: none may be below 0")

    @property
    def branching(self) -> float:
        """Spectral radius of the branching matrix; the process is stationary below 1."""
        return float(np.abs(np.linalg.eigvals(self.alpha / self.beta)).max())

    def rates(self) -> Floats:
        """Events of each type a unit of time in the long run (k,); infinite where the process explodes."""
        if self.branching >= 1.0:
            return np.full(len(self.mu), np.inf)
        return np.asarray(np.linalg.solve(np.eye(len(self.mu)) - self.alpha / self.beta, self.mu), np.float64)


@dataclass(frozen=True, kw_only=True)
class Events:
    """What happened from 0 to ``end``.

    Parameters
    ----------
    times : float64 array of shape (n,)
        Ascending, in [0, end]; equal times are allowed and count in the order given.
    types : int64 array of shape (n,)
        0 … k - 1.
    end : float
        When watching stopped; what did not happen until then counts, too.

    Raises
    ------
    DataError
        Times are not finite, not ascending or outside; or types are negative or not as many.
    """

    times: Floats
    types: Ints
    end: float

    def __post_init__(self) -> None:
        t = self.times
        if t.ndim != 1 or t.shape != self.types.shape or not np.isfinite(t).all() or not np.isfinite(self.end):
            raise DataError(f"times {t.shape} and types {self.types.shape} must be finite, of one shape (n,)")
        if len(t) and (t[0] < 0.0 or t[-1] > self.end or (np.diff(t) < 0.0).any() or self.types.min() < 0):
            raise DataError(f"times {t[0]} … {t[-1]} must ascend within 0 … {self.end}, with types from 0")


def simulate(model: Hawkes, *, end: float, seed: int, most: int = 10_000_000) -> Events:
    """Draw a path by thinning, from an empty past.

    Parameters
    ----------
    model : Hawkes
        With a branching below 1.
    end : float
        How long to watch.
    seed : int
        The same arguments give the same events.
    most : int
        No more events than this fit into memory.

    Raises
    ------
    ConfigError
        The process explodes, or would have more than ``most`` events.

    Examples
    --------
    >>> model = Hawkes(mu=np.array([1.0]), alpha=np.array([[0.0]]), beta=1.0)
    >>> 900 < len(simulate(model, end=1000.0, seed=1).times) < 1100
    True
    """
    if model.branching >= 1.0:
        raise ConfigError(f"branching is {model.branching}: it must lie below 1 for the number of events to be finite")
    expected = model.rates().sum() * end
    room = int(min(most, 2.0 * expected + 1000.0))
    while True:
        times, types = np.empty(room), np.empty(room, np.int64)
        n = _thin(model.mu, model.alpha, model.beta, end, np.random.default_rng(seed), times, types)
        if n <= room:
            return Events(times=times[:n], types=types[:n], end=end)
        if room == most:
            raise ConfigError(f"more than {most} events until {end} (about {expected:.0f}): watch for less time")
        room = min(most, 4 * room)


def log_likelihood(model: Hawkes, events: Events) -> float:
    """Log-likelihood of a path from an empty past, in O(n).

    >>> poisson = Hawkes(mu=np.array([2.0]), alpha=np.array([[0.0]]), beta=1.0)
    >>> events = Events(times=np.array([0.5, 1.0]), types=np.array([0, 0]), end=3.0)
    >>> round(log_likelihood(poisson, events), 4), round(2 * float(np.log(2.0)) - 6.0, 4)
    (-4.6137, -4.6137)
    """
    _fits(model, events)
    return float(score(events.times, events.types, events.end, model.mu, model.alpha, model.beta)[0])


def residuals(model: Hawkes, events: Events) -> Floats:
    """Time-changed waiting times (n,): what each event's own intensity added up to since the last of its type.

    Under the true model these are independent and Exp(1) (Ogata 1988), up to the start from an empty past.

    >>> poisson = Hawkes(mu=np.array([2.0]), alpha=np.array([[0.0]]), beta=1.0)
    >>> residuals(poisson, Events(times=np.array([0.5, 2.0]), types=np.array([0, 0]), end=3.0))
    array([1., 3.])
    """
    _fits(model, events)
    return _residuals(events.times, events.types, model.mu, model.alpha, model.beta)


def excitation(model: Hawkes, events: Events, at: Floats) -> Floats:
    """What past events add to the intensities at each time (m, k): λ - mu.

    Parameters
    ----------
    model : Hawkes
    events : Events
        The past; an event at exactly a time of ``at`` counts as known.
    at : float64 array of shape (m,)
        Ascending, none below 0. Only events up to each of them are read.

    Raises
    ------
    DataError
        ``at`` is not finite, or does not ascend.

    Examples
    --------
    >>> model = Hawkes(mu=np.array([0.5]), alpha=np.array([[0.8]]), beta=np.log(2.0))
    >>> past = Events(times=np.array([1.0]), types=np.array([0]), end=3.0)
    >>> excitation(model, past, np.array([0.0, 1.0, 2.0, 3.0]))[:, 0].round(6)
    array([0. , 0.8, 0.4, 0.2])
    """
    _fits(model, events)
    if at.ndim != 1 or not np.isfinite(at).all() or (np.diff(at) < 0.0).any() or (len(at) and at[0] < 0.0):
        raise DataError(f"{at.shape} times to look at must be finite, ascending and not below 0")
    return _excitation(events.times, events.types, model.alpha, model.beta, at)


def share_of_intensity(model: Hawkes, excited: Floats) -> Floats:
    """Share of each type in the intensity at this very moment (m, k): λ_i / Σ λ.

    The chance that an event is of type i, if one happens now. Zero intensity in all counts as equal shares.

    >>> model = Hawkes(mu=np.array([1.0, 1.0]), alpha=np.zeros((2, 2)), beta=1.0)
    >>> share_of_intensity(model, np.array([[2.0, 0.0]]))
    array([[0.75, 0.25]])
    """
    intensity = model.mu + excited
    total = intensity.sum(axis=1, keepdims=True)
    return np.where(total > 0.0, intensity / np.where(total > 0.0, total, 1.0), 1.0 / len(model.mu))


def next_type(model: Hawkes, excited: Floats) -> Floats:
    """Chance that the next event is of each type (m, k), however long it takes to come.

    The excitement decays while one waits, so this lies between the share of the intensity now and that of ``mu``. With
    A = Σ excited, M = Σ mu, z = A / beta, a = M / beta and Kummer's function F, integrating λ_i(s) exp(-Λ(s)) over the
    waiting time gives (mu_i / M) F(1, a + 1, -z) + (excited_i / (M + beta)) F(1, a + 2, -z).

    Parameters
    ----------
    model : Hawkes
        With a positive mu: otherwise there may be no next event.
    excited : float64 array of shape (m, k)
        From `excitation`.

    Raises
    ------
    ConfigError
        ``mu`` is zero in all types.

    Examples
    --------
    >>> model = Hawkes(mu=np.array([1.0, 1.0]), alpha=np.zeros((2, 2)), beta=1.0)
    >>> next_type(model, np.array([[2.0, 0.0]])).round(4)
    array([[0.7162, 0.2838]])
    """
    base = float(model.mu.sum())
    if base <= 0.0:
        raise ConfigError("mu is zero in all types: there may be no next event, so its type has no distribution")
    a, z = base / model.beta, excited.sum(axis=1) / model.beta
    spontaneous, excited_part = hyp1f1(1.0, a + 1.0, -z), hyp1f1(1.0, a + 2.0, -z)
    chance: Floats = model.mu / base * spontaneous[:, None] + excited / (base + model.beta) * excited_part[:, None]
    return chance


@compiled
def score(
    times: Floats, types: Ints, end: float, mu: Floats, alpha: Floats, beta: float
) -> tuple[float, Floats, Floats, float]:
    """Log-likelihood and its slopes by mu (k,), alpha (k, k) and beta; the recursion of Ozaki (1979)."""
    k = len(mu)
    decayed, aged = np.zeros(k), np.zeros(k)  # Σ exp(-beta age) and Σ age exp(-beta age) over past events of a type
    total, by_mu, by_alpha, by_beta, last = 0.0, np.full(k, -end), np.zeros((k, k)), 0.0, 0.0
    for event in range(len(times)):
        gap, i = times[event] - last, types[event]
        fade = np.exp(-beta * gap)
        rate, slope = mu[i], 0.0
        for j in range(k):
            aged[j] = fade * (aged[j] + gap * decayed[j])
            decayed[j] *= fade
            rate += alpha[i, j] * decayed[j]
            slope -= alpha[i, j] * aged[j]
        total += np.log(rate)
        by_mu[i] += 1.0 / rate
        by_beta += slope / rate
        for j in range(k):
            by_alpha[i, j] += decayed[j] / rate
        rest = end - times[event]
        left = np.exp(-beta * rest)
        whole = (1.0 - left) / beta
        for j in range(k):  # an event of type i adds to the intensity of every type j until the end
            total -= alpha[j, i] * whole
            by_alpha[j, i] -= whole
            by_beta -= alpha[j, i] * (rest * left - whole) / beta
        decayed[i] += 1.0
        last = times[event]
    return total - end * mu.sum(), by_mu, by_alpha, by_beta


@compiled
def _thin(
    mu: Floats, alpha: Floats, beta: float, end: float, rng: np.random.Generator, times: Floats, types: Ints
) -> int:
    """Fill times and types; the number of events, or one more than there is room for."""
    n, now, excited, k = 0, 0.0, np.zeros(len(mu)), len(mu)
    while True:
        bound = mu.sum() + excited.sum()  # intensities only fall until the next event
        if bound <= 0.0:
            return n
        wait = rng.exponential() / bound
        now += wait
        if now > end:
            return n
        excited *= np.exp(-beta * wait)
        left, drawn = rng.random() * bound, 0
        while drawn < k:
            left -= mu[drawn] + excited[drawn]
            if left < 0.0:
                break
            drawn += 1
        if drawn == k:
            continue
        if n == len(times):
            return n + 1
        times[n], types[n] = now, drawn
        excited += alpha[:, drawn]
        n += 1


@compiled
def _residuals(times: Floats, types: Ints, mu: Floats, alpha: Floats, beta: float) -> Floats:
    k = len(mu)
    out, excited, since, last = np.empty(len(times)), np.zeros(k), np.zeros(k), 0.0
    for event in range(len(times)):
        gap, i = times[event] - last, types[event]
        fade = np.exp(-beta * gap)
        since += mu * gap + excited * ((1.0 - fade) / beta)
        excited = excited * fade + alpha[:, i]
        out[event], since[i] = since[i], 0.0
        last = times[event]
    return out


@compiled
def _excitation(times: Floats, types: Ints, alpha: Floats, beta: float, at: Floats) -> Floats:
    out, excited, event, last = np.empty((len(at), len(alpha))), np.zeros(len(alpha)), 0, 0.0
    for row in range(len(at)):
        while event < len(times) and times[event] <= at[row]:
            excited = excited * np.exp(-beta * (times[event] - last)) + alpha[:, types[event]]
            last = times[event]
            event += 1
        out[row] = excited * np.exp(-beta * (at[row] - last))
    return out


def _fits(model: Hawkes, events: Events) -> None:
    if len(events.types) and events.types.max() >= len(model.mu):
        raise DataError(f"an event has type {events.types.max()}: the model has types 0 … {len(model.mu) - 1}")
