"""Naive Bayes that knows how little it has seen: Student-t for each feature of each class, learnt online.

In each class each feature is normal with unknown mean and variance (normal-inverse-gamma prior); class frequencies
have a Dirichlet prior. Integrating all of them out leaves a product of Student-t densities and a smoothed count. An
optional forgetting factor lets what was seen fade, so that the answer returns to the prior where nothing new comes in.

Sources: Murphy, "Conjugate Bayesian analysis of the Gaussian distribution" (2007), section 5; Murphy, "Machine
Learning: a Probabilistic Perspective" (2012), sections 3.4 and 3.5; running moments: Welford, Technometrics 4 (1962).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.econometrics.compiled import compiled
from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClassPrior:
    """What is believed before the first row, alike for every class.

    Parameters
    ----------
    counts : float64 array of shape (classes,)
        Dirichlet: rows of each class imagined, positive.
    mean, variance : float64 arrays of shape (features,)
        Guesses of a feature's mean and variance within a class; variances positive.
    mean_rows, variance_rows : float
        How many rows each guess is worth, positive.

    Raises
    ------
    ConfigError
        Shapes differ or a number is out of bounds.
    """

    counts: Floats
    mean: Floats
    variance: Floats
    mean_rows: float = 1.0
    variance_rows: float = 2.0

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.variance.shape or self.counts.ndim != 1:
            raise ConfigError(f"mean {self.mean.shape} and variance {self.variance.shape} must have one shape (f,)")
        positive = [self.counts, self.variance, np.array([self.mean_rows, self.variance_rows])]
        if not all(((a > 0.0) & (a < np.inf)).all() for a in positive) or not np.isfinite(self.mean).all():
            raise ConfigError("counts, variance, mean_rows and variance_rows must be positive and finite, mean finite")


@dataclass(frozen=True, kw_only=True)
class ClassMoments:
    """What was seen, faded: rows (classes,); their mean and sum of squared deviations (classes, features)."""

    rows: Floats
    mean: Floats
    squares: Floats


@dataclass(frozen=True, kw_only=True)
class ClassPredictive:
    """Student-t of each feature in each class, ready to be evaluated.

    Parameters
    ----------
    location, scale : float64 arrays of shape (classes, features)
    dof : float64 array of shape (classes,)
    log_prior : float64 array of shape (classes,)
        Log chance of the class, with the constants of all its densities added.
    """

    location: Floats
    scale: Floats
    dof: Floats
    log_prior: Floats


def nothing_seen(prior: ClassPrior) -> ClassMoments:
    """Moments before the first row.

    >>> nothing_seen(ClassPrior(counts=np.ones(2), mean=np.zeros(1), variance=np.ones(1))).rows
    array([0., 0.])
    """
    shape = (len(prior.counts), len(prior.mean))
    return ClassMoments(rows=np.zeros(shape[0]), mean=np.zeros(shape), squares=np.zeros(shape))


def see(moments: ClassMoments, x: Floats, y: Ints, *, keep: float = 1.0, weight: Floats | None = None) -> ClassMoments:
    """Moments after more rows, in their order; in one call or several, the result is the same.

    Parameters
    ----------
    moments : ClassMoments
        Left as they are.
    x : float64 array of shape (n, features)
    y : int64 array of shape (n,)
        Classes, 0 … classes - 1.
    keep : float
        In (0, 1]: a row that is k rows old, of whatever class, counts for ``keep ** k``. 1 forgets nothing.
    weight : float64 array of shape (n,), optional
        For how many rows a row counts, not negative; one if left out.

    Raises
    ------
    ConfigError
        ``keep`` is out of bounds.
    DataError
        Shapes do not fit, a value is not finite, a class is unknown or a weight negative.

    Examples
    --------
    >>> prior = ClassPrior(counts=np.ones(2), mean=np.zeros(1), variance=np.ones(1))
    >>> see(nothing_seen(prior), np.array([[1.0], [3.0]]), np.array([0, 0]), keep=0.5).rows
    array([1.5, 0. ])
    """
    if not 0.0 < keep <= 1.0:
        raise ConfigError(f"keep is {keep}: it must lie above 0 and be at most 1")
    classes, features = moments.mean.shape
    if x.ndim != 2 or x.shape != (len(y), features) or not np.isfinite(x).all():
        raise DataError(f"x {x.shape} and y {y.shape} must be of shapes (n, {features}) and (n,), x finite")
    if len(y) and (y.min() < 0 or y.max() >= classes):
        raise DataError(f"classes must be in 0 … {classes - 1}; got {y.min()} … {y.max()}")
    weight = np.ones(len(y)) if weight is None else weight
    if weight.shape != y.shape or not ((weight >= 0.0) & (weight < np.inf)).all():
        raise DataError(f"weight has shape {weight.shape}: give {y.shape} finite ones, none negative")
    rows, mean, squares = moments.rows.copy(), moments.mean.copy(), moments.squares.copy()
    _see(x, y, weight, keep, rows, mean, squares)
    return ClassMoments(rows=rows, mean=mean, squares=squares)


def predictive(prior: ClassPrior, moments: ClassMoments) -> ClassPredictive:
    """Posterior predictive of a row and its class (Murphy 2007, section 5).

    >>> prior = ClassPrior(counts=np.ones(2), mean=np.zeros(1), variance=np.ones(1))
    >>> predictive(prior, nothing_seen(prior)).scale.round(4)
    array([[1.4142],
           [1.4142]])
    """
    n = moments.rows[:, None]
    strength = prior.mean_rows + n
    location = (prior.mean_rows * prior.mean + n * moments.mean) / strength
    apart = prior.mean_rows * n / strength * (moments.mean - prior.mean) ** 2
    dof = prior.variance_rows + moments.rows
    squares = prior.variance_rows * prior.variance + moments.squares + apart
    scale = np.sqrt(squares / dof[:, None] * (1.0 + 1.0 / strength))
    chance = (prior.counts + moments.rows) / (prior.counts + moments.rows).sum()
    constant = np.array([math.lgamma((d + 1) / 2) - math.lgamma(d / 2) - 0.5 * math.log(d * math.pi) for d in dof])
    log_prior = np.log(chance) + scale.shape[1] * constant - np.log(scale).sum(axis=1)
    return ClassPredictive(location=location, scale=scale, dof=dof, log_prior=log_prior)


def class_chances(known: ClassPredictive, x: Floats) -> Floats:
    """Class probabilities of rows: (n, features) → (n, classes).

    Raises
    ------
    DataError
        ``x`` has the wrong shape or is not finite.

    Examples
    --------
    >>> prior = ClassPrior(counts=np.ones(2), mean=np.zeros(1), variance=np.ones(1))
    >>> seen = see(nothing_seen(prior), np.array([[-2.0], [2.0]] * 50), np.array([0, 1] * 50))
    >>> class_chances(predictive(prior, seen), np.array([[-2.0], [0.0]])).round(3)
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    if x.ndim != 2 or x.shape[1] != known.location.shape[1] or not np.isfinite(x).all():
        raise DataError(f"x has shape {x.shape}: give finite rows (n, {known.location.shape[1]})")
    return _chances(x, known.location, known.scale, known.dof, known.log_prior)


@compiled
def _see(x: Floats, y: Ints, weight: Floats, keep: float, rows: Floats, mean: Floats, squares: Floats) -> None:
    for row in range(len(x)):
        c = y[row]
        if keep < 1.0:
            rows *= keep
            squares *= keep
        if weight[row] == 0.0:
            continue
        rows[c] += weight[row]
        for f in range(x.shape[1]):
            apart = x[row, f] - mean[c, f]
            mean[c, f] += weight[row] * apart / rows[c]
            squares[c, f] += weight[row] * apart * (x[row, f] - mean[c, f])


@compiled
def _chances(x: Floats, location: Floats, scale: Floats, dof: Floats, log_prior: Floats) -> Floats:
    out = np.empty((len(x), len(dof)))
    for row in range(len(x)):
        for c in range(len(dof)):
            total = 0.0
            for f in range(x.shape[1]):
                z = (x[row, f] - location[c, f]) / scale[c, f]
                total += np.log1p(z * z / dof[c])
            out[row, c] = log_prior[c] - 0.5 * (dof[c] + 1.0) * total
        out[row] = np.exp(out[row] - out[row].max())
        out[row] /= out[row].sum()
    return out
