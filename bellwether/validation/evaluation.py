"""What a model said of rows, beside what came: what every score is computed from."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import DataError
from bellwether.models.training import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDING = 1e-4
"""How far probabilities of a row may be from adding up to 1: served graphs compute in single precision."""


def _no_floats() -> Floats:
    return np.zeros((0, 0))


def _no_ints() -> Ints:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Rows and their predictions: ``probabilities`` and ``predicted`` for classes, ``values`` for values.

    Parameters
    ----------
    ts, who : int64 arrays of shape (n,)
        When a row is known, and which symbol it is of; in any order.
    y : int64 array of shape (n,), or float64 array of shape (n,) or (n, steps)
        Class positions; or values, which are changes: no change is 0. Finite. Kept as (n, steps).
    outcome : float64 array of shape (n,), optional
        What classes were cut from, such as a return. Without it, classes have no information coefficient.
    probabilities : float64 array of shape (n, classes)
        In class order; rows add up to 1.
    predicted : int64 array of shape (n,)
        Class positions the model stands for: the most probable, or what it drew.
    values : float64 array of shape (n,) or (n, steps)
        Predicted changes. Kept as (n, steps).
    level : float64 array of shape (n,) or (n, steps), optional
        The level that came, where the target is one: what ``mape`` divides by.

    Raises
    ------
    DataError
        There are no rows, lengths or shapes differ, a number is not finite, a class is out of range, or probabilities
        do not add up to 1.

    Examples
    --------
    >>> ts = np.arange(3)
    >>> Evaluation(ts=ts, who=0 * ts, y=np.array([0.1, 0.0, -0.2]), values=np.zeros(3)).steps
    1
    """

    ts: Ints
    who: Ints
    y: NDArray[Any]
    outcome: Floats | None = None
    probabilities: Floats = field(default_factory=_no_floats)
    predicted: Ints = field(default_factory=_no_ints)
    values: Floats = field(default_factory=_no_floats)
    level: Floats | None = None

    def __post_init__(self) -> None:
        if not len(self.ts):
            raise DataError("no rows to score")
        if not self.probabilities.size and not self.values.size:
            raise DataError("nothing was predicted: give probabilities and predicted, or values")
        if self.task is Task.REGRESS:
            for name in ("y", "values", "level"):
                if (given := getattr(self, name)) is not None:
                    object.__setattr__(self, name, np.asarray(given, np.float64).reshape(len(given), -1))
        for name in self._filled():
            if len(given := getattr(self, name)) != len(self.ts):
                raise DataError(f"{name} has {len(given)} rows and ts {len(self.ts)}: give one each a row")
            if not np.isfinite(given).all():
                raise DataError(f"{name} holds a number that is not finite: leave such rows out")
        (self._check_values if self.task is Task.REGRESS else self._check_classes)()

    @property
    def task(self) -> Task:
        """Whether rows have classes or values."""
        return Task.CLASSIFY if self.probabilities.size else Task.REGRESS

    @property
    def classes(self) -> int:
        """Number of classes; 0 for values."""
        return int(self.probabilities.shape[1])

    @property
    def steps(self) -> int:
        """Values a row has; 1 for classes."""
        return 1 if self.classes else int(self.y.shape[1])

    def at(self, rows: NDArray[Any], *, ts: Ints | None = None) -> Evaluation:
        """The rows at these positions, or where this mask holds; under other timestamps, if given."""
        cut: dict[str, Any] = {name: getattr(self, name)[rows] for name in self._filled()}
        return replace(self, **(cut if ts is None else cut | {"ts": ts}))

    def step(self, k: int) -> Evaluation:
        """The rows with step ``k`` (from 0) alone."""
        if self.steps == 1:
            return self
        level = None if self.level is None else self.level[:, [k]]
        return replace(self, y=self.y[:, [k]], values=self.values[:, [k]], level=level)

    def _filled(self) -> list[str]:
        """Names of what is given; ``ts``, ``who`` and ``y`` always are."""
        given = [f.name for f in fields(self) if getattr(self, f.name) is not None]
        task = ("probabilities", "predicted") if self.task is Task.CLASSIFY else ("values",)
        return [name for name in given if name in ("ts", "who", "y", "outcome", "level", *task)]

    def _check_values(self) -> None:
        if self.values.shape != self.y.shape or (self.level is not None and self.level.shape != self.y.shape):
            level = "none" if self.level is None else self.level.shape
            raise DataError(f"values have shape {self.values.shape}, y {self.y.shape} and level {level}: give the same")

    def _check_classes(self) -> None:
        if self.probabilities.ndim != 2:
            raise DataError(f"probabilities have shape {self.probabilities.shape}: give (rows, classes)")
        if self.y.ndim != 1 or not np.issubdtype(self.y.dtype, np.integer):
            raise DataError(f"y has shape {self.y.shape} and type {self.y.dtype}: give one class position a row")
        for name in ("y", "predicted"):
            given = getattr(self, name)
            if given.min() < 0 or given.max() >= self.classes:
                raise DataError(f"{name} {given.min()} … {given.max()} lies outside the {self.classes} classes")
        off = float(np.abs(self.probabilities.sum(axis=1) - 1.0).max())
        if off > ROUNDING or self.probabilities.min() < 0.0:
            raise DataError(f"probabilities of a row are negative or add up to 1 ± {off:.3g}: normalise them")
