"""Prices ahead, with their intervals, of what a model says about changes."""

from __future__ import annotations

from dataclasses import dataclass

from bellwether.models.predictor import Predictor
from data.features.base import Floats
from serve_apps.models.intervals import Ends, Intervals


@dataclass(frozen=True, kw_only=True)
class Step:
    """A price ahead. ``lower`` and ``upper`` are None where the model has no intervals or only an infinite one."""

    price: float
    lower: float | None
    upper: float | None


class Pricer:
    """Makes prices, and their intervals (`serve_apps.models.intervals.Intervals`), of a model's values.

    Parameters
    ----------
    predictor : Predictor

    Raises
    ------
    ModelError
        The contract's intervals are damaged.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor, self._level = predictor, predictor.contract.level
        self._intervals = Intervals(predictor)

    @property
    def promised(self) -> float | None:
        """Share of prices that the intervals are to hold; None where there are none."""
        return self._intervals.coverage

    def steps(self, seen: Floats, value: float) -> list[Step]:
        """All steps ahead of a row with this value.

        Parameters
        ----------
        seen : float64 array of shape (columns,)
        """
        x, base = seen[None], float(value) if self._level else 0.0
        said = self._predictor.predict(x).tolist()
        return [_step(base, *one) for one in zip(said[0], self._intervals.of(x, said)[0], strict=True)]


def _step(base: float, change: float, ends: Ends | None) -> Step:
    lower, upper = (None, None) if ends is None else (base + ends[0], base + ends[1])
    return Step(price=base + change, lower=lower, upper=upper)
