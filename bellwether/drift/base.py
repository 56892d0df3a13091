"""What a drift detector is: fitted on the rows that a model was trained on, it judges a window of later rows.

It judges sums of counts and not rows, so that rows of one window may lie in several processes: each makes the tally of
those it has, and tallies add up. It has no threshold of its own either: how far a window may stray is learnt from
windows of the training rows (`bellwether.drift.usual`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NAME = "detector"
"""Key under which a state says whose it is."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a detector is fitted on.

    Parameters
    ----------
    x : float64 array of shape (n, features)
        Features of training rows, of all symbols together; finite.
    ts : int64 array of shape (n,)
        When each row was known, UTC nanoseconds; several symbols share one.
    names : tuple of str
        Of the features.
    bars : int
        Length of a window, in unique timestamps.
    level : float
        How often a window that is like the training rows may be called moved.
    """

    x: Floats
    ts: Ints
    names: tuple[str, ...]
    bars: int
    level: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One feature of a window: how far it strayed, and how far it usually does at most."""

    name: str
    score: float
    usual: float

    @property
    def moved(self) -> bool:
        """Whether it is beyond what is usual. Of many features some are, by chance alone."""
        return self.score > self.usual


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A window: one test of all features together, and each of them."""

    score: float
    usual: float
    parts: tuple[Part, ...]

    @property
    def moved(self) -> bool:
        """Whether the whole is beyond what is usual."""
        return self.score > self.usual


class FittedDetector(Protocol):
    """A detector that knows its reference."""

    @property
    def names(self) -> tuple[str, ...]:
        """The features, in the order of columns."""
        ...

    @property
    def bars(self) -> int:
        """Length of a window, as the `Reference` says it."""
        ...

    @property
    def level(self) -> float:
        """How often a window that is like the reference may be called moved."""
        ...

    @property
    def windows(self) -> int:
        """Windows of the reference that say what is usual."""
        ...

    @property
    def chance(self) -> float:
        """Features of a window like them that are beyond theirs, on average."""
        ...

    def tally(self, x: Floats) -> Ints:
        """Counts of rows (n, features), all finite; the sum of two tallies is the tally of both. No rows: zeros.

        Raises
        ------
        DataError
            A value is not finite, or the features are not as many as those of the reference.
        """
        ...

    def judge(self, tally: Ints) -> Finding | str:
        """What the rows of a window are; or, in words, why nothing can be said of so few."""
        ...

    def state(self) -> dict[str, Any]:
        """Its name and what it knows, as JSON can say it; `bellwether.drift.restored` reads it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A kind of detector.

    Parameters
    ----------
    name : str
        Key in the table.
    fit : callable
        ``fit(reference)``: the fitted detector; or, in words, why the reference is not enough to say what is usual.
        `DataError` for values that are not finite. The same reference gives the same detector.
    restore : callable
        Makes the fitted detector from its state.
    """

    name: str
    fit: Callable[[Reference], FittedDetector | str]
    restore: Callable[[Mapping[str, Any]], FittedDetector]


def check_rows(x: Floats, names: tuple[str, ...]) -> None:
    """Raise `DataError` unless ``x`` has these columns and all of its values are finite.

    >>> check_rows(np.array([[1.0, np.nan]]), ("a", "b"))
    Traceback (most recent call last):
    ...
    bellwether.errors.DataError: b is not finite in 1 of 1 rows: leave out rows whose features are not known
    """
    if x.ndim != 2 or x.shape[1] != len(names):
        raise DataError(f"rows have shape {x.shape} and the reference has {len(names)} features: give (n, features)")
    if len(bad := np.flatnonzero(~np.isfinite(x).all(axis=0))):
        count = int((~np.isfinite(x[:, bad[0]])).sum())
        raise DataError(
            f"{names[bad[0]]} is not finite in {count} of {len(x)} rows: leave out rows whose features are not known"
        )
