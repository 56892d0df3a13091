"""Bayesian last layers: the posterior of linear weights on given features, and what it predicts, in closed form.

Values: Gaussian noise and a Gaussian prior make the posterior exact. Classes: Laplace's approximation, a Gaussian at
the most probable weights whose precision is the curvature there. In both, the strength of the prior (and the noise) is
the one that makes the data most probable, so there is nothing to tune.

Sources: MacKay, "Bayesian interpolation" and "The evidence framework applied to classification networks", Neural
Computation 4 (1992); Kristiadi, Hein and Hennig, "Being Bayesian, even just a bit, fixes overconfidence in ReLU
networks", ICML 2020, for the last layer; Lu, Ie and Sha, "Mean-field approximation to Gaussian-softmax integral"
(arXiv:2006.07584), for more than two classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import log_softmax, ndtri
from sklearn.linear_model import BayesianRidge

from bellwether.models.base import LEVELS, Floats, Ints

PROBIT = np.pi / 8
"""A logistic function is close to a probit of this scale (MacKay 1992)."""

WEAKEST, STRONGEST = 1e-4, 1e6
"""Bounds of the prior's precision: with no signal at all the evidence drives it to infinity."""

ROUNDS = 20
STEEPEST = 50.0
"""Bound of a logit gap, beyond which a probability is 0 or 1 to the last digit that is served."""


@dataclass(frozen=True, kw_only=True)
class ValueHead:
    """Posterior of the weights of each step.

    Parameters
    ----------
    coef : float64 array of shape (d, steps)
    intercept : float64 array of shape (steps,)
    noise : float64 array of shape (steps,)
        Variance of a value about its mean.
    factor, offset : float64 arrays of shape (d, steps * d) and (steps * d,)
        ``features @ factor + offset`` has, squared and summed over the ``d`` of a step, the variance of its mean.
    """

    coef: Floats
    intercept: Floats
    noise: Floats
    factor: Floats
    offset: Floats

    def mean(self, features: Floats) -> Floats:
        """Means (n, steps)."""
        return np.asarray(features @ self.coef + self.intercept, np.float64)

    def deviation(self, features: Floats) -> Floats:
        """Standard deviation (n, steps) of a value: noise and doubt about the weights."""
        doubt = _summed((features @ self.factor + self.offset) ** 2, len(self.noise))
        return np.asarray(np.sqrt(self.noise + doubt), np.float64)

    def quantiles(self, features: Floats) -> Floats:
        """Quantiles (n, steps, levels) at `bellwether.models.base.LEVELS`."""
        found: Floats = self.mean(features)[..., None] + self.deviation(features)[..., None] * ndtri(LEVELS)
        return found


@dataclass(frozen=True, kw_only=True)
class ClassHead:
    """Posterior of the differences between the classes' logits.

    Parameters
    ----------
    classes : int
    gap : float64 array of shape (d + 1, pairs)
        Weights of the difference of each pair of classes; the last row is the intercept.
    factor : float64 array of shape (d + 1, pairs * (d + 1))
        As in `ValueHead`, of each pair.
    """

    classes: int
    gap: Floats
    factor: Floats

    @property
    def signs(self) -> Floats:
        """(pairs, classes²): puts the gap of a pair at (first, second), and its negative at (second, first)."""
        k = self.classes
        found = np.zeros((self.gap.shape[1], k, k))
        for row, (c, d) in enumerate(combinations(range(k), 2)):
            found[row, c, d], found[row, d, c] = 1.0, -1.0
        return found.reshape(-1, k * k)

    def probabilities(self, features: Floats) -> Floats:
        """Probabilities (n, classes), averaged over the posterior.

        Of two classes, the logistic function of the gap's mean over √(1 + π/8 · its variance). Of more,
        p_c ∝ 1 / Σ_d exp(−gap_cd / √(1 + π/8 · var_cd)), which for a posterior without doubt is the softmax.
        """
        rows = np.column_stack([features, np.ones(len(features))])
        variance = _summed((rows @ self.factor) ** 2, self.gap.shape[1])
        gaps = np.clip(rows @ self.gap / np.sqrt(1 + PROBIT * variance), -STEEPEST, STEEPEST)
        odds = 1 / np.exp(-(gaps @ self.signs)).reshape(-1, self.classes, self.classes).sum(axis=2)
        found: Floats = odds / odds.sum(axis=1, keepdims=True)
        return found


def value_head(features: Floats, y: Floats, weight: Floats) -> ValueHead:
    """Bayesian linear regression of each column of ``y`` (n, steps) on features (n, d), rows weighted.

    >>> x = np.arange(6.0)[:, None]
    >>> head = value_head(x, 2 * x + 1, np.ones(6))
    >>> head.mean(np.array([[10.0]])).round(3).tolist()
    [[21.0]]
    """
    fits = [BayesianRidge().fit(features, column, sample_weight=weight) for column in y.T]
    factors = [_factor(found.sigma_) for found in fits]
    return ValueHead(
        coef=np.column_stack([found.coef_ for found in fits]),
        intercept=np.array([found.intercept_ for found in fits]),
        noise=np.array([1 / found.alpha_ for found in fits]),
        factor=np.hstack(factors),
        offset=np.concatenate([-found.X_offset_ @ factor for found, factor in zip(fits, factors, strict=True)]),
    )


def class_head(features: Floats, y: Ints, weight: Floats) -> ClassHead:
    """Bayesian multinomial logistic regression of ``y`` (n,), positions 0 … k−1, on features (n, d), rows weighted.

    >>> x = np.repeat([[-1.0], [1.0]], 20, axis=0)
    >>> head = class_head(x, np.repeat([0, 1], 20), np.ones(40))
    >>> head.probabilities(np.array([[-1.0], [0.0]])).round(2).tolist()
    [[0.94, 0.06], [0.5, 0.5]]
    """
    rows, k = np.column_stack([features, np.ones(len(features))]), int(y.max()) + 1
    mode, precision = most_probable(rows, np.eye(k)[y], weight)
    covariance = np.linalg.inv(precision).reshape(k, len(mode), k, len(mode))
    pairs = list(combinations(range(k), 2))
    spread = [covariance[c, :, c] + covariance[d, :, d] - covariance[c, :, d] - covariance[d, :, c] for c, d in pairs]
    return ClassHead(
        classes=k,
        gap=np.column_stack([mode[:, c] - mode[:, d] for c, d in pairs]),
        factor=np.hstack([_factor(found) for found in spread]),
    )


def most_probable(rows: Floats, hits: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """The most probable weights (d, classes) under the best prior, and the precision (classes * d)² there.

    Newton's steps, halved until they help, in turns with MacKay's update of the prior's precision: the number of
    weights that the data determine over their sum of squares.

    Parameters
    ----------
    rows : float64 array of shape (n, d)
    hits : float64 array of shape (n, classes)
        One in the column of the row's class.
    weight : float64 array of shape (n,)
    """
    d, k = rows.shape[1], hits.shape[1]
    weights, prior = np.zeros((d, k)), 1.0
    for _ in range(ROUNDS):
        scores = log_softmax(rows @ weights, axis=1)
        slope = rows.T @ (weight[:, None] * (np.exp(scores) - hits)) + prior * weights
        precision = curvature(rows, np.exp(scores), weight) + prior * np.eye(d * k)
        step = np.linalg.solve(precision, slope.T.ravel()).reshape(k, d).T
        weights = _downhill(rows, hits, weight, prior, weights, step)
        determined = d * k - prior * np.trace(np.linalg.inv(precision))
        new = float(np.clip(determined / max(np.sum(weights**2), 1e-12), WEAKEST, STRONGEST))
        if abs(np.log(new / prior)) < 1e-3 and np.abs(step).max() < 1e-4:
            break
        prior = new
    shares = np.exp(log_softmax(rows @ weights, axis=1))
    return weights, curvature(rows, shares, weight) + prior * np.eye(d * k)


def curvature(rows: Floats, shares: Floats, weight: Floats) -> Floats:
    """Second derivatives (classes * d)² of the log loss by the weights, class by class: positive semi-definite."""
    d, k = rows.shape[1], shares.shape[1]
    found = np.empty((k, d, k, d))
    for a in range(k):
        for b in range(a, k):
            each = weight * shares[:, a] * ((a == b) - shares[:, b])
            found[a, :, b] = found[b, :, a] = rows.T @ (each[:, None] * rows)
    return found.reshape(k * d, k * d)


def _downhill(rows: Floats, hits: Floats, weight: Floats, prior: float, start: Floats, step: Floats) -> Floats:
    """``start`` less the step, halved while the penalised loss would rise."""

    def loss(weights: Floats) -> float:
        scores = log_softmax(rows @ weights, axis=1)
        return float(0.5 * prior * np.sum(weights**2) - weight @ np.sum(hits * scores, axis=1))

    before = loss(start)
    for _ in range(30):
        if loss(start - step) <= before:
            return start - step
        step = step / 2
    return start


def _factor(covariance: Floats) -> Floats:
    """``F`` with ``F F' = covariance``; rounding below zero is cut off."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    found: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
    return found


def _summed(squares: Floats, groups: int) -> Floats:
    """Squares (n, groups * d) → their sums (n, groups)."""
    return np.asarray(squares.reshape(len(squares), groups, squares.shape[1] // groups).sum(axis=2), np.float64)
