"""The rows of one shard that drift is measured on, as counts that add up with those of the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from bellwether.drift.base import FittedDetector
from data.features.base import Floats, Ints


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """What a shard has of a window: the rows of its symbols whose features are known.

    Parameters
    ----------
    stamp : str
        What the counts are a function of.
    tally : int64 array
        As `bellwether.drift.base.FittedDetector.tally` makes it.
    rows, in_training : int
        How many there are, and how many of them the model was fitted on or might have been, by their time.
    first, last : int, optional
        Time of the oldest and of the newest, UTC nanoseconds; None of no rows.
    """

    stamp: str
    tally: Ints
    rows: int
    in_training: int
    first: int | None
    last: int | None


def counted(
    stamp: str, tails: Iterable[tuple[Ints, Floats]], since: int, train_end: int, detector: FittedDetector
) -> Counted:
    """Count the rows of a window.

    Parameters
    ----------
    tails : iterable of int64 array of shape (n,) and float64 array of shape (n, features)
        Times and features of each symbol; NaN where a feature is not known.
    since, train_end : int
        First time of the window, and last of the training rows; UTC nanoseconds.
    """
    nothing = (np.empty(0, np.int64), np.empty((0, len(detector.names))))
    ts, x = (np.concatenate(parts) for parts in zip(nothing, *tails, strict=True))
    inside = _inside(ts, x, since)
    ts, x = ts[inside], x[inside]
    return Counted(
        stamp=stamp,
        tally=detector.tally(x),
        rows=len(ts),
        in_training=int((ts <= train_end).sum()),
        first=int(ts.min()) if len(ts) else None,
        last=int(ts.max()) if len(ts) else None,
    )


def nanoseconds(at: datetime) -> int:
    """A moment as UTC nanoseconds: whole microseconds, no float on the way."""
    seconds = int(at.replace(microsecond=0).timestamp())
    return (seconds * 1_000_000 + at.microsecond) * 1000


def _inside(ts: Ints, x: Floats, since: int) -> NDArray[np.bool_]:
    """Rows of the window whose features are known (n,)."""
    return np.asarray((ts >= since) & np.isfinite(x).all(axis=1), np.bool_)
