"""The test of Diebold and Mariano: whether one model's losses are smaller than another's, beyond what luck explains.

Sources: Diebold and Mariano, "Comparing predictive accuracy", Journal of Business & Economic Statistics 13 (1995);
Newey and West, Econometrica 55 (1987), and Review of Economic Studies 61 (1994) for the lags; Harvey, Leybourne and
Newbold, "Testing the equality of prediction mean squared errors", International Journal of Forecasting 13 (1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from bellwether.errors import DataError

Floats = NDArray[np.float64]

ROUNDING = 1e-12
"""Share of a difference in losses that is rounding."""


@dataclass(frozen=True, kw_only=True)
class DieboldMariano:
    """A test of equal losses. ``p_value`` is one-sided: small where ours are the smaller.

    ``statistic`` is Student's t with ``timestamps - 1`` degrees of freedom; NaN, and ``p_value`` 1, where the losses
    differ by the same everywhere: nothing says then how much of that is luck.
    """

    statistic: float
    p_value: float
    lags: int
    timestamps: int


def diebold_mariano(ours: Floats, theirs: Floats, *, horizon: int = 1) -> DieboldMariano:
    """Test whether our losses are the smaller, allowing for dependence from timestamp to timestamp.

    The long-run variance of the difference is Newey and West's (Bartlett weights), over at least ``horizon - 1`` lags
    and at least 4 (n / 100)^(2/9); the statistic is corrected for few timestamps as Harvey, Leybourne and Newbold do.

    Parameters
    ----------
    ours, theirs : float64 arrays of shape (timestamps,)
        Losses, smaller is better: the mean over the rows of each timestamp.
    horizon : int
        Timestamps an outcome spans.

    Raises
    ------
    DataError
        The lengths differ, or there are too few timestamps (`enough`).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> diebold_mariano(rng.normal(1.0, 1.0, 200), rng.normal(2.0, 1.0, 200)).p_value < 0.001
    True
    """
    if ours.shape != theirs.shape:
        raise DataError(f"losses have shapes {ours.shape} and {theirs.shape}: give one a timestamp of each")
    gap, n = ours - theirs, len(ours)
    if not enough(n, horizon):
        raise DataError(f"{n} timestamps are too few for a horizon of {horizon}: compare on more rows")
    lags, small = _lags(n, horizon), (n + 1.0 - 2.0 * horizon + horizon * (horizon - 1.0) / n) / n
    spread = _long_run_variance(gap, lags)
    if np.ptp(gap) <= ROUNDING * np.abs(gap).max() or spread <= 0.0:
        return DieboldMariano(statistic=float("nan"), p_value=1.0, lags=lags, timestamps=n)
    statistic = float(gap.mean() / np.sqrt(spread / n) * np.sqrt(small))
    return DieboldMariano(statistic=statistic, p_value=float(stdtr(n - 1, statistic)), lags=lags, timestamps=n)


def enough(timestamps: int, horizon: int) -> bool:
    """Whether there are more timestamps than an outcome spans, and than the variance has terms.

    >>> enough(3, 1), enough(24, 24)
    (True, False)
    """
    return timestamps > max(horizon, _lags(timestamps, horizon) + 1)


def _lags(n: int, horizon: int) -> int:
    return max(horizon - 1, int(4.0 * (n / 100.0) ** (2.0 / 9.0)))


def _long_run_variance(x: Floats, lags: int) -> float:
    d, n = x - x.mean(), len(x)
    covariance = np.array([d[lag:] @ d[: n - lag] / n for lag in range(lags + 1)])
    weight = 2.0 * (1.0 - np.arange(lags + 1) / (lags + 1.0))
    return float(weight @ covariance - covariance[0])
