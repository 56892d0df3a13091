"""Point-in-time weights: what was known of them at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.sections import Universe
from bellwether.errors import ConfigError
from data.lake import Lake

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PARTITION = "weights"


def weights_kind(universe: Universe) -> str:
    """Return where the weights of a universe live in the lake, e.g. ``weights/qqq``."""
    return f"weights/{universe.name}"


@dataclass(frozen=True, kw_only=True)
class WeightTable:
    """Dated weights, each date in force until the next.

    Parameters
    ----------
    effective : int64 array of shape (D,)
        From when each row holds, UTC nanoseconds, rising.
    symbols : tuple of str
        Everything that has a weight on some date.
    values : float64 array of shape (D, len(symbols))
        Raw fractions of the whole index, never renormalised here; NaN for a symbol without weight on a date.

    Examples
    --------
    >>> table = WeightTable(effective=np.array([10]), symbols=("A", "B"), values=np.array([[0.7, 0.3]]))
    >>> table.at(12, ["B", "C"]).tolist(), table.at(9, ["B"]).tolist()
    ([0.3, nan], [nan])
    """

    effective: Ints
    symbols: tuple[str, ...]
    values: Floats

    @classmethod
    def from_arrow(cls, table: pa.Table) -> WeightTable:
        """Make it of a table of schema `data.weights.base.WEIGHTS`."""
        at = table["effective"].cast(pa.int64()).to_numpy()
        effective, rows = np.unique(at, return_inverse=True)
        symbols, columns = np.unique(np.asarray(table["symbol"].to_pylist(), dtype=str), return_inverse=True)
        values = np.full((len(effective), len(symbols)), np.nan)
        values[rows, columns] = table["weight"].to_numpy()
        return cls(effective=effective, symbols=tuple(map(str, symbols)), values=values)

    def at(self, ts: int, symbols: Sequence[str]) -> Floats:
        """Return the weights in force at a time, (len(symbols),); `matrix` says what is NaN."""
        weights: Floats = self.matrix(np.array([ts], np.int64), symbols)[0]
        return weights

    def matrix(self, ts: Ints, symbols: Sequence[str]) -> Floats:
        """Return the weights in force at each time: those of the newest date at or before it.

        Parameters
        ----------
        ts : int64 array of shape (T,)
            UTC nanoseconds, in any order.
        symbols : sequence of str
            The columns wanted.

        Returns
        -------
        float64 array of shape (T, len(symbols))
            NaN before the first date, and for a symbol that has no weight on the date in force.
        """
        place = {symbol: column for column, symbol in enumerate(self.symbols)}
        unknown = len(self.symbols)
        table = np.full((len(self.effective) + 1, unknown + 1), np.nan)  # first row: before any; last column: unknown
        table[1:, :unknown] = self.values
        rows = np.searchsorted(self.effective, ts, side="right")
        columns = np.array([place.get(symbol, unknown) for symbol in symbols], np.int64)
        return table[rows[:, None], columns]

    def check(self, universe: Universe) -> None:
        """Raise `ConfigError` naming the universe's symbols that have a weight on no date."""
        if lacking := [symbol for symbol in universe.symbols if symbol not in self.symbols]:
            raise ConfigError(
                f"no date has a weight for {', '.join(lacking)} of universe {universe.name}; correct the symbols, "
                f"or the weights source, which knows {len(self.symbols)}: {', '.join(self.symbols[:20])} …"
            )


NO_WEIGHTS = WeightTable(effective=np.empty(0, np.int64), symbols=(), values=np.empty((0, 0)))
"""The weights of a universe that names none: every symbol's is unknown at every time."""


def load_weights(lake: Lake, universe: Universe) -> WeightTable:
    """Read a universe's weights from the lake; `bellwether.errors.NotInLake` if they were not ingested."""
    return WeightTable.from_arrow(lake.read(weights_kind(universe), PARTITION))
