"""How well expected returns foretold what came: how often intervals held, and how far off the means were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import DataError
from bellwether.validation.bootstrap import Interval, block_length
from bellwether.validation.regression_metrics import mean_sums, rmse, skill_sums

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ReturnScore:
    """Expected returns against realised ones.

    Parameters
    ----------
    name : str
        What the realised returns are of.
    bars : int
        Bars scored.
    promised : float
        What intervals promise to hold.
    held : Interval
        Share of returns inside their interval.
    width : float
        Mean width of an interval, in basis points.
    rmse, rmse_zero : float
        Of the means, and of always expecting 0; in basis points.
    skill : Interval
        1 - MSE / MSE of always expecting 0: above 0, the means know something.
    """

    name: str
    bars: int
    promised: float
    held: Interval
    width: float
    rmse: float
    rmse_zero: float
    skill: Interval


def score_returns(
    name: str,
    mean: Floats,
    reach: Floats,
    realised: Floats,
    *,
    promised: float,
    horizon: int = 1,
    confidence: float = 0.95,
    draws: int = 5000,
) -> ReturnScore:
    """Score ``mean`` ± ``reach`` against ``realised``, with circular block bootstrap intervals.

    Parameters
    ----------
    mean, reach, realised : float64 arrays of shape (bars,)
        Fractions, in time order; finite.
    horizon : int
        Bars that a return spans: blocks are at least as long.

    Raises
    ------
    DataError
        There are no bars, lengths differ, or a number is not finite.

    Examples
    --------
    >>> realised = np.random.default_rng(0).normal(0, 0.01, 500)
    >>> found = score_returns("noise", np.zeros(500), np.full(500, 0.01645), realised, promised=0.9)
    >>> round(found.held.value, 2), found.skill.value, found.rmse == found.rmse_zero
    (0.92, 0.0, True)
    """
    same = mean.shape == reach.shape == realised.shape
    if not len(mean) or not same or not np.isfinite([mean, reach, realised]).all():
        raise DataError(
            f"{name}: means {mean.shape}, reaches {reach.shape} and returns {realised.shape} must be finite"
        )
    bar, inside = np.arange(len(mean)), (np.abs(realised - mean) <= reach).astype(np.float64)
    how = {"confidence": confidence, "block": block_length(len(mean), horizon), "draws": draws}
    return ReturnScore(
        name=name,
        bars=len(mean),
        promised=promised,
        held=mean_sums(bar, inside).interval(**how),
        width=2e4 * float(reach.mean()),
        rmse=1e4 * rmse(realised, mean),
        rmse_zero=1e4 * rmse(realised, np.zeros(len(mean))),
        skill=skill_sums(bar, realised, mean).interval(**how),
    )
