"""Maximum likelihood for ARMA(p, q)-GARCH(1,1), with an analytic gradient.

The search is over numbers without bounds; a transform keeps the variance positive and stationary and the ARMA part
stationary and invertible (partial autocorrelations in (-1, 1): Monahan, "A note on enforcing stationarity in
autoregressive-moving average models", Biometrika 71 (1984)). The gradient recursion is that of Fiorentini, Calzolari
and Panattoni, "Analytic derivatives and the computation of GARCH estimates", Journal of Applied Econometrics 11 (1996).

The likelihood is this project's own because the library ``arch`` has no MA terms; without them the two agree (tests).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import digamma, logit

from bellwether.econometrics.compiled import compiled
from bellwether.econometrics.garch import Floats, Garch, log_likelihood
from bellwether.errors import ConfigError, DataError, ModelError

VARIANCES = [(0.05, 0.9), (0.1, 0.8), (0.2, 0.7), (0.05, 0.5), (0.02, 0.97), (0.3, 0.3)]  # alpha and beta to start from
MEMORIES = [(0.1, 0.05), (-0.5, -0.5), (0.5, 0.5)]  # free AR and MA numbers; AR and MA may cancel: several maxima
FAR = 15.0  # the search stays where exp and the logistic function are not yet flat


@dataclass(frozen=True, kw_only=True)
class GarchFit:
    """A fitted model.

    Parameters
    ----------
    model : Garch
    log_likelihood : float
        At the maximum, in the units of the series.
    names : tuple of str
        Of the parameters, in the order of ``standard_errors``.
    standard_errors : float64 array of shape (k,)
        From the inverse Hessian. NaN where the likelihood is not curved, as at a bound.
    """

    model: Garch
    log_likelihood: float
    names: tuple[str, ...]
    standard_errors: Floats


def fit_garch(y: Floats, *, p: int = 0, q: int = 0, student: bool = False) -> GarchFit:
    """Fit by maximum likelihood from several starts.

    Parameters
    ----------
    y : float64 array of shape (n,)
        Values in time order, finite and not constant; at least ``30 + 2 * (p + q)`` of them.
    p, q : int
        AR and MA terms of the mean.
    student : bool
        Student-t innovations with fitted degrees of freedom, instead of normal ones.

    Raises
    ------
    ConfigError
        ``p`` or ``q`` is negative.
    DataError
        There are too few values, one is not finite, or all are the same.
    ModelError
        No search ended in a finite likelihood.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = fit_garch(rng.normal(scale=3.0, size=2000))
    >>> round(found.model.long_run_variance ** 0.5, 1), found.names
    (3.0, ('const', 'omega', 'alpha', 'beta'))
    """
    _check(y, p, q)
    scale = float(np.std(y))
    problem = _Problem(np.ascontiguousarray(y) / scale, p, q, student)
    searches = [minimize(problem, z, jac=True, method="BFGS", options={"gtol": 1e-7}) for z in problem.starts()]
    found = [search for search in searches if np.isfinite(search.fun)]
    if not found:
        raise ModelError(f"no GARCH likelihood of {len(y)} values is finite: look for values that are far too large")
    best = min(found, key=lambda search: float(search.fun))
    theta = natural(problem.inside(best.x), p, q)
    units = np.ones(len(theta))
    units[0], units[1 + p + q] = scale, scale**2
    model = _model(theta * units, p, q)
    return GarchFit(
        model=model,
        log_likelihood=log_likelihood(model, y),
        names=_names(p, q, student),
        standard_errors=units * problem.standard_errors(theta),
    )


def natural(z: NDArray[Any], p: int, q: int) -> NDArray[Any]:
    """Free numbers → (const, ar, ma, omega, alpha, beta[, nu]); holds for complex ``z`` too, so it can be derived."""
    ar, ma = _stationary(np.tanh(z[1 : 1 + p])), -_stationary(np.tanh(z[1 + p : 1 + p + q]))
    level, persistence, share = z[1 + p + q : 4 + p + q]
    both, part = 1.0 / (1.0 + np.exp(-persistence)), 1.0 / (1.0 + np.exp(-share))
    omega = np.exp(level) * (1.0 - both)
    return np.concatenate([z[:1], ar, ma, [omega, both * part, both * (1.0 - part)], 2.0 + np.exp(z[4 + p + q :])])


def _stationary(partial: NDArray[Any]) -> NDArray[Any]:
    """Partial autocorrelations in (-1, 1) → coefficients of a stationary autoregression (Durbin-Levinson)."""
    found = partial[:0]
    for value in partial:
        found = np.concatenate([found - value * found[::-1], [value]])
    return found


class _Problem:
    """The negative mean log-likelihood of a series with variance one, as a function of free numbers."""

    def __init__(self, y: Floats, p: int, q: int, student: bool) -> None:
        self.y, self.p, self.q, self.student = y, p, q, student

    def starts(self) -> list[Floats]:
        """For each memory of the mean, the two best of a grid of variances."""
        found = []
        for ar, ma in MEMORIES[: 3 if self.p and self.q else 1]:
            const = self.y.mean() * (1.0 - _stationary(np.tanh(np.full(self.p, ar))).sum())
            arma = np.concatenate([[const], np.full(self.p, ar), np.full(self.q, ma)])
            tail = [math.log(6.0)] if self.student else []
            grid = [np.concatenate([arma, [0.0, logit(a + b), logit(a / (a + b))], tail]) for a, b in VARIANCES]
            found += sorted(grid, key=lambda z: self(z)[0])[:2]
        return found

    def __call__(self, z: Floats) -> tuple[float, Floats]:
        inside = self.inside(z)
        value, slope = self.natural(natural(inside, self.p, self.q))
        pull = z - inside  # a wall: outside, the value grows with the distance squared
        return value + float(pull @ pull), self._jacobian(inside) @ slope * (pull == 0.0) + 2.0 * pull

    def inside(self, z: Floats) -> Floats:
        """The nearest point within the walls; the mean has none."""
        return np.concatenate([z[:1], np.clip(z[1:], -FAR, FAR)])

    def natural(self, theta: Floats) -> tuple[float, Floats]:
        """Negative mean log-likelihood and its gradient in the natural parameters."""
        p, q, n = self.p, self.q, len(self.y) - self.p
        ar, ma, (omega, alpha, beta) = theta[1 : 1 + p], theta[1 + p : 1 + p + q], theta[1 + p + q : 4 + p + q]
        nu = float(theta[-1]) if self.student else math.inf
        total, slope = _score(self.y, float(theta[0]), ar, ma, float(omega), float(alpha), float(beta), nu)
        if self.student:
            halves = digamma((nu + 1.0) / 2.0) - digamma(nu / 2.0) - 1.0 / (nu - 2.0)
            slope[-1] += 0.5 * n * halves
            total += n * (math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(math.pi * (nu - 2)))
        else:
            slope = slope[:-1]
        return -total / n, -slope / n

    def _jacobian(self, z: Floats) -> Floats:
        """Row i: what a step in free number i does to the natural parameters (complex step: exact)."""
        return np.array([natural(z + 1e-30j * axis, self.p, self.q).imag / 1e-30 for axis in np.eye(len(z))])

    def standard_errors(self, theta: Floats) -> Floats:
        """Square roots of the diagonal of the inverse Hessian; NaN where that is not positive."""
        step = 1e-5 * np.maximum(np.abs(theta), 1e-2)
        hessian = np.array([(self.natural(theta + d)[1] - self.natural(theta - d)[1]) for d in np.diag(step)])
        hessian = 0.5 * (hessian / (2.0 * step[:, None]) + (hessian / (2.0 * step[:, None])).T)
        if not np.isfinite(hessian).all() or np.linalg.matrix_rank(hessian) < len(theta):
            return np.full(len(theta), np.nan)
        variance = np.diag(np.linalg.inv(hessian)) / (len(self.y) - self.p)
        return np.sqrt(np.where(variance > 0.0, variance, np.nan))


@compiled
def _score(
    y: Floats, const: float, ar: Floats, ma: Floats, omega: float, alpha: float, beta: float, nu: float
) -> tuple[float, Floats]:
    """Log-likelihood and its slope (k + 1,), last by nu; for a Student-t without the terms in nu alone."""
    p, q = len(ar), len(ma)
    n, k = len(y) - p, 1 + p + q
    e, de = np.empty(n), np.zeros((n, k))
    before, dbefore = 0.0, np.zeros(k)
    for t in range(n):
        de[t, 0] = -1.0
        e[t] = y[t + p] - const
        for i in range(p):
            e[t] -= ar[i] * y[t + p - 1 - i]
            de[t, 1 + i] = -y[t + p - 1 - i]
        for j in range(min(q, t)):
            e[t] -= ma[j] * e[t - 1 - j]
            de[t, 1 + p + j] -= e[t - 1 - j]
            for m in range(k):
                de[t, m] -= ma[j] * de[t - 1 - j, m]
        before += e[t] * e[t] / n
        for m in range(k):
            dbefore[m] += 2.0 * e[t] * de[t, m] / n
    normal = math.isinf(nu)
    total, slope = (-0.5 * n * math.log(2.0 * math.pi) if normal else 0.0), np.zeros(k + 4)
    h, dh = before, np.zeros(k + 3)
    dh[:k] = dbefore
    squared = before
    for t in range(n):
        for m in range(k):
            dsquared = dbefore[m] if t == 0 else 2.0 * e[t - 1] * de[t - 1, m]
            dh[m] = alpha * dsquared + beta * dh[m]
        dh[k], dh[k + 1], dh[k + 2] = 1.0 + beta * dh[k], squared + beta * dh[k + 1], h + beta * dh[k + 2]
        h = omega + alpha * squared + beta * h
        squared = e[t] * e[t]
        u = squared / h
        if normal:
            weight = 1.0
            total -= 0.5 * (math.log(h) + u)
        else:
            weight = (nu + 1.0) / (nu - 2.0 + u)
            total -= 0.5 * math.log(h) + 0.5 * (nu + 1.0) * math.log1p(u / (nu - 2.0))
            slope[k + 3] += 0.5 * (weight * u / (nu - 2.0) - math.log1p(u / (nu - 2.0)))
        by_h = 0.5 * (weight * u - 1.0) / h
        for m in range(k + 3):
            slope[m] += by_h * dh[m]
        for m in range(k):
            slope[m] -= weight * e[t] * de[t, m] / h
    return total, slope


def _model(theta: Floats, p: int, q: int) -> Garch:
    omega, alpha, beta = (float(value) for value in theta[1 + p + q : 4 + p + q])
    nu = float(theta[-1]) if len(theta) > 4 + p + q else math.inf
    ar, ma = theta[1 : 1 + p].copy(), theta[1 + p : 1 + p + q].copy()
    return Garch(const=float(theta[0]), ar=ar, ma=ma, omega=omega, alpha=alpha, beta=beta, nu=nu)


def _names(p: int, q: int, student: bool) -> tuple[str, ...]:
    arma = [f"ar{i + 1}" for i in range(p)] + [f"ma{j + 1}" for j in range(q)]
    return ("const", *arma, "omega", "alpha", "beta", *(["nu"] if student else []))


def _check(y: Floats, p: int, q: int) -> None:
    if p < 0 or q < 0:
        raise ConfigError(f"p is {p} and q is {q}: neither may be negative")
    if y.ndim != 1 or len(y) < 30 + 2 * (p + q) or not np.isfinite(y).all():
        raise DataError(f"values have shape {y.shape}: give at least {30 + 2 * (p + q)} finite values (n,)")
    if np.ptp(y) == 0.0:
        raise DataError(f"all {len(y)} values are {y[0]}: a constant series has no variance to fit")
