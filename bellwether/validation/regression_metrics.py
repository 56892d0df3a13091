"""Scores of predicted values. The value is a change, so that persistence, "no change", predicts 0.

Sources: Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal of Forecasting 22
(2006); Murphy, "Skill scores based on the mean square error", Monthly Weather Review 116 (1988).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import DataError
from bellwether.validation.bootstrap import Sums, sums_by_time

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TINY = 1e-12
"""Squared change in a resample, where the largest change is 1, that counts as none: rounding leaves as much."""


def mse(y: Floats, predicted: Floats) -> float:
    """Mean squared error of values (n,).

    >>> mse(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    2.0
    """
    return float(np.mean(_errors(y, predicted) ** 2))


def rmse(y: Floats, predicted: Floats) -> float:
    """Root of the mean squared error, in the units of ``y``.

    >>> rmse(np.array([1.0, 3.0]), np.array([1.0, -1.0]))
    2.8284271247461903
    """
    return float(np.sqrt(mse(y, predicted)))


def mae(y: Floats, predicted: Floats) -> float:
    """Mean absolute error, in the units of ``y``.

    >>> mae(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    1.0
    """
    return float(np.mean(np.abs(_errors(y, predicted))))


def mape(y: Floats, predicted: Floats, level: Floats | None) -> float:
    """Mean absolute error as a share of the outcome itself (0.01 is one percent).

    Parameters
    ----------
    y, predicted : float64 arrays of shape (n,)
        Changes, true and predicted: their difference is the error of the level, too.
    level : float64 array of shape (n,), optional
        The level that came. NaN without it, and where one is 0.

    Examples
    --------
    >>> mape(np.array([1.0, -1.0]), np.array([0.0, 0.0]), level=np.array([100.0, 50.0]))
    0.015
    """
    shares = percentage_errors(y, predicted, level)
    return float("nan") if shares is None else float(np.mean(shares))


def percentage_errors(y: Floats, predicted: Floats, level: Floats | None) -> Floats | None:
    """Absolute errors as a share of the level, one a row (n,); None where `mape` is not defined."""
    errors = _errors(y, predicted)
    return None if level is None or not np.all(level) else np.asarray(np.abs(errors / level), np.float64)


def r2(y: Floats, predicted: Floats) -> float:
    """Share of the variance of ``y`` that is explained; NaN where ``y`` is constant.

    The reference is the mean of ``y`` on these very rows, which no forecast knows: `skill` is the fairer figure.

    >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 2.0]))
    0.5
    """
    errors = _errors(y, predicted)
    if not np.ptp(y):
        return float("nan")
    return float(1.0 - np.sum(errors**2) / np.sum((y - y.mean()) ** 2))


def skill(y: Floats, predicted: Floats) -> float:
    """1 - MSE / MSE of persistence: 0 is as good as "no change", 1 is perfect, below 0 is worse.

    NaN where nothing ever changes.

    >>> skill(np.array([2.0, -2.0]), np.array([1.0, -1.0]))
    0.75
    """
    errors = _errors(y, predicted)
    return float(1.0 - np.sum(errors**2) / np.sum(y**2)) if y.any() else float("nan")


def mean_sums(ts: Ints, losses: Floats) -> Sums:
    """Mean of losses (n,) as a function of sums over timestamps."""
    return Sums(each=sums_by_time(ts, np.column_stack([losses, np.ones(len(losses))])), figure=mean_of)


def mean_of(sums: Floats) -> Floats:
    """Sum over count of (m, 2) sums."""
    return np.asarray(sums[:, 0] / sums[:, 1], np.float64)


def rmse_sums(ts: Ints, y: Floats, predicted: Floats) -> Sums:
    """`rmse` as a function of sums over timestamps."""
    return Sums(each=mean_sums(ts, _errors(y, predicted) ** 2).each, figure=lambda sums: np.sqrt(mean_of(sums)))


def r2_sums(ts: Ints, y: Floats, predicted: Floats) -> Sums:
    """`r2` as a function of sums over timestamps; each resample has a mean of its own."""
    centred = y - y.mean()
    scale = _scale(centred)
    e, d = _errors(y, predicted) / scale, centred / scale  # of size one: squares neither cancel nor vanish
    return Sums(each=sums_by_time(ts, np.column_stack([np.ones_like(e), e * e, d, d * d])), figure=_explained)


def skill_sums(ts: Ints, y: Floats, predicted: Floats) -> Sums:
    """`skill` as a function of sums over timestamps."""
    error, scale = _errors(y, predicted), _scale(y)
    return Sums(each=sums_by_time(ts, (np.column_stack([error, y]) / scale) ** 2), figure=_skill)


def _skill(sums: Floats) -> Floats:
    ours, persistence = sums.T
    return np.asarray(1.0 - ours / np.where(persistence > TINY, persistence, np.nan), np.float64)


def _explained(sums: Floats) -> Floats:
    n, ee, d, dd = sums.T
    total = dd - d * d / n
    return np.asarray(1.0 - ee / np.where(total > TINY, total, np.nan), np.float64)


def _scale(y: Floats) -> float:
    """Largest value, or 1: squares of very small changes would be 0."""
    return float(np.abs(y).max()) or 1.0


def _errors(y: Floats, predicted: Floats) -> Floats:
    if y.shape != predicted.shape or not len(y):
        raise DataError(f"values have shape {y.shape} and predictions {predicted.shape}: give as many, at least one")
    return np.asarray(predicted - y, np.float64)
