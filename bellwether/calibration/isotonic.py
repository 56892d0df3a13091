"""Isotonic regression of each class against the rest, renormalised: any shape that does not fall.

Source: Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD
(2002). Probabilities are pooled to the nearest multiple of `CELL` first, which leaves at most ``1 / CELL + 1`` knots
and keeps the map from being so steep that float32 and float64 part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from bellwether.calibration.base import FLOOR, NAME, Calibrator, Flags, Floats, Ints, sample, shares, table_of
from bellwether.calibration.steps import Steps, share_nodes

CELL = 1.0 / 64.0
"""Between neighbouring knots, at least; a power of two, so that knots and what lies between them are exact float32."""


@dataclass(frozen=True, kw_only=True)
class Isotonic:
    """For each class, knots: probabilities ``x`` (knots,), ascending, and what they become ``y`` (knots,).

    Linear between knots, constant beyond them.
    """

    x: tuple[Floats, ...]
    y: tuple[Floats, ...]
    present: Flags

    def apply(self, p: NDArray[np.floating]) -> Floats:
        """Calibrated probabilities (n, classes)."""
        p = table_of(p, len(self.present))
        values = [np.interp(p[:, k], x, y) for k, (x, y) in enumerate(zip(self.x, self.y, strict=True))]
        return shares(np.column_stack(values), self.present)

    def nodes(self, steps: Steps, p: str) -> str:
        """The first value of each class, plus each segment's rise times the part of it that lies below p."""
        owner = np.repeat(np.arange(len(self.x)), [len(x) - 1 for x in self.x])
        own = (owner == np.arange(len(self.x))[:, None]).astype(np.float64)  # (classes, segments)
        start, length = np.concatenate([x[:-1] for x in self.x]), np.concatenate([np.diff(x) for x in self.x])
        rise = own.T * np.concatenate([np.diff(y) for y in self.y])[:, None]
        above = steps("Sub", steps("MatMul", p, own), start)
        part = steps("Clip", steps("Mul", above, 1.0 / length), np.array(0.0), np.array(1.0))
        values = steps("Add", steps("MatMul", part, rise), np.array([y[0] for y in self.y]))
        return share_nodes(steps, values, self.present)

    def state(self) -> dict[str, Any]:
        """The knots and which classes there are."""
        knots = {"x": [x.tolist() for x in self.x], "y": [y.tolist() for y in self.y]}
        return {NAME: "isotonic", **knots, "present": self.present.tolist()}


def fit(p: NDArray[np.floating], y: Ints, weight: Floats | None = None) -> Isotonic:
    """Fit a curve for each class.

    Values stay ``1 / (n + 2)`` away from 0 and 1, and `FLOOR` at least: n rows cannot rule a class out, and a single
    row that proved them wrong would have an infinite log loss.

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
    pooled = np.round(rows.p / CELL) * CELL
    curves = [_curve(pooled[:, k], rows.y == k, rows.weight) for k in range(pooled.shape[1])]
    return Isotonic(x=tuple(x for x, _ in curves), y=tuple(y for _, y in curves), present=rows.present)


def _curve(x: Floats, hit: Flags, weight: Floats) -> tuple[Floats, Floats]:
    least = max(FLOOR, 1.0 / (len(x) + 2.0))
    found = IsotonicRegression(y_min=least, y_max=1.0 - least, out_of_bounds="clip").fit(x, hit, sample_weight=weight)
    knots, values = np.asarray(found.X_thresholds_, np.float64), np.asarray(found.y_thresholds_, np.float64)
    if len(knots) == 1:  # one probability for all rows: a flat segment, for the graph wants one
        knots, values = np.append(knots, knots[0] + CELL), np.repeat(values, 2)
    return knots, values


def restore(state: Mapping[str, Any]) -> Isotonic:
    """The map of a state."""
    x, y = (tuple(np.array(knots, np.float64) for knots in state[name]) for name in ("x", "y"))
    return Isotonic(x=x, y=y, present=np.array(state["present"], np.bool_))


ISOTONIC = Calibrator(name="isotonic", fit=fit, restore=restore)
