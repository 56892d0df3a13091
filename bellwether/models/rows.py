"""Training rows as the families take them: float32, finite, with the classes that occur or values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import BadFeatures, ModelError
from bellwether.models.training import Floats, Ints, Training

Singles = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes of a target and which of them occur in the training rows.

    A library is only shown the classes that occur, numbered 0 … k−1; `widen` puts its k columns back in place.

    Parameters
    ----------
    total : int
        Number of classes of the target.
    present : int64 array of shape (k,)
        Positions of those that occur, ascending.

    Examples
    --------
    >>> classes = Classes(total=3, present=np.array([0, 2]))
    >>> classes.widen(np.array([[0.25, 0.75]]))
    array([[0.25, 0.  , 0.75]])
    """

    total: int
    present: Ints

    def widen(self, probabilities: NDArray[np.floating]) -> Floats:
        """Probabilities of the present classes (n, k) → of all classes (n, total): zero for the others."""
        out = np.zeros((len(probabilities), self.total))
        out[:, self.present] = probabilities
        return out


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Training rows.

    Parameters
    ----------
    x : float32 array of shape (n, features)
        Rounded to what the served graph takes: split points then separate the values that serving sees.
    y : int64 array of shape (n,)
        Positions in ``classes.present``.
    weight : float64 array of shape (n,)
        How much a row counts; the mean is one.
    classes : Classes
    """

    x: Singles
    y: Ints
    weight: Floats
    classes: Classes

    @property
    def balanced(self) -> Floats:
        """Sample weights (n,) that give every present class the same total; their mean is one."""
        totals = np.bincount(self.y, self.weight)
        weights: Floats = self.weight * (self.weight.sum() / (len(totals) * totals))[self.y]
        return weights


@dataclass(frozen=True, kw_only=True)
class Values:
    """Training rows of a regression.

    Parameters
    ----------
    x : float32 array of shape (n, columns)
    y : float64 array of shape (n, steps)
    weight : float64 array of shape (n,)
        How much a row counts; the mean is one.
    """

    x: Singles
    y: Floats
    weight: Floats


def training_rows(training: Training) -> Rows:
    """Check and convert what a classifier's ``fit`` is given.

    Raises
    ------
    BadFeatures
        ``x`` is not a table, or a value is not finite as float32; the message has the row and column.
    ModelError
        There are no rows, ``x`` and ``y`` differ in length, or a class position is out of range.
    """
    x, y, total = training.x, training.y, training.classes
    if len(x) != len(y) or len(y) == 0:
        raise ModelError(f"fit needs one class for each row, and at least one row; got {len(x)} rows, {len(y)} classes")
    if y.min() < 0 or y.max() >= total:
        raise ModelError(f"class positions must be in 0 … {total - 1}; got {y.min()} … {y.max()}")
    present, compact = np.unique(y, return_inverse=True)
    return Rows(
        x=singles(x),
        y=compact.astype(np.int64),
        weight=training.weight,
        classes=Classes(total=total, present=present.astype(np.int64)),
    )


def value_rows(training: Training) -> Values:
    """Check and convert what a regression's ``fit`` is given.

    Raises
    ------
    BadFeatures
        As `training_rows`.
    ModelError
        There are no rows, ``x`` and ``y`` differ in length, or a value is not finite.
    """
    x, y = training.x, training.y
    if len(x) != len(y) or len(y) == 0:
        raise ModelError(f"fit needs one value for each row, and at least one row; got {len(x)} rows, {len(y)} values")
    if not np.isfinite(y).all():
        raise ModelError(f"values to fit to must be finite: row {np.argwhere(~np.isfinite(y))[0][0]} is not")
    return Values(x=singles(x), y=y, weight=training.weight)


def singles(x: NDArray[np.floating], names: tuple[str, ...] = ()) -> Singles:
    """Features (n, f) as the float32 rows every model takes.

    Parameters
    ----------
    names : tuple of str, optional
        Names of the columns, for the error.

    Raises
    ------
    BadFeatures
        The array does not have these columns, or a value is NaN, infinite or beyond float32.

    >>> singles(np.array([[1.0, np.nan]]), ("rsi", "atr"))
    Traceback (most recent call last):
    ...
    bellwether.errors.BadFeatures: feature atr of row 0 is nan: features must be finite float32 values
    """
    if x.ndim != 2 or (names and x.shape[1] != len(names)):
        want = f"(n, {len(names)}): {', '.join(names)}" if names else "(n, features)"
        raise BadFeatures(f"features must have shape {want}; got {x.shape}")
    with np.errstate(over="ignore"):  # reported below, by name
        rounded = np.ascontiguousarray(x, dtype=np.float32)
    if not np.isfinite(rounded).all():
        row, column = np.argwhere(~np.isfinite(rounded))[0]
        name = names[column] if names else str(column)
        raise BadFeatures(f"feature {name} of row {row} is {x[row, column]}: features must be finite float32 values")
    return rounded
