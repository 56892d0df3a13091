"""The index signal over history: the same arithmetic as one answer, for many timestamps at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.actions import SCORES

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SignalSeries:
    """Signals in time order: ``ts`` (T,) ns; ``wss``, ``wss_probability`` (T,) in -2..2; ``coverage`` (T,) in 0..1."""

    ts: Ints
    wss: Floats
    wss_probability: Floats
    coverage: Floats


def signal_series(ts: Ints, who: Ints, probabilities: Floats, weights: Floats) -> SignalSeries:
    """Weighted sum of the components' scores at each distinct timestamp.

    Parameters
    ----------
    ts, who : int64 arrays of shape (n,)
        Time and component position of each prediction; a component answers at most once a timestamp.
    probabilities : float array of shape (n, 5)
        Class probabilities in the order of `ACTIONS`.
    weights : float64 array of shape (T, components)
        Weights in force at each of the T distinct timestamps, NaN where a component has none. They are
        renormalised over the components that answered; where none of those has a weight, the signal is NaN.

    Examples
    --------
    >>> p = np.eye(5)[[4, 0]]
    >>> both = signal_series(np.array([1, 1]), np.array([0, 1]), p, np.array([[0.3, 0.1]]))
    >>> both.wss.round(6).tolist(), both.coverage.tolist()
    ([1.0], [1.0])
    """
    times, row = np.unique(ts, return_inverse=True)
    scores = np.asarray(SCORES, np.float64)
    known = np.nan_to_num(weights)
    weight = known[row, who]
    total = np.bincount(row, weight, len(times))
    with np.errstate(invalid="ignore", divide="ignore"):
        return SignalSeries(
            ts=times,
            wss=np.bincount(row, weight * scores[probabilities.argmax(axis=1)], len(times)) / total,
            wss_probability=np.bincount(row, weight * (probabilities @ scores), len(times)) / total,
            coverage=total / known.sum(axis=1),
        )
