"""Signal thresholds from out-of-fold signals: where would BUY and SELL have been worth saying?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from bellwether.errors import ConfigError, ModelError
from bellwether.signal_series import signal_series
from data.targets import target_kind
from data.weights.table import WeightTable
from tune.out_of_fold import OutOfFold
from tune.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = np.linspace(0.0, 0.95, 20)
"""Quantiles of |WSS| that are tried as the threshold."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The symmetric threshold, what it would have captured of the index's next bar on average, and on how many."""

    threshold: float
    captured: float
    timestamps: int


def calibrate(
    recipe: Recipe,
    problem: Problem,
    found: OutOfFold,
    *,
    weights: WeightTable | None,
    index: tuple[Ints, Floats] | None,
) -> Calibration | None:
    """Pick the threshold θ with the highest mean captured return over the test blocks of the folds.

    Answers on the test rows of the folds make the signal with the weights in force. At each timestamp BUY
    (WSS >= θ) captures the index's next-bar return, SELL (WSS <= -θ) its negative, HOLD nothing;
    coverage below the recipe's floor is HOLD. No holdout row is read.

    Parameters
    ----------
    found : OutOfFold
        Answers of the configuration that the signal is made of.
    weights : WeightTable
        Point-in-time weights of the components.
    index : tuple of (T,) int64 UTC ns and (T,) float64
        Bars of the index in time order: their close times and closes.

    Raises
    ------
    ConfigError
        ``weights`` or ``index`` is missing.
    ModelError
        No timestamp has both a signal other than zero and a next index bar.
    """
    if weights is None or index is None:
        raise ConfigError("serving.thresholds is 'calibrated': that needs weights and the index's bars in the lake")
    known = problem.inputs
    ts, who = known.ts[found.rows], known.who[found.rows]
    signals = signal_series(ts, who, found.answer, weights.matrix(np.unique(ts), known.symbols))
    wss = np.where(signals.coverage >= recipe.serving.coverage_floor, signals.wss, 0.0)
    moved, _ = index_moves(recipe, signals.ts, *index)
    usable = np.isfinite(signals.wss) & np.isfinite(moved)
    if not np.any(wss[usable]):
        raise ModelError("no signal to calibrate thresholds on: weights, coverage or index bars are missing; use fixed")
    return best_threshold(wss[usable], moved[usable])


def best_threshold(wss: Floats, following: Floats) -> Calibration | None:
    """The θ of the grid that captures most on average; of equals the largest, which acts least. None if all lose.

    >>> found = best_threshold(np.array([0.2, 1.0, -1.0, -0.2]), np.array([-0.01, 0.02, -0.02, 0.01]))
    >>> found.threshold, round(found.captured, 4)
    (1.0, 0.01)
    """
    size = np.abs(wss)
    grid = np.unique(np.quantile(size[size > 0.0], GRID, method="inverted_cdf"))[::-1]
    captured = np.mean(np.sign(wss) * following * (size >= grid[:, None]), axis=1)
    best = int(np.argmax(captured))
    if captured[best] <= 0.0:
        return None
    return Calibration(threshold=float(grid[best]), captured=float(captured[best]), timestamps=len(wss))


def index_moves(recipe: Recipe, at: Ints, ts: Ints, close: Floats) -> tuple[Floats, Floats]:
    """What the index did after and before each time of ``at``.

    Parameters
    ----------
    at : int64 array of shape (n,)
        UTC nanoseconds.
    ts, close : arrays of shape (T,)
        Bars of the index in time order.

    Returns
    -------
    tuple of float64 arrays of shape (n,)
        Simple return over the recipe's horizon, and over the bar before; NaN where the index has no such bar, or the
        target leaves it out.
    """
    outcome, _ = target_kind(recipe.target.kind).outcome(ts, close, recipe.session, recipe.target)
    before = np.concatenate([[np.nan], close[1:] / close[:-1] - 1.0])
    place = np.minimum(np.searchsorted(ts, at), len(ts) - 1)
    here = ts[place] == at
    return np.where(here, outcome[place], np.nan), np.where(here, before[place], np.nan)
