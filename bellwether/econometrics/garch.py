"""ARMA(p, q) with GARCH(1,1) innovations: the recursion, its likelihood, and forecasts from a window of past values.

    y_t = const + Σ ar_i y_{t-i} + e_t + Σ ma_j e_{t-j},    e_t = sqrt(h_t) z_t
    h_t = omega + alpha e²_{t-1} + beta h_{t-1}

with z standard normal, or Student-t with ``nu`` degrees of freedom scaled to variance one. The first p values are
conditioned on, errors before them are zero.

Sources: Bollerslev, "Generalized autoregressive conditional heteroskedasticity", Journal of Econometrics 31 (1986);
Student-t: Bollerslev, Review of Economics and Statistics 69 (1987); several steps: Baillie and Bollerslev,
"Prediction in dynamic models with time-dependent conditional variances", Journal of Econometrics 52 (1992).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from bellwether.econometrics.compiled import compiled
from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]

NONE = np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class Garch:
    """Parameters of an ARMA-GARCH(1,1), in the units of the series (variances in its square).

    Parameters
    ----------
    const : float
        Intercept; the mean of the series where there are no AR terms.
    ar, ma : float64 arrays of shape (p,) and (q,)
    omega, alpha, beta : float
        ``omega > 0``, ``alpha >= 0``, ``beta >= 0`` and ``alpha + beta < 1``.
    nu : float
        Degrees of freedom, above 2; infinity is the normal.

    Raises
    ------
    ConfigError
        The variance could be negative or is not stationary, or ``nu`` leaves it infinite.

    Examples
    --------
    >>> Garch(omega=0.2, alpha=0.25, beta=0.5).long_run_variance
    0.8
    """

    const: float = 0.0
    ar: Floats = field(default_factory=NONE.copy)
    ma: Floats = field(default_factory=NONE.copy)
    omega: float
    alpha: float
    beta: float
    nu: float = math.inf

    def __post_init__(self) -> None:
        if not (self.omega > 0.0 and self.alpha >= 0.0 and self.beta >= 0.0 and self.alpha + self.beta < 1.0):
            got = f"omega {self.omega}, alpha {self.alpha}, beta {self.beta}"
            raise ConfigError(f"{got}: omega must be positive, alpha and beta at least 0 and alpha + beta below 1")
        if not self.nu > 2.0:
            raise ConfigError(f"nu is {self.nu}: the variance is finite above 2 degrees of freedom only")

    @property
    def long_run_variance(self) -> float:
        """Variance of an innovation, knowing nothing of the past."""
        return self.omega / (1.0 - self.alpha - self.beta)


@dataclass(frozen=True, kw_only=True)
class GarchForecast:
    """What comes after each window; column k is k + 1 steps ahead.

    Parameters
    ----------
    mean, variance : float64 arrays of shape (n, steps)
        Of the value at that step.
    total_mean, total_variance : float64 arrays of shape (n, steps)
        Of the sum of the values up to that step: of the return over the horizon, where values are log returns.
    innovation_variance : float64 array of shape (n, steps)
        Expected h at that step.
    """

    mean: Floats
    variance: Floats
    total_mean: Floats
    total_variance: Floats
    innovation_variance: Floats


def conditional_variance(model: Garch, y: Floats) -> tuple[Floats, Floats]:
    """Errors e and variances h (n - p,) along a series; before it, e² and h are the mean of e² over the series.

    Through that start every h depends on the whole series: it scores a fit, and `forecast` predicts.

    >>> e, h = conditional_variance(Garch(omega=0.1, alpha=0.2, beta=0.5), np.array([1.0, -1.0, 0.0]))
    >>> h.round(4)
    array([0.5667, 0.5833, 0.5917])
    """
    _check(model, y[None])
    e = _errors(y, model.const, model.ar, model.ma)
    return e, _variances(e, model.omega, model.alpha, model.beta, float(np.mean(e * e)))


def log_likelihood(model: Garch, y: Floats) -> float:
    """Log-likelihood of a series (n,), given its first p values and the start of `conditional_variance`.

    >>> round(log_likelihood(Garch(omega=0.5, alpha=0.0, beta=0.0), np.array([0.5, -0.5])), 6)
    -1.64473
    """
    e, h = conditional_variance(model, y)
    u = e * e / h
    if math.isinf(model.nu):
        return float(-0.5 * np.sum(math.log(2.0 * math.pi) + np.log(h) + u))
    nu = model.nu
    norm = math.lgamma((nu + 1.0) / 2.0) - math.lgamma(nu / 2.0) - 0.5 * math.log(math.pi * (nu - 2.0))
    return float(np.sum(norm - 0.5 * np.log(h) - 0.5 * (nu + 1.0) * np.log1p(u / (nu - 2.0))))


def forecast(model: Garch, windows: Floats, *, steps: int = 1) -> GarchForecast:
    """Mean and variance of what follows each window of past values.

    Parameters
    ----------
    model : Garch
    windows : float64 array of shape (n, w)
        Consecutive values, oldest first, ``w > p``; finite. The recursion starts in the mean of e² over the window,
        which counts for ``beta ** w`` at its end: let a window span several times ``1 / (1 - beta)`` values.
    steps : int
        How far ahead, at least 1.

    Raises
    ------
    ConfigError
        ``steps`` is below 1.
    DataError
        A window is too short or holds a value that is not finite.

    Examples
    --------
    Variance goes back to its long run at the rate alpha + beta:

    >>> model = Garch(omega=0.1, alpha=0.1, beta=0.8)
    >>> forecast(model, np.zeros((1, 200)), steps=3).variance.round(4)
    array([[0.5  , 0.55 , 0.595]])
    """
    _check(model, windows)
    if steps < 1:
        raise ConfigError(f"steps is {steps}: it must be at least 1")
    out = np.empty((5, len(windows), steps))
    arma = (model.const, model.ar, model.ma)
    _forecast(np.ascontiguousarray(windows), *arma, model.omega, model.alpha, model.beta, out)
    mean, variance, total_mean, total_variance, h = out
    return GarchForecast(
        mean=mean, variance=variance, total_mean=total_mean, total_variance=total_variance, innovation_variance=h
    )


def quantiles(model: Garch, mean: Floats, variance: Floats, levels: Floats) -> Floats:
    """Predictive quantiles, with one axis of ``levels`` behind those of ``mean`` and ``variance``.

    Exact one step ahead. Further ahead the shape of the innovations is kept, which is an approximation: a sum over
    steps is closer to the normal than the Student-t, and has heavier tails than the normal if the innovations have not.

    >>> model = Garch(omega=0.1, alpha=0.1, beta=0.8)
    >>> quantiles(model, np.array([1.0]), np.array([4.0]), np.array([0.025, 0.5])).round(3)
    array([[-2.92,  1.  ]])
    """
    if not ((levels > 0.0) & (levels < 1.0)).all():
        raise ConfigError(f"levels are {levels}: they must lie between 0 and 1")
    normal = math.isinf(model.nu)
    z = ndtri(levels) if normal else stdtrit(model.nu, levels) * math.sqrt((model.nu - 2.0) / model.nu)
    out: Floats = mean[..., None] + np.sqrt(variance)[..., None] * z
    return out


@compiled
def _errors(y: Floats, const: float, ar: Floats, ma: Floats) -> Floats:
    p, q = len(ar), len(ma)
    e = np.empty(len(y) - p)
    for t in range(len(e)):
        mean = const
        for i in range(p):
            mean += ar[i] * y[t + p - 1 - i]
        for j in range(min(q, t)):
            mean += ma[j] * e[t - 1 - j]
        e[t] = y[t + p] - mean
    return e


@compiled
def _variances(e: Floats, omega: float, alpha: float, beta: float, before: float) -> Floats:
    h = np.empty(len(e))
    now = omega + (alpha + beta) * before
    for t in range(len(e)):
        h[t] = now
        now = omega + alpha * e[t] * e[t] + beta * now
    return h


@compiled
def _forecast(
    windows: Floats, const: float, ar: Floats, ma: Floats, omega: float, alpha: float, beta: float, out: Floats
) -> None:
    """Fill ``out`` (5, n, steps): mean, variance, both of the running sum, and expected h."""
    p, q, steps = len(ar), len(ma), out.shape[2]
    psi = np.zeros(steps)  # what an error of one does to the value k steps later
    psi[0] = 1.0
    for k in range(1, steps):
        psi[k] = ma[k - 1] if k <= q else 0.0
        for i in range(min(p, k)):
            psi[k] += ar[i] * psi[k - 1 - i]
    running = np.cumsum(psi)
    for row in range(len(windows)):
        y, (mean, variance, total_mean, total_variance, h) = windows[row], out[:, row]
        w = len(y)
        e = _errors(y, const, ar, ma)
        now = omega + (alpha + beta) * np.mean(e * e)
        for t in range(len(e)):
            now = omega + alpha * e[t] * e[t] + beta * now
        total = 0.0
        for k in range(steps):
            h[k] = now
            now = omega + (alpha + beta) * now
            mean[k] = const
            for i in range(p):
                mean[k] += ar[i] * (mean[k - 1 - i] if i < k else y[w + k - 1 - i])
            for j in range(k, min(q, k + len(e))):
                mean[k] += ma[j] * e[len(e) + k - 1 - j]
            total += mean[k]
            total_mean[k] = total
            variance[k], total_variance[k] = 0.0, 0.0
            for j in range(k + 1):
                variance[k] += psi[k - j] * psi[k - j] * h[j]
                total_variance[k] += running[k - j] * running[k - j] * h[j]


def _check(model: Garch, windows: Floats) -> None:
    p = len(model.ar)
    if windows.ndim != 2 or windows.shape[1] <= p or not np.isfinite(windows).all():
        raise DataError(f"values have shape {windows.shape}: give more than {p} finite values in a row")
