"""Is a Sharpe ratio more than luck, given how long it was earned, how returns are shaped and how many were tried?

All Sharpe ratios are those of one observation (a day, an hour), not annualised: divide an annual one by the root of the
observations in a year, and an annual variance by their number. Returns are taken as independent; where they are
autocorrelated the track is worth fewer observations than it has.

Sources: Bailey and López de Prado, "The Sharpe ratio efficient frontier", Journal of Risk 15 (2012): probabilistic
Sharpe ratio and minimum track record; Bailey and López de Prado, "The deflated Sharpe ratio", Journal of Portfolio
Management 40 (2014): expected maximum and deflation. The standard error is that of Mertens (2002).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]

NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class Track:
    """A track record, by what its Sharpe ratio's standard error depends on.

    Parameters
    ----------
    n : int
        Returns it has, at least 2.
    sharpe : float
        Mean over standard deviation of one return.
    skew : float
        Third standardised moment; 0 for normal returns.
    kurtosis : float
        Fourth standardised moment, not the excess; 3 for normal returns.

    Raises
    ------
    DataError
        There are fewer than two returns, a figure is not finite, or no distribution has such moments: the kurtosis is
        at least one more than the square of the skew.
    """

    n: int
    sharpe: float
    skew: float = 0.0
    kurtosis: float = 3.0

    def __post_init__(self) -> None:
        if self.n < 2 or not all(map(math.isfinite, (self.sharpe, self.skew, self.kurtosis))):
            raise DataError(f"{self}: a track needs at least 2 returns and finite figures")
        if self.kurtosis < (self.skew**2 + 1.0) * (1.0 - 1e-9):  # two values reach the bound, up to rounding
            raise DataError(f"kurtosis is {self.kurtosis}: with skew {self.skew} it is {self.skew**2 + 1.0} or more")

    @property
    def spread(self) -> float:
        """Standard deviation of the estimated Sharpe ratio, times the root of n - 1.

        >>> Track(n=250, sharpe=0.0).spread
        1.0
        """
        variance = 1.0 - self.skew * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe**2
        return math.sqrt(max(variance, 0.0))


def track_of(returns: Floats) -> Track:
    """Measure a track: the Sharpe ratio with the unbiased variance (ddof 1), skew and kurtosis as population moments.

    Parameters
    ----------
    returns : float64 array of shape (n,)
        In excess of what costs nothing to earn; finite, at least two that differ.

    Raises
    ------
    DataError
        There are fewer than two returns, one is not finite, or all are the same: their Sharpe ratio is undefined.

    Examples
    --------
    >>> track = track_of(np.array([0.01, -0.01, 0.02, 0.0]))
    >>> track.n, round(track.sharpe, 4), round(track.skew, 4), round(track.kurtosis, 4)
    (4, 0.3873, 0.0, 1.64)
    """
    if returns.ndim != 1 or len(returns) < 2 or not np.isfinite(returns).all():
        raise DataError(f"returns have shape {returns.shape}: give at least two in one row, all of them finite")
    if np.ptp(returns) == 0.0:
        raise DataError(f"all {len(returns)} returns are {returns[0]}: without deviation there is no Sharpe ratio")
    centred = (returns - returns.mean()) / returns.std()
    return Track(
        n=len(returns),
        sharpe=float(returns.mean() / returns.std(ddof=1)),
        skew=float((centred**3).mean()),
        kurtosis=float((centred**4).mean()),
    )


def probabilistic_sharpe(track: Track, *, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio is above ``benchmark``.

    Φ((SR − SR*) √(n − 1) / √(1 − γ₃ SR + (γ₄ − 1)/4 SR²)), with skew γ₃ and kurtosis γ₄: fat tails and losses that come
    at once make it less sure.

    Parameters
    ----------
    track : Track
    benchmark : float
        SR*, per observation.

    Raises
    ------
    DataError
        The standard error is zero, which it is for two-valued returns with ``sharpe == 2 / skew``.

    Examples
    --------
    Two years of monthly returns, against 0, as they are and as if they were normal (the 2012 paper's example):

    >>> round(probabilistic_sharpe(Track(n=24, sharpe=0.458, skew=-2.448, kurtosis=10.164)), 3)
    0.913
    >>> round(probabilistic_sharpe(Track(n=24, sharpe=0.458)), 3)
    0.982
    """
    return NORMAL.cdf((track.sharpe - benchmark) * math.sqrt(track.n - 1) / _spread(track))


def expected_maximum_sharpe(*, trials: int, variance: float) -> float:
    """Sharpe ratio that the best of ``trials`` independent ones without any skill is expected to show.

    √V ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e))), with Euler's constant γ. An approximation for many trials: 8 % too
    low for two, 1 % too high for a hundred.

    Parameters
    ----------
    trials : int
        Independent trials N; of one, the expectation is 0. Trials that resemble each other count as fewer.
    variance : float
        V, of the trials' Sharpe ratios, in the unit of one observation.

    Raises
    ------
    ConfigError
        There is no trial, or the variance is negative or not finite.

    Examples
    --------
    >>> round(expected_maximum_sharpe(trials=10, variance=1.0), 2)
    1.57
    """
    if trials < 1 or not 0.0 <= variance < math.inf:
        raise ConfigError(f"trials is {trials} and variance {variance}: give at least one trial and a variance from 0")
    if trials == 1:
        return 0.0
    tail, further = NORMAL.inv_cdf(1.0 - 1.0 / trials), NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - np.euler_gamma) * tail + np.euler_gamma * further)


def deflated_sharpe(track: Track, *, trials: int, variance: float) -> float:
    """Probability that the true Sharpe ratio of the best of several trials is above 0, given that it was picked.

    The probabilistic Sharpe ratio against `expected_maximum_sharpe`.

    Parameters
    ----------
    track : Track
        Of the trial that was picked.
    trials, variance : int, float
        How many independent ones there were, and the variance of their Sharpe ratios in the unit of one observation.

    Raises
    ------
    ConfigError, DataError
        As `expected_maximum_sharpe` and `probabilistic_sharpe`.

    Examples
    --------
    The paper's example: the best of 100 trials has an annual ratio of 2.5 over five years of 250 days; the trials'
    annual ratios have variance 1/2, which is 1/500 for daily ones.

    >>> best = Track(n=1250, sharpe=2.5 / 250**0.5, skew=-3.0, kurtosis=10.0)
    >>> round(deflated_sharpe(best, trials=100, variance=0.5 / 250), 4)
    0.9004
    """
    return probabilistic_sharpe(track, benchmark=expected_maximum_sharpe(trials=trials, variance=variance))


def minimum_track_record(track: Track, *, benchmark: float = 0.0, confidence: float = 0.95) -> float:
    """Observations after which a Sharpe ratio like this one is above ``benchmark`` at ``confidence`` (one-sided).

    1 + (1 − γ₃ SR + (γ₄ − 1)/4 SR²) (Φ⁻¹(confidence) / (SR − SR*))²; infinite for a ratio that is not above the
    benchmark. The track is long enough if ``track.n`` is at least that; how long it is does not enter.

    Parameters
    ----------
    track : Track
    benchmark : float
        SR*, per observation.
    confidence : float
        Above one half and below one.

    Raises
    ------
    ConfigError
        ``confidence`` is out of bounds.

    Examples
    --------
    Daily normal returns with an annual ratio of 2, against 1, in years:

    >>> track = Track(n=252, sharpe=2.0 / 252**0.5)
    >>> round(minimum_track_record(track, benchmark=1.0 / 252**0.5) / 252, 2)
    2.73
    """
    if not 0.5 < confidence < 1.0:
        raise ConfigError(f"confidence is {confidence}: it must lie between 0.5 and 1")
    if track.sharpe <= benchmark:
        return math.inf
    return 1.0 + (track.spread * NORMAL.inv_cdf(confidence) / (track.sharpe - benchmark)) ** 2


def _spread(track: Track) -> float:
    if track.spread == 0.0:
        raise DataError(f"{track}: the formula gives its Sharpe ratio no standard error; judge it by a bootstrap")
    return track.spread
