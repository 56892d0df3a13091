"""From bars to features, the one way that history and serving both go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
import pyarrow as pa

from bellwether.config.recipe import Recipe
from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.features import feature_kind
from data.features.base import FeatureSet, Floats, Ints
from data.features.basket import basket
from data.features.clock import session_clock
from data.options import checked
from data.wall import times

BLOCK = 4_096
"""Timestamps the basket is computed for at once: bounds the memory of a wide universe."""

PRICES = ("open", "high", "low", "close", "volume")
Closes = Mapping[str, tuple[Ints, Floats]]


class Weights(Protocol):
    """Anything that knows the components' weights at a time; see `data.weights.table.WeightTable`."""

    def matrix(self, ts: Ints, symbols: Sequence[str]) -> Floats:
        """Weights in force at each of ``ts``, (n, len(symbols)), NaN where there is none."""
        ...


@dataclass(frozen=True, kw_only=True)
class MarketContext:
    """What the basket of components did at each timestamp of the universe.

    Parameters
    ----------
    ts : int64 array of shape (T,)
        Closes of bars, UTC nanoseconds, rising.
    values : float64 array of shape (T, 2)
        ``basket_return`` and ``basket_volatility``; NaN where the basket does not know them yet.
    """

    ts: Ints
    values: Floats

    def at(self, ts: Ints) -> Floats:
        """Return the rows that stand at exactly ``ts``, (n, 2); NaN for a timestamp the basket has not seen.

        >>> context = MarketContext(ts=np.array([10, 20]), values=np.array([[0.1, 0.2], [0.3, 0.4]]))
        >>> context.at(np.array([20, 15])).tolist()
        [[0.3, 0.4], [nan, nan]]
        """
        out = np.full((len(ts), 2), np.nan)
        where = np.searchsorted(self.ts, ts)
        known = where < len(self.ts)
        known[known] = self.ts[where[known]] == ts[known]
        out[known] = self.values[where[known]]
        return out


def market_context(closes: Closes, weights: Weights, symbols: Sequence[str]) -> MarketContext:
    """Scan the basket over every timestamp at which a component has a bar.

    Parameters
    ----------
    closes : mapping of symbol to (ts, close)
        Rising UTC nanoseconds and the closes there. A symbol that is absent has no bars and takes no part.
    weights : Weights
        Point-in-time weights: those in force at a timestamp are used there.
    symbols : sequence of str
        The components, in the order that fixes the sums.

    Raises
    ------
    DataError
        Timestamps of a symbol do not rise.
    """
    present = [symbol for symbol in symbols if symbol in closes]
    for symbol in present:
        _check_rising(closes[symbol][0], symbol)
    if not present:
        return MarketContext(ts=np.empty(0, np.int64), values=np.empty((0, 2)))
    ts = reduce(_union, (closes[symbol][0] for symbol in present))
    fs = basket(len(symbols))
    state, values = fs.start(), np.empty((len(ts), 2))
    for block, x in _blocks(ts, closes, weights, symbols):
        values[block] = fs.scan(x, state)
    return MarketContext(ts=ts, values=values)


def _union(a: Ints, b: Ints) -> Ints:
    return a if np.array_equal(a, b) else np.union1d(a, b)  # components of one exchange share their grid


def _blocks(ts: Ints, closes: Closes, weights: Weights, symbols: Sequence[str]) -> Iterator[tuple[slice, Floats]]:
    """Rows of the basket's inputs, a block of timestamps at a time."""
    n = len(symbols)
    for first in range(0, len(ts), BLOCK):
        block = slice(first, min(first + BLOCK, len(ts)))
        x = np.full((block.stop - first, 2 * n), np.nan)
        for k, symbol in enumerate(symbols):
            if symbol in closes:
                _place(x[:, k], ts[block], *closes[symbol])
        x[:, n:] = weights.matrix(ts[block], symbols)
        yield block, x


def _place(column: Floats, grid: Ints, ts: Ints, close: Floats) -> None:
    """Write the closes that lie within ``grid`` at their places in ``column``."""
    low, high = np.searchsorted(ts, grid[0]), np.searchsorted(ts, grid[-1], side="right")
    here = slice(None) if np.array_equal(ts[low:high], grid) else np.searchsorted(grid, ts[low:high])
    column[here] = close[low:high]


def component_inputs(bars: pa.Table, session: Session, context: MarketContext) -> Floats:
    """Bring the bars of one symbol into the columns the hourly kernel reads.

    Parameters
    ----------
    bars : pyarrow.Table
        Columns of `data.records.BARS` of one symbol, ``ts_event`` rising; ``symbol`` itself may be left out.
    session : Session
        The market's hours.
    context : MarketContext
        The basket at these timestamps; rows it does not know get NaN in the basket columns.

    Returns
    -------
    float64 array of shape (n, len(HOURLY.inputs))

    Raises
    ------
    DataError
        The timestamps do not rise.
    """
    ts = times(bars)
    _check_rising(ts, "these bars")
    columns = np.empty((len(PRICES) + 5, len(ts)))
    for k, name in enumerate(PRICES):
        columns[k] = bars.column(name).to_numpy()
    columns[5:8] = session_clock(ts, session).T
    columns[8:10] = context.at(ts).T
    return np.ascontiguousarray(columns.T)


def component_features(fs: FeatureSet, bars: pa.Table, session: Session, context: MarketContext) -> Floats:
    """Compute the features of one symbol's bars from an empty state, one row a bar; NaN in the warm-up.

    History and serving both call this and nothing else; `component_inputs` has the parameters.
    """
    return fs.scan(component_inputs(bars, session, context), fs.start())


def features_kind(recipe: Recipe) -> str:
    """Return where the features of a recipe live in the lake, e.g. ``features/qqq/1h/hourly-0f3a9c21``.

    What follows the dash is a hash of the set's options, the session and the symbols, so that two recipes that differ
    in one of them do not overwrite each other's.
    """
    found = feature_kind(recipe.features.kind)
    options = checked(f"feature set {found.kind!r}", found.options, recipe.features.options)
    made_for = (options.model_dump_json(), recipe.session.model_dump_json(), recipe.universe.symbols)
    scale, digest = recipe.kind.removeprefix("bars/"), hashlib.sha256(repr(made_for).encode()).hexdigest()[:8]
    return f"features/{recipe.universe.name}/{scale}/{found.kind}-{digest}"


def _check_rising(ts: Ints, what: str) -> None:
    falls = np.flatnonzero(np.diff(ts) <= 0)
    if len(falls):
        row = int(falls[0]) + 1
        raise DataError(
            f"ts_event of {what} must rise: row {row} has {ts[row]} after {ts[row - 1]}; sort and deduplicate"
        )
