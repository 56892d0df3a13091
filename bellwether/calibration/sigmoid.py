"""Platt scaling: a logistic curve for each class against the rest, renormalised.

Sources: Platt, "Probabilistic outputs for support vector machines", Advances in Large Margin Classifiers (1999), for
the curve and its targets; Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
estimates", KDD (2002), for one against the rest. The score is the log-odds, so that a calibrated model stays as it is
(slope 1, offset 0), which no logistic curve of the probability itself can do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from bellwether.calibration.base import FLOOR, NAME, Calibrator, Flags, Floats, Ints, sample, shares, table_of
from bellwether.calibration.steps import Steps, share_nodes

LIMIT = float(logit(1.0 - FLOOR))
"""Log-odds stay within this: no class is ruled out, and the sum that is divided by never vanishes."""

SLOPES = (0.0, 10.0)
"""Slopes to search: a curve never falls, and is not so steep that float32 and float64 part."""


@dataclass(frozen=True, kw_only=True)
class Sigmoid:
    """``slope`` and ``offset`` (classes,) of the log-odds of each class."""

    slope: Floats
    offset: Floats
    present: Flags

    def apply(self, p: NDArray[np.floating]) -> Floats:
        """Calibrated probabilities (n, classes)."""
        odds = _log_odds(table_of(p, len(self.present)))
        return shares(expit(np.clip(self.slope * odds + self.offset, -LIMIT, LIMIT)), self.present)

    def nodes(self, steps: Steps, p: str) -> str:
        """Log-odds, line, logistic function, shares."""
        kept = steps("Clip", p, np.array(FLOOR), np.array(1.0 - FLOOR))
        odds = steps("Log", steps("Div", kept, steps("Sub", np.array([1.0]), kept)))
        against = steps("Sub", steps("Mul", odds, -self.slope), self.offset)
        kept = steps("Clip", against, np.array(-LIMIT), np.array(LIMIT))
        # onnxruntime's Sigmoid is exact to 1e-7 absolutely: too coarse where all classes are improbable
        values = steps("Reciprocal", steps("Add", steps("Exp", kept), np.array([1.0])))
        return share_nodes(steps, values, self.present)

    def state(self) -> dict[str, Any]:
        """The lines and which classes there are."""
        lines = {"slope": self.slope.tolist(), "offset": self.offset.tolist()}
        return {NAME: "sigmoid", **lines, "present": self.present.tolist()}


def fit(p: NDArray[np.floating], y: Ints, weight: Floats | None = None) -> Sigmoid:
    """Fit a curve for each class that has a probability.

    Raises
    ------
    DataError
        As `bellwether.calibration.base.sample`.

    Examples
    --------
    >>> sure = np.tile([0.9, 0.1], (300, 1))
    >>> found = fit(sure, np.repeat([0, 0, 1], 100))
    >>> found.apply(sure[:1]).round(2).tolist()
    [[0.67, 0.33]]
    """
    rows = sample(p, y, weight)
    odds = _log_odds(rows.p)
    lines = np.zeros((rows.p.shape[1], 2))
    for k in np.flatnonzero(rows.present):
        lines[k] = _line(odds[:, k], rows.y == k, rows.weight)
    return Sigmoid(slope=lines[:, 0], offset=lines[:, 1], present=rows.present)


def _log_odds(p: Floats) -> Floats:
    return np.asarray(logit(np.clip(p, FLOOR, 1.0 - FLOOR)), np.float64)


def _line(score: Floats, hit: Flags, weight: Floats) -> Floats:
    """Slope and offset of the least cross-entropy to Platt's targets, which stop short of 0 and 1."""
    hits, others = float(weight[hit].sum()), float(weight[~hit].sum())
    target = np.where(hit, (hits + 1.0) / (hits + 2.0), 1.0 / (others + 2.0))
    design = np.column_stack([score, np.ones(len(score))])
    share = weight / weight.sum()

    def loss(line: Floats) -> tuple[float, Floats]:
        value = design @ line
        each = np.logaddexp(0.0, value) - target * value
        return float(share @ each), design.T @ (share * (expit(value) - target))

    limits = [SLOPES, (-2.0 * LIMIT * SLOPES[1], 2.0 * LIMIT * SLOPES[1])]
    exact = {"gtol": 1e-9, "ftol": 0.0}
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=limits, options=exact)
    return np.asarray(found.x, np.float64)


def restore(state: Mapping[str, Any]) -> Sigmoid:
    """The map of a state."""
    slope, offset = (np.array(state[name], np.float64) for name in ("slope", "offset"))
    return Sigmoid(slope=slope, offset=offset, present=np.array(state["present"], np.bool_))


SIGMOID = Calibrator(name="sigmoid", fit=fit, restore=restore)
