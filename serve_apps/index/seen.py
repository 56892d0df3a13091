"""What a shard would have answered at each of its last bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import BadFeatures
from bellwether.signal import Prediction
from data.features.base import Floats, Ints
from serve_apps.window import window


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Predictions of one symbol in time order.

    Parameters
    ----------
    ts : int64 array of shape (n,)
        Closes of bars, UTC nanoseconds, rising.
    probabilities : float64 array of shape (n, classes)
        NaN where a bar could not be predicted from.
    """

    ts: Ints
    probabilities: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which bars were predicted from (n,)."""
        return np.asarray(np.isfinite(self.probabilities).all(axis=1), np.bool_)

    def at(self, symbol: str, ts: int) -> Prediction | None:
        """The prediction from the newest bar at a time; None where there is none, whatever an older bar said.

        >>> seen = Seen(ts=np.array([10, 20, 30]), probabilities=np.array([[0.1, 0.9], [0.6, 0.4], [np.nan, np.nan]]))
        >>> seen.at("A", 19).probabilities, seen.at("A", 9), seen.at("A", 30)
        ((0.1, 0.9), None, None)
        """
        row = int(np.searchsorted(self.ts, ts, side="right")) - 1
        if row < 0 or not np.isfinite(self.probabilities[row]).all():
            return None
        probabilities = tuple(self.probabilities[row].tolist())
        return Prediction(symbol=symbol, ts_event=int(self.ts[row]), probabilities=probabilities)


def seen(ts: Ints, x: Floats, predict: Callable[[Floats], tuple[float, ...]], *, first: int, lookback: int) -> Seen:
    """Predict the bars from row ``first`` on, each from what was known when it closed.

    Parameters
    ----------
    ts : int64 array of shape (bars,)
    x : float64 array of shape (bars, features)
        Features are a scan, so a row is what it was when the bar closed. A row with NaN is not predicted from.
    predict : callable
        Class probabilities of one `window` of features; raises `BadFeatures` at what the model cannot read.
    """
    found = [_predicted(x[: k + 1], predict, lookback) for k in range(first, len(ts))]
    classes = max([1, *map(len, found)])
    rows = [p or (np.nan,) * classes for p in found]
    return Seen(ts=ts[first:], probabilities=np.array(rows, np.float64).reshape(len(rows), classes))


def _predicted(x: Floats, predict: Callable[[Floats], tuple[float, ...]], lookback: int) -> tuple[float, ...]:
    """The prediction from the last row, empty where there is none."""
    shown = window(x, lookback) if np.isfinite(x[-1]).all() else None
    try:
        return () if shown is None else predict(shown)
    except BadFeatures:
        return ()
