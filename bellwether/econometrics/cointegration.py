"""Cointegration: prices that wander, tied together by a combination that does not.

Two prices by Engle and Granger's two steps (regression of log prices, unit-root test of its residuals), several by
Johansen's likelihood ratios, and a search over all pairs that answers for the number of pairs it tried.

Sources: Engle and Granger, "Co-integration and error correction", Econometrica 55 (1987); p-values: MacKinnon,
"Critical values for cointegration tests" (2010); Johansen, "Estimation and hypothesis testing of cointegration
vectors", Econometrica 59 (1991); Holm, Scandinavian Journal of Statistics 6 (1979); Benjamini and Yekutieli, Annals of
Statistics 29 (2001).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from bellwether.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Correction = Literal["holm", "fdr_by", "none"]

LEVELS = (0.1, 0.05, 0.01)  # at which Johansen's critical values are tabulated
MOST_SERIES = 12  # of Johansen's tables
ONE_LINE = 1.0 - 1e-6  # R² above which two log prices are one series: the test then says nothing


@dataclass(frozen=True, kw_only=True)
class EngleGranger:
    """``log y = const + hedge * log x + spread``, as estimated on the rows it was given.

    Parameters
    ----------
    const, hedge : float
        Long y for one unit of money, short x for ``hedge`` units.
    spread_std : float
        Standard deviation of the spread; its mean is zero.
    statistic, p_value : float
        Augmented Dickey-Fuller t of the spread, and its chance where nothing ties the two together.
    speed_y, speed_x : float
        Error correction: the part of the spread by which log y and log x move in the next row.
    half_life : float
        Rows until half of the spread is gone, from its first autocorrelation; infinite if it does not shrink.
    """

    const: float
    hedge: float
    spread_std: float
    statistic: float
    p_value: float
    speed_y: float
    speed_x: float
    half_life: float

    def zscore(self, y: Floats, x: Floats) -> Floats:
        """Spread of prices (n,) in standard deviations; NaN where a price is NaN.

        >>> rng = np.random.default_rng(0)
        >>> x = np.exp(np.cumsum(0.01 * rng.normal(size=500)))
        >>> y = x * np.exp(0.01 * rng.normal(size=500))
        >>> found = engle_granger(y, x)
        >>> bool(abs(found.zscore(y, x).std() - 1.0) < 1e-12)
        True
        """
        out: Floats = (np.log(y) - self.const - self.hedge * np.log(x)) / self.spread_std
        return out


@dataclass(frozen=True, kw_only=True)
class Johansen:
    """Cointegration of several log prices.

    Parameters
    ----------
    rank : int
        Ties found: the first number of ties that the trace test does not reject. As many as there are series would
        mean that each is stationary by itself.
    trace, critical : float64 arrays of shape (series,)
        Trace statistics of "at most r ties" and their critical values at the level asked for.
    weights : float64 array of shape (series, series)
        Column r: the combination of log prices of tie r, strongest first, its largest weight scaled to one.
    """

    rank: int
    trace: Floats
    critical: Floats
    weights: Floats


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two columns that move together: ``y`` is explained by ``x``; the p-value answers for all pairs tried."""

    y: int
    x: int
    p_value: float
    relation: EngleGranger


def engle_granger(y: Floats, x: Floats, *, lags: int = 1) -> EngleGranger:
    """Test and estimate how log ``y`` hangs on log ``x``, on all rows given.

    Parameters
    ----------
    y, x : float64 arrays of shape (T,)
        Prices, finite and positive, in time order.
    lags : int
        Differences in the unit-root test and in the error correction. The number is fixed: a search for the best one
        makes false finds more likely than the p-value says.

    Raises
    ------
    ConfigError
        ``lags`` is negative.
    DataError
        There are too few rows, a price is not usable, or the two are one series up to scale.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(0.01 * rng.normal(size=1000))
    >>> found = engle_granger(np.exp(0.5 * x + 0.01 * rng.normal(size=1000)), np.exp(x))
    >>> round(found.hedge, 1), found.p_value < 0.01
    (0.5, True)
    """
    logs = _logs(np.column_stack([y, x]), lags)
    const, hedge, spread = _regression(logs[:, 0], logs[:, 1])
    statistic, p_value = _test(logs[:, 0], logs[:, 1], lags)
    speed_y, speed_x = _speeds(logs, spread, lags)
    return EngleGranger(
        const=const,
        hedge=hedge,
        spread_std=float(spread.std()),
        statistic=statistic,
        p_value=p_value,
        speed_y=speed_y,
        speed_x=speed_x,
        half_life=half_life(spread),
    )


def half_life(spread: Floats) -> float:
    """Rows until half of a spread around zero is gone: ``log(1/2) / log(rho)``, rho its first autoregression.

    Zero where it swings across zero from row to row, infinite where it does not shrink. Also a random walk gives a
    finite figure (rho is biased downwards): ask for the p-value first.

    >>> half_life(np.array([8.0, 4.0, 2.0, 1.0]))
    1.0
    """
    before, after = spread[:-1], spread[1:]
    rho = float(before @ after) / float(before @ before)
    if rho <= 0.0:
        return 0.0
    return math.log(0.5) / math.log(rho) if rho < 1.0 else math.inf


def johansen(prices: Floats, *, lags: int = 1, level: float = 0.05) -> Johansen:
    """Johansen's trace test with a constant, on all rows given.

    The critical values are those for prices with a drift. Without one the test finds ties among independent walks too
    often: in about 10 % of worlds at level 0.05, and 2.5 % at 0.01 (simulated: 2 and 4 series, 400 rows).

    Parameters
    ----------
    prices : float64 array of shape (T, series)
        Finite and positive, 2 to 12 series.
    lags : int
        Lagged differences in the model.
    level : float
        Of each test: 0.1, 0.05 or 0.01.

    Raises
    ------
    ConfigError
        ``level`` has no table, or ``lags`` is negative.
    DataError
        Prices have the wrong shape, are not usable, or one is a combination of others.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.cumsum(0.01 * rng.normal(size=1000))
    >>> found = johansen(np.exp(np.column_stack([0.5 * x + 0.01 * rng.normal(size=1000), x])))
    >>> found.rank, found.weights[:, 0].round(1)
    (1, array([ 1. , -0.5]))
    """
    from statsmodels.tsa.vector_ar.vecm import coint_johansen  # type: ignore[import-untyped, unused-ignore]

    if level not in LEVELS:
        raise ConfigError(f"level is {level}: critical values are known for {LEVELS}")
    logs = _logs(prices, lags)
    if not 2 <= logs.shape[1] <= MOST_SERIES:
        raise DataError(f"{logs.shape[1]} series: critical values are known for 2 to {MOST_SERIES}")
    if np.linalg.matrix_rank(logs - logs.mean(axis=0), rtol=1e-6) < logs.shape[1]:
        raise DataError("one log price is a combination of the others: leave it out")
    found = coint_johansen(logs, 0, lags)
    trace = np.asarray(np.real(found.trace_stat), np.float64)
    critical = np.asarray(found.trace_stat_crit_vals[:, LEVELS.index(level)], np.float64)
    kept = np.flatnonzero(trace <= critical)
    weights = np.asarray(np.real(found.evec), np.float64)
    largest = weights[np.abs(weights).argmax(axis=0), np.arange(weights.shape[1])]
    rank = int(kept[0]) if len(kept) else len(trace)
    return Johansen(rank=rank, trace=trace, critical=critical, weights=weights / largest)


def select_pairs(
    prices: Floats, *, level: float = 0.05, correction: Correction = "holm", lags: int = 1
) -> tuple[Pair, ...]:
    """All pairs that are cointegrated at this level, strongest first.

    Both directions of a pair are tested and the smaller p-value counts twice; then the S (S - 1) / 2 pairs are
    corrected for. ``holm`` bounds the chance of any false pair by ``level``, ``fdr_by`` the expected share of false
    pairs; both hold although pairs share series. ``none`` finds false pairs at about the rate ``level``.

    Parameters
    ----------
    prices : float64 array of shape (T, S)
        Finite and positive; training rows only.
    level : float
        Between 0 and 1.
    correction : "holm", "fdr_by" or "none"
    lags : int
        As in `engle_granger`.

    Raises
    ------
    ConfigError
        ``level`` or ``correction`` is unknown or out of bounds.
    DataError
        As `engle_granger`; two series at least.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> walks = np.cumsum(0.01 * rng.normal(size=(1000, 3)), axis=0)
    >>> tied = walks[:, :1] + 0.01 * rng.normal(size=(1000, 1))
    >>> [(pair.y, pair.x) for pair in select_pairs(np.exp(np.hstack([walks, tied])))]
    [(3, 0)]
    """
    if not 0.0 < level < 1.0 or correction not in ("holm", "fdr_by", "none"):
        raise ConfigError(f"level {level}, correction {correction!r}: give 0 < level < 1 and holm, fdr_by or none")
    logs = _logs(prices, lags)
    if logs.shape[1] < 2:
        raise DataError("one series has no pairs: give at least two columns")
    tried = []
    for i, j in combinations(range(logs.shape[1]), 2):
        (_, p_value), y, x = min((_test(logs[:, a], logs[:, b], lags), a, b) for a, b in ((i, j), (j, i)))
        tried.append((min(1.0, 2.0 * p_value), y, x))
    raw = np.array([p_value for p_value, _, _ in tried])
    adjusted = _adjusted(raw, correction)
    order = [int(at) for at in np.argsort(raw, kind="stable") if adjusted[at] <= level]
    return tuple(
        Pair(y=y, x=x, p_value=float(adjusted[at]), relation=engle_granger(prices[:, y], prices[:, x], lags=lags))
        for at in order
        for _, y, x in [tried[at]]
    )


def _adjusted(p: Floats, correction: Correction) -> Floats:
    """P-values that answer for each other (statsmodels' function would do, but collects garbage for 0.1 s a call)."""
    if correction == "none":
        return p
    if correction == "fdr_by":
        return np.asarray(false_discovery_control(p, method="by"), np.float64)
    order, out = np.argsort(p), np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return out


def _regression(y: Floats, x: Floats) -> tuple[float, float, Floats]:
    """Constant, slope and residuals of least squares."""
    apart = x - x.mean()
    hedge = float(apart @ y / (apart @ apart))
    const = float(y.mean() - hedge * x.mean())
    return const, hedge, y - const - hedge * x


def _test(y: Floats, x: Floats, lags: int) -> tuple[float, float]:
    """Engle and Granger's t and its p-value."""
    from statsmodels.tsa.stattools import coint  # type: ignore[import-untyped, unused-ignore]

    residual = _regression(y, x)[2]
    if residual @ residual <= (1.0 - ONE_LINE) * ((y - y.mean()) @ (y - y.mean())):
        raise DataError("two prices are one series up to scale: leave one of them out")
    statistic, p_value, _ = coint(y, x, maxlag=lags, autolag=None, return_results=False)
    return float(statistic), float(p_value)


def _speeds(logs: Floats, spread: Floats, lags: int) -> tuple[float, float]:
    """How both log prices answer to the spread before, beside lagged differences of both."""
    change = np.diff(logs, axis=0)
    rows = len(change) - lags
    past = [change[lags - k : lags - k + rows] for k in range(1, lags + 1)]
    design = np.column_stack([spread[lags:-1], np.ones(rows), *past])
    answer = np.linalg.lstsq(design, change[lags:], rcond=None)[0][0]
    return float(answer[0]), float(answer[1])


def _logs(prices: Floats, lags: int) -> Floats:
    if lags < 0:
        raise ConfigError(f"lags is {lags}: it may not be negative")
    if prices.ndim != 2 or len(prices) < 30 + 3 * lags:
        raise DataError(f"prices have shape {prices.shape}: give at least {30 + 3 * lags} rows of (T, series)")
    if not (np.isfinite(prices).all() and (prices > 0.0).all()):
        row, column = np.argwhere(~(np.isfinite(prices) & (prices > 0.0)))[0]
        raise DataError(f"price {prices[row, column]} in row {row}, column {column}: it must be positive and finite")
    logs: Floats = np.log(prices)
    if (np.ptp(logs, axis=0) == 0.0).any():
        raise DataError(f"column {int(np.ptp(logs, axis=0).argmin())} never moves: leave it out")
    return logs
