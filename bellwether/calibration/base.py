"""What a calibrator is: a map from class probabilities to better ones, fitted on predictions and what came of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bellwether.calibration.steps import Steps
from bellwether.errors import DataError, ModelError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

NAME = "calibrator"
"""Key of a state that holds the calibrator's name."""

FLOOR = 1e-4
"""A probability of a class that occurs counts as no less, before and after. A served probability is a float32, and
many graphs compute one as 1 - p: below this the logarithm of such a difference would be that of a rounding error."""

SUMS_TO_ONE = 1e-3
"""How far a row's sum may lie from one."""


class FittedCalibrator(Protocol):
    """A map of probabilities, the same natively and as a graph. A column that was zero in every row of the fit, which
    is a class the model never saw, stays zero; every other class keeps some probability."""

    def apply(self, p: NDArray[np.floating]) -> Floats:
        """Probabilities (n, classes) → calibrated ones (n, classes); finite, rows sum to one.

        Raises
        ------
        ModelError
            There are more or fewer classes than it was fitted on.
        """
        ...

    def nodes(self, steps: Steps, p: str) -> str:
        """Append the same map to a graph: the name of a float32 tensor (n, classes) → that of the calibrated one."""
        ...

    def state(self) -> dict[str, Any]:
        """Its name and parameters, as JSON can say them; `bellwether.calibration.restored` reads them."""
        ...


@dataclass(frozen=True, kw_only=True)
class Calibrator:
    """A kind of map.

    Parameters
    ----------
    name : str
        Key in the table.
    fit : callable
        ``fit(p, y, weight=None)``: probabilities (n, classes), finite, rows that sum to one; class positions (n,);
        weights (n,), at least 0. Give it predictions of rows that the model was not fitted on: on its training rows a
        model is surer than it is anywhere else. The same arguments give the same map. `DataError` for anything else.
    restore : callable
        Makes the fitted calibrator from its state.
    """

    name: str
    fit: Callable[..., FittedCalibrator]
    restore: Callable[[Mapping[str, Any]], FittedCalibrator]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a calibrator is fitted on, checked.

    Parameters
    ----------
    p : float64 array of shape (n, classes)
    y : int64 array of shape (n,)
    weight : float64 array of shape (n,)
        The mean is one.
    present : bool array of shape (classes,)
        Columns that are not zero in every row.
    """

    p: Floats
    y: Ints
    weight: Floats
    present: Flags


def sample(p: NDArray[np.floating], y: Ints, weight: Floats | None = None) -> Sample:
    """Check what a fit is given.

    Raises
    ------
    DataError
        There is no row, lengths differ, a probability is not finite or a row does not sum to one, a class is out of
        range, or a weight is negative or all are zero.

    >>> sample(np.array([[0.5, 0.4]]), np.array([0]))
    Traceback (most recent call last):
    ...
    bellwether.errors.DataError: row 0 of the probabilities sums to 0.9: give rows of finite probabilities that sum to 1
    """
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    if p.ndim != 2 or not len(p) or not len(p) == len(y) == len(weight):
        raise DataError(
            f"probabilities have shape {p.shape} for {len(y)} classes and {len(weight)} weights: "
            "give (n, classes) with one class and one weight a row, and at least one row"
        )
    total = np.asarray(p.sum(axis=1), np.float64)
    if (wrong := np.flatnonzero(~(np.abs(total - 1.0) < SUMS_TO_ONE) | (p < 0.0).any(axis=1))).size:
        raise DataError(
            f"row {wrong[0]} of the probabilities sums to {total[wrong[0]]:g}: "
            "give rows of finite probabilities that sum to 1"
        )
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise DataError(f"class positions must be in 0 … {p.shape[1] - 1}; got {y.min()} … {y.max()}")
    if not (np.isfinite(weight) & (weight >= 0.0)).all() or not weight.any():
        raise DataError("weights must be finite and at least 0, and one of them above it")
    present = np.asarray(np.any(p > 0.0, axis=0), np.bool_)
    return Sample(p=p.astype(np.float64), y=y, weight=weight / weight.mean(), present=present)


def table_of(p: NDArray[np.floating], classes: int) -> Floats:
    """The probabilities (n, classes) as float64; `ModelError` if they are of another number of classes."""
    if p.ndim != 2 or p.shape[1] != classes:
        raise ModelError(f"probabilities have shape {p.shape} and the calibrator is of {classes} classes: they differ")
    return np.asarray(p, np.float64)


def shares(values: Floats, present: Flags) -> Floats:
    """Positive values (n, classes) of each class against the rest → probabilities: zero for absent classes, sum one."""
    kept = values * present
    return np.asarray(kept / kept.sum(axis=1, keepdims=True), np.float64)
