"""Maximum likelihood for Hawkes processes with an exponential kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bellwether.econometrics.hawkes import Events, Floats, Hawkes, score
from bellwether.errors import DataError, ModelError

LEAST = 1e-9  # in units of the mean rate: keeps every intensity positive
DECAYS = (0.3, 3.0, 30.0)  # decays to start from, in units of the mean rate of all events


@dataclass(frozen=True, kw_only=True)
class HawkesFit:
    """A fitted process.

    Parameters
    ----------
    model : Hawkes
    log_likelihood : float
    mu_error, alpha_error, beta_error
        Standard errors of the parameters, in their shapes, from the inverse Hessian. NaN where the likelihood is not
        curved, as at a bound.
    """

    model: Hawkes
    log_likelihood: float
    mu_error: Floats
    alpha_error: Floats
    beta_error: float


def fit_hawkes(events: Events, *, types: int = 1) -> HawkesFit:
    """Fit by maximum likelihood (L-BFGS-B, exact gradient) from several decays.

    Parameters
    ----------
    events : Events
        At least ten of each type.
    types : int
        How many types there are.

    Raises
    ------
    DataError
        A type has fewer than ten events, or lies beyond ``types``.
    ModelError
        No search ended in a finite likelihood.

    Examples
    --------
    >>> from bellwether.econometrics.hawkes import simulate
    >>> truth = Hawkes(mu=np.array([0.5]), alpha=np.array([[0.8]]), beta=1.2)
    >>> found = fit_hawkes(simulate(truth, end=5000.0, seed=0))
    >>> bool(abs(found.model.branching - 2 / 3) < 0.05)
    True
    """
    counts = np.bincount(events.types, minlength=types)
    if len(counts) > types or counts.min() < 10:
        raise DataError(f"events of each type: {counts.tolist()}; give at least 10 of each of {types} types")
    problem = _Problem(events, types)
    searches = [
        minimize(
            problem, start, jac=True, method="L-BFGS-B", bounds=problem.bounds, options={"ftol": 1e-13, "gtol": 1e-8}
        )
        for start in problem.starts(counts)
    ]
    found = [search for search in searches if np.isfinite(search.fun)]
    if not found:
        raise ModelError(f"no Hawkes likelihood of {len(events.times)} events is finite: look for many at equal times")
    best = min(found, key=lambda search: float(search.fun))
    mu, alpha, beta = problem.split(best.x * problem.units)
    mu_error, alpha_error, beta_error = problem.split(problem.errors(best.x) * problem.units)
    return HawkesFit(
        model=Hawkes(mu=mu, alpha=alpha, beta=beta),
        log_likelihood=float(score(events.times, events.types, events.end, mu, alpha, beta)[0]),
        mu_error=mu_error,
        alpha_error=alpha_error,
        beta_error=beta_error,
    )


class _Problem:
    """The negative log-likelihood per event, in units of time in which all events have rate one."""

    def __init__(self, events: Events, types: int) -> None:
        self.k, self.n = types, len(events.times)
        rate = self.n / events.end
        self.times, self.types, self.end = events.times * rate, events.types, float(self.n)
        size = types + types * types
        self.units = np.full(size + 1, rate)
        self.bounds = [(LEAST, None)] * types + [(0.0, None)] * (types * types) + [(1e-4, 1e6)]

    def split(self, theta: Floats) -> tuple[Floats, Floats, float]:
        """One array of parameters → mu, alpha, beta."""
        k = self.k
        return theta[:k].copy(), theta[k:-1].reshape(k, k).copy(), float(theta[-1])

    def starts(self, counts: NDArray[np.integer]) -> list[Floats]:
        """Half of the events from nothing, the rest from all types alike."""
        share = counts / self.n
        return [np.concatenate([0.5 * share, np.repeat(0.5 * share * d, self.k), [d]]) for d in DECAYS]

    def __call__(self, theta: Floats) -> tuple[float, Floats]:
        total, by_mu, by_alpha, by_beta = score(self.times, self.types, self.end, *self.split(theta))
        return -total / self.n, -np.concatenate([by_mu, by_alpha.ravel(), [by_beta]]) / self.n

    def errors(self, theta: Floats) -> Floats:
        """Standard errors; parameters at their lower bound are held there and have none."""
        free = theta > np.array([low for low, _ in self.bounds]) * 1.01
        step = np.diag(1e-5 * np.maximum(theta, 1e-3))[free]
        hessian = np.array([(self(theta + d)[1] - self(theta - d)[1])[free] / (2.0 * d.sum()) for d in step])
        out = np.full(len(theta), np.nan)
        if np.isfinite(hessian).all() and np.linalg.matrix_rank(hessian) == len(hessian):
            variance = np.diag(np.linalg.inv(0.5 * (hessian + hessian.T))) / self.n
            out[free] = np.sqrt(np.where(variance > 0.0, variance, np.nan))
        return out
