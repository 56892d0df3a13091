"""No calibration: what the others must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.calibration.base import NAME, Calibrator, Floats, Ints, sample
from bellwether.calibration.steps import Steps


@dataclass(frozen=True, kw_only=True)
class Unchanged:
    """Probabilities as they are."""

    def apply(self, p: NDArray[np.floating]) -> Floats:
        """The same probabilities (n, classes)."""
        return np.asarray(p, np.float64)

    def nodes(self, steps: Steps, p: str) -> str:
        """No nodes."""
        return p

    def state(self) -> dict[str, Any]:
        """Only its name."""
        return {NAME: "none"}


def fit(p: NDArray[np.floating], y: Ints, weight: Floats | None = None) -> Unchanged:
    """Check the arguments, as every calibrator does, and learn nothing.

    >>> fit(np.array([[0.25, 0.75]]), np.array([0])).apply(np.array([[0.5, 0.5]])).tolist()
    [[0.5, 0.5]]
    """
    sample(p, y, weight)
    return Unchanged()


def restore(state: Mapping[str, Any]) -> Unchanged:
    """There is nothing to restore."""
    return Unchanged()


NONE = Calibrator(name="none", fit=fit, restore=restore)
