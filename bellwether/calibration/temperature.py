"""Temperature scaling: one number that makes all probabilities surer or less sure and keeps their order.

Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML (2017), section 4.2. The
logarithm of a probability stands in for the logit: the two differ by a constant of the row, which softmax drops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from bellwether.calibration.base import FLOOR, NAME, Calibrator, Flags, Floats, Ints, sample, table_of
from bellwether.calibration.steps import Steps

BOUNDS = (0.1, 10.0)
"""Temperatures to search: beyond them a float32 graph and float64 would part, and predictions say next to nothing."""


@dataclass(frozen=True, kw_only=True)
class Temperature:
    """Probabilities to the power ``1 / temperature``, renormalised; above 1 is less sure, below it surer."""

    temperature: float
    present: Flags

    def apply(self, p: NDArray[np.floating]) -> Floats:
        """Calibrated probabilities (n, classes)."""
        return np.asarray(softmax(_logs(table_of(p, len(self.present)), self.present) / self.temperature, axis=1))

    def nodes(self, steps: Steps, p: str) -> str:
        """Logarithm, scale, softmax; minus infinity is added to what belongs to no class."""
        logs = steps("Log", steps("Max", p, np.array([FLOOR])))
        scaled = steps("Mul", logs, np.array([1.0 / self.temperature]))
        return steps("Softmax", steps("Add", scaled, np.where(self.present, 0.0, -np.inf)), axis=-1)

    def state(self) -> dict[str, Any]:
        """The temperature and which classes there are."""
        return {NAME: "temperature", "temperature": self.temperature, "present": self.present.tolist()}


def fit(p: NDArray[np.floating], y: Ints, weight: Floats | None = None) -> Temperature:
    """Find the temperature of the least log loss, within `BOUNDS`.

    The loss has one minimum: it is convex in ``1 / temperature``. Rows of a class that has no probability anywhere say
    nothing of the temperature and are left out.

    Raises
    ------
    DataError
        As `bellwether.calibration.base.sample`.

    Examples
    --------
    A model that is nine times in ten sure and two times in three right:

    >>> sure = np.tile([0.9, 0.1], (3, 1))
    >>> found = fit(sure, np.array([0, 0, 1]))
    >>> round(found.temperature, 2), found.apply(sure[:1]).round(2).tolist()
    (3.17, [[0.67, 0.33]])
    """
    rows = sample(p, y, weight)
    told = rows.present[rows.y]
    logs, true, own = _logs(rows.p[told], rows.present), rows.y[told], rows.weight[told]

    def loss(log_temperature: float) -> float:
        each = log_softmax(logs / np.exp(log_temperature), axis=1)[np.arange(len(true)), true]
        return float(-(own * each).sum())

    found = minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded", options={"xatol": 1e-9})
    # with one class, or one probability for all of them, no temperature is better than another
    flat = loss(float(found.x)) >= loss(0.0)
    return Temperature(temperature=1.0 if flat else float(np.exp(found.x)), present=rows.present)


def _logs(p: Floats, present: Flags) -> Floats:
    return np.asarray(np.where(present, np.log(np.maximum(p, FLOOR)), -np.inf), np.float64)


def restore(state: Mapping[str, Any]) -> Temperature:
    """The map of a state."""
    return Temperature(temperature=float(state["temperature"]), present=np.array(state["present"], np.bool_))


TEMPERATURE = Calibrator(name="temperature", fit=fit, restore=restore)
