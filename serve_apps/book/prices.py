"""Prices ahead, with their intervals, of what a model says about changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bellwether.calibration.conformal import Conformal
from bellwether.models.artefact import Contract
from bellwether.models.base import LEVELS
from bellwether.models.predictor import Predictor
from data.features.base import Floats


@dataclass(frozen=True, kw_only=True)
class Step:
    """A price ahead. ``lower`` and ``upper`` are None where the model has no intervals or only an infinite one."""

    price: float
    lower: float | None
    upper: float | None


def radii(contract: Contract) -> list[Conformal]:
    """What the intervals of each step are made of; empty where none were calibrated.

    Raises
    ------
    ModelError
        They are damaged.
    """
    return [Conformal.restore(state) for state in contract.conformal.get("steps", [])]


class Pricer:
    """Makes prices of a model's values, and widens its bands as its contract says.

    Where the model gives quantiles, the band is from the lowest to the highest; of another, its value alone. The
    interval is the band, wider by the step's radius, and never leaves the price itself out: that costs no coverage.

    Parameters
    ----------
    predictor : Predictor

    Raises
    ------
    ModelError
        The contract's intervals are damaged.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor, contract = predictor, predictor.contract
        self._level, self._ranged = contract.level, contract.ranged
        self._radii = radii(contract)

    @property
    def promised(self) -> float | None:
        """Share of prices that the intervals are to hold; None where there are none."""
        if self._radii:
            return round(1.0 - self._radii[0].alpha, 9)
        return LEVELS[-1] - LEVELS[0] if self._ranged else None

    def steps(self, seen: Floats, value: float) -> list[Step]:
        """All steps ahead of a row with this value.

        Parameters
        ----------
        seen : float64 array of shape (columns,)
        """
        said = self._predictor.predict(seen[None])[0].astype(np.float64)
        base, bands = value if self._level else 0.0, np.column_stack([said, said])
        if self._ranged:
            bands = self._predictor.quantiles(seen[None])[0][:, [0, -1]].astype(np.float64)
        return [self._step(base, k, change, band) for k, (change, band) in enumerate(zip(said, bands, strict=True))]

    def _step(self, base: float, step: int, change: float, band: Floats) -> Step:
        price, low, high = float(base + change), band[:1], band[1:]
        if self._radii:
            low, high = self._radii[step].interval(low, high)
        if not (self._radii or self._ranged) or not np.isfinite([low, high]).all():
            return Step(price=price, lower=None, upper=None)
        return Step(price=price, lower=min(float(base + low[0]), price), upper=max(float(base + high[0]), price))
