"""A linear support vector machine: each class against the others under the squared hinge loss, and probabilities.

Cortes and Vapnik, "Support-vector networks", Machine Learning 20 (1995); in the primal, Chapelle, "Training a support
vector machine in the primal", Neural Computation 19 (2007). Margins become probabilities by a softmax of one steepness
for all, found on rows the machine was not fitted on: Platt, "Probabilistic outputs for support vector machines" (1999),
without offsets, so that the most probable class is the one with the largest margin.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from bellwether.models.base import Floats, Ints

STEEPNESS = (1e-2, 1e2)
"""Between margins that say next to nothing and margins that say all."""


def margins(columns: Floats, y: Ints, weight: Floats, classes: int, strength: float) -> tuple[Floats, Floats]:
    """Coefficients (columns, classes) and intercepts (classes,) of the margins.

    Minimises ``|w|² / 2 + strength Σ weight max(0, 1 − s (x w + b))²`` for each class, ``s`` being 1 for its rows and
    −1 for the others. Convex; the intercept is free.

    Parameters
    ----------
    columns : float64 array of shape (n, columns)
    y : int64 array of shape (n,)
    weight : float64 array of shape (n,)
    classes : int
    strength : float

    Examples
    --------
    The margins reach 1 and −1 half way to both rows and beyond, and the boundary is in the middle:

    >>> coef, intercept = margins(np.array([[0.0], [2.0]]), np.array([0, 1]), np.ones(2), 2, 1e6)
    >>> (np.array([[0.0], [1.0], [2.0]]) @ coef + intercept).round(3)[:, 1].tolist()
    [-1.0, 0.0, 1.0]
    """
    n, width = columns.shape
    sides = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)

    def loss(flat: Floats) -> tuple[float, Floats]:
        coef, intercept = flat[:-classes].reshape(width, classes), flat[-classes:]
        short = np.maximum(0.0, 1.0 - sides * (columns @ coef + intercept))
        slope = -2.0 * strength * weight[:, None] * sides * short
        value = 0.5 * np.sum(coef**2) + strength * np.sum(weight @ short**2)
        return float(value) / n, np.concatenate([(coef + columns.T @ slope).ravel(), slope.sum(axis=0)]) / n

    found = minimize(loss, np.zeros((width + 1) * classes), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    return found.x[:-classes].reshape(width, classes), found.x[-classes:]


def steepness(found: Floats, y: Ints, weight: Floats) -> float:
    """What margins (n, classes) are to be multiplied with, so that their softmax makes the classes most likely.

    >>> sure = np.array([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    >>> round(steepness(sure, np.array([0, 0, 1, 1]), np.ones(4)), 2)  # right three times of four: half of log 3
    0.55
    """

    def loss(log: float) -> float:
        return float(-(weight @ log_softmax(np.exp(log) * found, axis=1)[np.arange(len(y)), y]))

    low, high = np.log(STEEPNESS)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))
