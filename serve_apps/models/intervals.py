"""The intervals of values, as the contract of a loaded version promises them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from bellwether.calibration.conformal import Conformal
from bellwether.errors import ModelError
from bellwether.models.artefact import Contract
from bellwether.models.predictor import Predictor
from data.features.base import Floats

Ends = tuple[float, float]
"""Low and high: where a value will lie."""


class Intervals:
    """Makes intervals around a version's values; made once for each version that is loaded.

    The band is from the lowest to the highest quantile where the model gives quantiles, and the value alone where it
    gives none. The interval is the band, wider by the radius of its step (`Conformal.interval`), and never leaves the
    value itself out: that costs no coverage. There is none where intervals were not calibrated, or where only an
    infinite one would hold what is promised.

    Parameters
    ----------
    predictor : Predictor

    Raises
    ------
    ModelError
        The contract's intervals are damaged, or of another number of steps than the model's.
    """

    def __init__(self, predictor: Predictor) -> None:
        contract = predictor.contract
        self._quantiles = predictor.quantiles if contract.ranged else None
        states = conformal_states(contract)
        self._radii = [state.radius for state in states]
        self.coverage = round(1.0 - states[0].alpha, 9) if states else None
        """Share of outcomes that intervals are to hold; None where there are none."""

    def of(self, x: Floats, values: Sequence[Sequence[float]]) -> list[list[Ends | None]]:
        """The interval of each step of each row.

        Parameters
        ----------
        x : float64 array of shape (n, columns)
            What the model saw.
        values : n lists of as many floats as there are steps
            What it said.
        """
        if not self._radii:
            return [[None] * len(row) for row in values]
        if self._quantiles is None:
            return [[_ends(r, v, v, v) for r, v in zip(self._radii, row, strict=True)] for row in values]
        bands = self._quantiles(x)[:, :, [0, -1]].tolist()
        return [
            [_ends(r, v, *band) for r, v, band in zip(self._radii, row, found, strict=True)]
            for row, found in zip(values, bands, strict=True)
        ]

    def one(self, x: Floats, value: float) -> Ends | None:
        """What `of` says of one row and step, without arrays and loops: a trade is predicted in microseconds."""
        if not self._radii:
            return None
        low = high = value
        if self._quantiles is not None:
            low, *_, high = self._quantiles(x)[0, 0].tolist()
        return _ends(self._radii[0], value, low, high)


def conformal_states(contract: Contract) -> list[Conformal]:
    """What the intervals of each step are made of; empty where none were calibrated.

    Raises
    ------
    ModelError
        They are damaged, or of another number of steps than the model's.
    """
    found = [] if contract.classes else [Conformal.restore(state) for state in contract.conformal.get("steps", [])]
    if found and len(found) != contract.steps:
        raise ModelError(f"the intervals are of {len(found)} steps and the model of {contract.steps}: train it again")
    return found


def _ends(radius: float, value: float, low: float, high: float) -> Ends | None:
    below, above = low - radius, high + radius
    if below > above:  # bands wider than needed: what `Conformal.interval` makes of them
        below = above = 0.5 * (low + high)
    if value < below:
        below = value
    if value > above:
        above = value
    return (below, above) if isfinite(below) and isfinite(above) else None
