"""Bayesian linear regression that learns online: the normal-inverse-gamma family is conjugate.

    y | x, w, s² ~ N(x'w, s²),    w | s² ~ N(mean, s² precision^-1),    s² ~ InverseGamma(shape, scale)

After rows (x, y) the posterior is of the same family, and the prediction for a new row is a Student-t.

Sources: Gelman and others, "Bayesian Data Analysis", chapter 14 (3rd edition, 2013); Murphy, "Machine Learning: a
Probabilistic Perspective", section 7.6.3 (2012). Forgetting towards the prior: Kulhavy and Zarrop, "On a general
concept of forgetting", International Journal of Control 58 (1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Regression:
    """What is known of the weights and the noise.

    Parameters
    ----------
    mean : float64 array of shape (d,)
    precision : float64 array of shape (d, d)
        Symmetric and positive definite; in units of the noise's variance, as X'X is.
    shape, scale : float
        Of the inverse gamma, positive: a guess of the noise's variance is ``scale / shape``, held with the strength of
        ``2 * shape`` rows.

    Raises
    ------
    ConfigError
        Shapes do not fit, ``shape`` or ``scale`` is not positive, or ``precision`` is not positive definite.
    """

    mean: Floats
    precision: Floats
    shape: float
    scale: float

    def __post_init__(self) -> None:
        d = len(self.mean)
        if self.precision.shape != (d, d) or not (self.shape > 0.0 and self.scale > 0.0):
            got = f"mean ({d},), precision {self.precision.shape}, shape {self.shape}, scale {self.scale}"
            raise ConfigError(f"{got}: precision must be (d, d), shape and scale positive")
        try:
            np.linalg.cholesky(self.precision)
        except np.linalg.LinAlgError as singular:
            raise ConfigError("precision is not positive definite: give each weight some prior precision") from singular


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Student-t of each row: location and scale (n,), and the degrees of freedom they share."""

    location: Floats
    scale: Floats
    dof: float

    def quantiles(self, levels: Floats) -> Floats:
        """Quantiles (n, levels)."""
        if not ((levels > 0.0) & (levels < 1.0)).all():
            raise ConfigError(f"levels are {levels}: they must lie between 0 and 1")
        out: Floats = self.location[:, None] + self.scale[:, None] * stdtrit(self.dof, levels)
        return out


def vague(columns: int, *, noise: float = 1.0, strength: float = 1e-3) -> Regression:
    """Weights around zero, worth ``strength`` rows in each direction; noise of this standard deviation, worth two rows.

    >>> vague(1, noise=2.0).scale
    4.0
    """
    if columns < 1 or not (noise > 0.0 and strength > 0.0):
        raise ConfigError(f"columns {columns}, noise {noise}, strength {strength}: all must be positive")
    return Regression(mean=np.zeros(columns), precision=strength * np.eye(columns), shape=1.0, scale=noise**2)


def learn(prior: Regression, x: Floats, y: Floats, *, weight: Floats | None = None) -> Regression:
    """Posterior after rows, all at once or one by one: the result is the same.

    Parameters
    ----------
    prior : Regression
    x : float64 array of shape (n, d)
        With a column of ones where there is an intercept.
    y : float64 array of shape (n,)
    weight : float64 array of shape (n,), optional
        For how many rows a row counts, not negative; one if left out.

    Raises
    ------
    DataError
        Shapes do not fit, a value is not finite, or a weight is negative.

    Examples
    --------
    >>> x, y = np.array([[1.0], [2.0]]), np.array([2.0, 4.0])
    >>> learn(vague(1), x, y).mean.round(3)
    array([2.])
    """
    if x.ndim != 2 or x.shape != (len(y), len(prior.mean)) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError(f"x {x.shape} and y {y.shape} must be finite, of shapes (n, {len(prior.mean)}) and (n,)")
    count = float(len(y))
    if weight is not None:
        if weight.shape != y.shape or not ((weight >= 0.0) & (weight < np.inf)).all():
            raise DataError(f"weight has shape {weight.shape}: give {y.shape} finite ones, none negative")
        root, count = np.sqrt(weight), float(weight.sum())
        x, y = x * root[:, None], y * root
    precision = prior.precision + x.T @ x
    step = np.linalg.solve(precision, x.T @ (y - x @ prior.mean))
    error = y - x @ (prior.mean + step)
    # the textbook's y'y + prior - posterior as a sum of squares: it keeps its digits where y is far from zero
    scale = prior.scale + 0.5 * float(error @ error + step @ prior.precision @ step)
    return Regression(mean=prior.mean + step, precision=precision, shape=prior.shape + 0.5 * count, scale=scale)


def forget(known: Regression, prior: Regression, *, keep: float) -> Regression:
    """Weaken what was learnt: its natural parameters move to those of the prior by ``1 - keep``.

    Called before each row, a row that is k rows old counts for ``keep ** k`` rows, and the prior always counts once.

    Raises
    ------
    ConfigError
        ``keep`` is not in (0, 1].

    Examples
    --------
    >>> known = learn(vague(1), np.ones((100, 1)), np.zeros(100))
    >>> forget(known, vague(1), keep=0.5).precision.round(3)
    array([[50.001]])
    """
    if not 0.0 < keep <= 1.0:
        raise ConfigError(f"keep is {keep}: it must lie above 0 and be at most 1")
    lose = 1.0 - keep
    precision = keep * known.precision + lose * prior.precision
    shape = keep * known.shape + lose * prior.shape
    apart = known.mean - prior.mean
    step = np.linalg.solve(precision, keep * (known.precision @ apart))
    # what is left of both normals' quadratic forms once the square is completed around the new mean
    left = lose * float(apart @ prior.precision @ step)
    scale = keep * known.scale + lose * prior.scale + 0.5 * left
    return Regression(mean=prior.mean + step, precision=precision, shape=shape, scale=scale)


def predict(known: Regression, x: Floats) -> Prediction:
    """Predictive Student-t for rows (n, d): 2 * shape degrees of freedom; noise and ignorance of the weights together.

    Raises
    ------
    DataError
        ``x`` has the wrong shape or is not finite.

    Examples
    --------
    >>> known = learn(vague(1), np.ones((100, 1)), np.full(100, 3.0))
    >>> predict(known, np.ones((1, 1))).quantiles(np.array([0.5])).round(2)
    array([[3.]])
    """
    if x.ndim != 2 or x.shape[1] != len(known.mean) or not np.isfinite(x).all():
        raise DataError(f"x has shape {x.shape}: give finite rows (n, {len(known.mean)})")
    spread = np.einsum("nd,dn->n", x, np.linalg.solve(known.precision, x.T))
    scale: Floats = np.sqrt(known.scale / known.shape * (1.0 + spread))
    return Prediction(location=x @ known.mean, scale=scale, dof=2.0 * known.shape)
