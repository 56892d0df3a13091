"""What a family is fitted on: rows in time order, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ModelError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Task(Enum):
    """The kinds of target a family can be fitted to."""

    CLASSIFY = "classify"
    REGRESS = "regress"


@dataclass(frozen=True, kw_only=True)
class Training:
    """Training rows, sorted by (ts, who).

    Parameters
    ----------
    x : float64 array of shape (n, lookback * width)
        What the family reads, finite. With a lookback, the rows of the symbol up to this one, oldest first.
    y : int64 array of shape (n,), or float64 array of shape (n, steps)
        Class positions; or values. The value of a level, such as a price, is its change from the one known at the row:
        a model that answers 0 says "no change".
    classes : int
        Number of classes; 0 for values.
    seed : int
        The same training rows, parameters and seed give the same model.
    ts, t1 : int64 arrays of shape (n,)
        When a row is known, and when its outcome is; UTC nanoseconds.
    who : int64 array of shape (n,)
        Which symbol.
    weight : float64 array of shape (n,)
        How much a row counts; positive, the mean is one.
    names : tuple of str
        The ``width`` columns of one row.
    lookback : int
        Rows in ``x``.
    """

    x: Floats
    y: NDArray[Any]
    classes: int
    seed: int
    ts: Ints
    t1: Ints
    who: Ints
    weight: Floats
    names: tuple[str, ...]
    lookback: int = 1

    @property
    def task(self) -> Task:
        """Whether ``y`` holds classes or values."""
        return Task.CLASSIFY if self.classes else Task.REGRESS

    @property
    def steps(self) -> int:
        """Values a row has; 1 for classes."""
        return 1 if self.classes else int(self.y.shape[1])

    def check_weights(self) -> None:
        """Raise `ModelError` unless every row counts: a class or a tail of rows that do not has no loss."""
        if self.weight.shape != self.ts.shape:
            raise ModelError(f"fit needs one weight for each of {len(self.ts)} rows; got shape {self.weight.shape}")
        counts = np.isfinite(self.weight) & (self.weight > 0)
        if not counts.all():
            row = int(np.argmin(counts))
            raise ModelError(f"weights must be positive and finite; row {row} has {self.weight[row]}: leave it out")

    def at(self, rows: NDArray[Any]) -> Training:
        """The rows at these positions, or where this mask holds; their mean weight is one again.

        >>> rows = replace(plain(np.zeros((3, 1)), np.zeros(3)), weight=np.array([0.5, 0.5, 2.0]))
        >>> rows.at(np.array([0, 1])).weight.tolist()
        [1.0, 1.0]
        """
        cut = {name: getattr(self, name)[rows] for name in ("x", "y", "ts", "t1", "who", "weight")}
        total = cut["weight"].sum()
        if total > 0:
            cut["weight"] = cut["weight"] * (len(cut["weight"]) / total)
        return replace(self, **cut)

    def parted(self, share: float) -> tuple[Training, Training]:
        """Rows to fit on, and the last ``share`` of timestamps to stop on: what early stopping needs.

        Rows whose outcome is known only after the second part begins are in neither.

        Raises
        ------
        ModelError
            Either part would be empty.

        >>> early, late = plain(np.zeros((10, 1)), np.zeros((10, 1))).parted(0.2)
        >>> early.ts.tolist(), late.ts.tolist()
        ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9])
        """
        times = np.unique(self.ts)
        start = times[len(times) - min(len(times), max(1, round(share * len(times))))]
        early, late = self.at(self.t1 <= start), self.at(self.ts >= start)
        if not len(early.ts):
            raise ModelError(f"{len(times)} timestamps are too few to stop on the last {share:.0%}: ingest more")
        return early, late


def plain(
    x: Floats, y: NDArray[Any], *, classes: int = 0, seed: int = 0, lookback: int = 1, names: tuple[str, ...] = ()
) -> Training:
    """Rows of one symbol, one a nanosecond, whose outcomes are known a row later and that count alike.

    >>> plain(np.zeros((3, 2)), np.array([0, 1, 1]), classes=2).t1.tolist()
    [1, 2, 3]
    """
    ts = np.arange(len(x), dtype=np.int64)
    width = x.shape[1] // lookback if x.ndim == 2 else 0
    return Training(
        x=x,
        y=y if classes or y.ndim == 2 else y[:, None],
        classes=classes,
        seed=seed,
        ts=ts,
        t1=ts + 1,
        who=np.zeros(len(x), np.int64),
        weight=np.ones(len(x)),
        names=names or tuple(str(k) for k in range(width)),
        lookback=lookback,
    )
