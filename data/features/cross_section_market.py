"""A universe beside the bars of each of its components: what the cross-section set knows of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from bellwether.config.sections import Universe
from bellwether.errors import DataError
from data.features.base import Floats, Ints
from data.features.basket import basket
from data.features.compiled import source_of
from data.features.cross_market import COMMON, OWN, cross_market
from data.features.market import BLOCK
from data.weights.table import WeightTable

Series = Mapping[str, tuple[Ints, Floats]]


@dataclass(frozen=True, kw_only=True)
class CrossContext:
    """What the universe did at each of its timestamps.

    Parameters
    ----------
    ts : int64 array of shape (T,)
        Closes of bars, UTC nanoseconds, rising.
    common : float64 array of shape (T, len(COMMON))
        What is the same for all; NaN where it is not known yet.
    own : mapping of symbol to float64 array of shape (T, len(OWN))
        What is each component's own; NaN likewise, and the rank where it has no bar.
    """

    ts: Ints
    common: Floats
    own: Mapping[str, Floats]

    def at(self, symbol: str, ts: Ints) -> Floats:
        """Return `COMMON` and `OWN` of a symbol at exactly ``ts``, (n, 9); NaN for what the universe has not seen.

        >>> own = {"A": np.array([[1.0, 0.1, 0.2]])}
        >>> context = CrossContext(ts=np.array([10]), common=np.zeros((1, 6)), own=own)
        >>> context.at("A", np.array([10, 11]))[:, 5:].tolist()
        [[0.0, 1.0, 0.1, 0.2], [nan, nan, nan, nan]]
        """
        out = np.full((len(ts), len(COMMON) + len(OWN)), np.nan)
        where = np.searchsorted(self.ts, ts)
        known = where < len(self.ts)
        known[known] = self.ts[where[known]] == ts[known]
        out[known, : len(COMMON)] = self.common[where[known]]
        if symbol in self.own:
            out[known, len(COMMON) :] = self.own[symbol][where[known]]
        return out


def cross_context(series: Series, weights: Any, universe: Universe) -> CrossContext:
    """Scan the universe over every timestamp at which a component has a bar, a block of them at a time.

    Parameters
    ----------
    series : mapping of symbol to (ts, values)
        Rising UTC nanoseconds, and the closes there in the first column. A component that is absent takes no part;
        without bars of the index, its place is taken by the basket.
    weights : Weights or None
        Point-in-time weights: those in force at a timestamp are used there; None: nobody has any.
    universe : Universe
        The components, in the order that fixes the sums and settles ties.

    Raises
    ------
    DataError
        Timestamps of a symbol do not rise.
    """
    symbols = universe.symbols
    for symbol, (at, _) in series.items():
        if (np.diff(at) <= 0).any():
            raise DataError(f"ts_event of {symbol} must rise; sort and deduplicate")
    ts = reduce(np.union1d, (series[s][0] for s in symbols if s in series), np.empty(0, np.int64))
    common = np.empty((len(ts), len(COMMON)))
    own = {symbol: np.empty((len(ts), len(OWN))) for symbol in symbols}
    for block, shared, found in _blocks(ts, series, weights, universe):
        common[block] = shared
        for k, symbol in enumerate(symbols):
            own[symbol][block] = found[:, :, k]
    return CrossContext(ts=ts, common=common, own=own)


def _blocks(ts: Ints, series: Series, weights: Any, universe: Universe) -> Iterator[tuple[slice, Floats, Floats]]:
    """`COMMON`, (b, len(COMMON)), and `OWN` of all components, (b, len(OWN), n), a block of b timestamps at a time."""
    symbols, n = universe.symbols, len(universe.symbols)
    baskets, market = basket(n), cross_market(n)
    of_baskets, of_market = baskets.start(), market.start()
    for first in range(0, len(ts), BLOCK):
        grid = ts[first : first + BLOCK]
        closes = np.column_stack([_on(grid, series.get(symbol)) for symbol in (*symbols, universe.index)])
        in_force = np.full((len(grid), n), np.nan) if weights is None else weights.matrix(grid, symbols)
        together = baskets.scan(np.column_stack([closes[:, :n], in_force]), of_baskets)
        found = market.scan(np.column_stack([closes, in_force, together]), of_market)
        index = found[:, :1] if universe.index in series else together[:, :1]
        common = np.column_stack([together, index, found[:, 1:4]])
        yield slice(first, first + len(grid)), common, found[:, 4:].reshape(len(grid), len(OWN), n)


def _on(grid: Ints, own: tuple[Ints, Floats] | None) -> Floats:
    """Closes at the times of the grid, NaN where there is none."""
    column = np.full(len(grid), np.nan)
    if own is not None:
        ts, values = own
        within = slice(*np.searchsorted(ts, (grid[0], grid[-1] + 1)))
        ts, values = ts[within], values[within]
        there = np.isin(ts, grid, assume_unique=True)
        column[np.searchsorted(grid, ts[there])] = values[there, 0]
    return column


def cross_definition(n: int) -> str:
    """Return a hash that changes with what the scan of a universe of ``n`` computes, weights in force included."""
    made_by: tuple[Callable[..., Any], ...] = (cross_context, WeightTable.matrix, WeightTable.from_arrow)
    parts = (basket(n).definition, cross_market(n).definition, *map(source_of, made_by))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
