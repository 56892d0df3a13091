"""What the index is expected to return over the next bars, and how far off that was on rows the model never saw.

A component's expected return is Σ p_k·m_k over the classes, m_k being the mean return of class k on training rows. The
basket's is w·μ, with standard deviation √(w'Σw), where Σ is the covariance of the components' forecast errors. The
interval is the mean, give or take a multiple of the deviation; the multiple is the quantile of |error| / deviation of
the same basket on out-of-fold rows, so no shape of the errors is assumed: split conformal prediction, Lei et al.,
"Distribution-free predictive inference for regression", JASA 113 (2018). It holds on average over time; deviations
change with the weights and not with the market's volatility.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ModelError
from bellwether.signal import Component, Signal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DIGITS = 9
"""Significant digits that a kept covariance has."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far off one basket was: ``multiplier`` deviations held the promised share of ``n`` out-of-fold timestamps."""

    symbols: tuple[str, ...]
    multiplier: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a model knows of the returns it foretells.

    Parameters
    ----------
    symbols : tuple of str
        Components, in the order of ``covariance``.
    class_means : float64 array of shape (classes,)
        Mean return of each class on training rows, over the horizon; fractions.
    covariance : float64 array of shape (symbols, symbols)
        Of forecast errors; NaN in rows and columns of components that had too few.
    coverage_level : float
        Share of outcomes that intervals promise to hold.
    reaches : mapping of str to Reach
        By name of the universe.
    """

    symbols: tuple[str, ...]
    class_means: Floats
    covariance: Floats
    coverage_level: float
    reaches: Mapping[str, Reach]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which components have forecast errors (symbols,)."""
        return np.isfinite(np.diagonal(self.covariance))

    def state(self) -> dict[str, Any]:
        """The same as JSON can say it: of the covariance the lower triangle, rounded, null where it is not known."""
        rows = [[_rounded(v) for v in row[: k + 1]] for k, row in enumerate(self.covariance.tolist())]
        reaches = {
            name: {"symbols": list(r.symbols), "multiplier": r.multiplier, "n": r.n} for name, r in self.reaches.items()
        }
        return {
            "symbols": list(self.symbols),
            "class_means": self.class_means.tolist(),
            "covariance": rows,
            "coverage_level": self.coverage_level,
            "universes": reaches,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Outlook | str:
        """Read what `state` wrote; of a contract that states none, why there is none.

        Raises
        ------
        ModelError
            Something is missing or wrong.

        >>> Outlook.restore({})
        'the model states no forecast errors: train it again'
        """
        if not state:
            return "the model states no forecast errors: train it again"
        if "reason" in state:
            return str(state["reason"])
        try:
            covariance = _square(state["covariance"])
            reaches = {
                name: Reach(symbols=tuple(r["symbols"]), multiplier=float(r["multiplier"]), n=int(r["n"]))
                for name, r in state["universes"].items()
            }
            return cls(
                symbols=tuple(state["symbols"]),
                class_means=np.array(state["class_means"], np.float64),
                covariance=covariance,
                coverage_level=float(state["coverage_level"]),
                reaches=reaches,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the contract's outlook is damaged ({error!r}): restore or retrain the model") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class ExpectedReturn:
    """The return that a basket is expected to make, as fractions.

    Parameters
    ----------
    mean : float
        Exactly ``math.fsum`` of the contributions.
    sd : float
        Standard deviation of its forecast error.
    low, high : float
        The interval.
    covers : float
        Weight that the figures are about, over all known weight of the universe: of the rest nothing is said.
    coverage_level, n
        What the interval promises, and how many out-of-fold timestamps that rests on.
    contributions : dict of str to float
        Share times expected return, of each component that counts.
    """

    mean: float
    sd: float
    low: float
    high: float
    covers: float
    coverage_level: float
    n: int
    contributions: dict[str, float]


def expected_return(outlook: Outlook | str, signal: Signal) -> ExpectedReturn | str:
    """What the basket of a signal is expected to return; or, in words, why nothing can be said.

    The basket is the components that count in the signal and have forecast errors, their weights renormalised over
    them. Where the signal is HOLD whatever the sum says, nothing is expected, for the same reason.

    Examples
    --------
    >>> from bellwether.signal import Prediction, compose
    >>> from bellwether.signal_policy import SignalPolicy
    >>> policy = SignalPolicy(buy=0.5, sell=-0.5, coverage_floor=0.6, max_age_bars=1, interval_ns=3600 * 10**9)
    >>> up = Prediction(symbol="A", ts_event=10**9, probabilities=(0.0, 0.0, 0.5, 0.5, 0.0))
    >>> outlook = Outlook(symbols=("A",), class_means=np.array([-0.02, -0.01, 0.0, 0.01, 0.02]),
    ...                   covariance=np.array([[0.0001]]), coverage_level=0.9,
    ...                   reaches={"u": Reach(symbols=("A",), multiplier=2.0, n=500)})
    >>> found = expected_return(outlook, compose("u", ["A"], np.array([1.0]), {"A": up}, policy))
    >>> found.mean, round(found.low, 3), round(found.high, 3), found.n
    (0.005, -0.015, 0.025, 500)
    """
    if isinstance(outlook, str):
        return outlook
    if signal.reason is not None:
        return signal.reason
    reach = outlook.reaches.get(signal.universe)
    if reach is None or reach.symbols != tuple(c.symbol for c in signal.components):
        return f"the model was trained without universe {signal.universe} as it is now: train it again"
    return _expected(outlook, reach, signal)


def _expected(outlook: Outlook, reach: Reach, signal: Signal) -> ExpectedReturn | str:
    place = {symbol: k for k, symbol in enumerate(outlook.symbols) if outlook.known[k]}
    counting = [c for c in signal.components if c.share > 0.0 and c.symbol in place]
    held = fsum(c.share for c in counting)
    covers, floor = signal.coverage * held, signal.policy.coverage_floor
    if not counting or covers < floor:
        return f"components with forecast errors are {covers:.3f} of the weight, below the floor of {floor}"
    contributions = {c.symbol: c.share / held * _of_classes(c, outlook.class_means) for c in counting}
    at = [place[c.symbol] for c in counting]
    shares = np.array([c.share / held for c in counting])
    mean = fsum(contributions.values())
    sd = sqrt(max(float(shares @ outlook.covariance[np.ix_(at, at)] @ shares), 0.0))
    return ExpectedReturn(
        mean=mean,
        sd=sd,
        low=mean - reach.multiplier * sd,
        high=mean + reach.multiplier * sd,
        covers=covers,
        coverage_level=outlook.coverage_level,
        n=reach.n,
        contributions=contributions,
    )


def _of_classes(c: Component, means: Floats) -> float:
    return fsum(p * m for p, m in zip(c.probabilities or (), means.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True)
class ExpectedSeries:
    """Expected returns in time order, all (T,): ``mean``, ``sd``, and what they ``cover`` of the known weight.

    ``mean`` and ``sd`` are NaN where no component counts.
    """

    ts: Ints
    mean: Floats
    sd: Floats
    covers: Floats


def basket_series(ts: Ints, who: Ints, values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted mean of the components' values at each distinct timestamp, and the shares it was made with.

    Parameters
    ----------
    ts, who : int64 arrays of shape (n,)
        Time and component of each value; a component has at most one a timestamp.
    values : float64 array of shape (n,)
        Finite.
    weights : float64 array of shape (T, components)
        In force at each distinct timestamp; NaN where a component has none or does not count.

    Returns
    -------
    tuple of float64 arrays of shape (T,) and (T, components)
        The mean, NaN where nothing counts; shares add up to one, or are all 0.

    >>> mean, shares = basket_series(np.array([1, 1]), np.array([0, 1]), np.array([0.1, 0.3]), np.array([[0.1, 0.3]]))
    >>> mean.round(3).tolist(), shares.round(3).tolist()
    ([0.25], [[0.25, 0.75]])
    """
    times, row = np.unique(ts, return_inverse=True)
    shares = np.zeros((len(times), weights.shape[1]))
    shares[row, who] = np.nan_to_num(weights)[row, who]
    total = shares.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(row, shares[row, who] * values, len(times)) / total
    return mean, shares / np.where(total > 0.0, total, 1.0)[:, None]


def expected_series(outlook: Outlook, ts: Ints, who: Ints, values: Floats, weights: Floats) -> ExpectedSeries:
    """`expected_return` for many timestamps at once, from the components' own expected returns.

    Parameters
    ----------
    ts, who, values, weights
        As `basket_series`; ``who`` points into the outlook's symbols, and so do the columns of ``weights``.
    """
    usable = np.where(outlook.known, weights, np.nan)
    mean, shares = basket_series(ts, who, values, usable)
    covariance = np.nan_to_num(outlook.covariance)
    variance = np.einsum("ti,ij,tj->t", shares, covariance, shares, optimize=True)
    answered = np.zeros(shares.shape)
    times, row = np.unique(ts, return_inverse=True)
    answered[row, who] = np.nan_to_num(usable)[row, who]
    everything = np.nansum(weights, axis=1)
    return ExpectedSeries(
        ts=times,
        mean=mean,
        sd=np.where(np.isfinite(mean), np.sqrt(np.maximum(variance, 0.0)), np.nan),
        covers=answered.sum(axis=1) / np.where(everything > 0.0, everything, 1.0),
    )


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def _square(lower: Sequence[Sequence[float | None]]) -> Floats:
    """A symmetric matrix from its lower triangle."""
    found = np.zeros((len(lower), len(lower)))
    for k, row in enumerate(lower):
        found[k, : k + 1] = found[: k + 1, k] = [np.nan if v is None else v for v in row]
    return found
