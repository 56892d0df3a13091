"""The index's own bars: what it closed at, and what it did next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bellwether.config.recipe import Recipe
from bellwether.errors import NotInLake
from data.features.base import Floats, Ints
from data.lake import Lake
from data.targets import target_kind
from data.wall import times


@dataclass(frozen=True, kw_only=True)
class IndexBars:
    """Bars of the index in time order, all (n,).

    ``following`` is the simple return over the recipe's horizon that begins at each close; NaN where it is not known
    yet, or the target leaves it out.
    """

    ts: Ints
    close: Floats
    following: Floats

    def at(self, ts: int) -> tuple[float | None, float | None]:
        """Close of the bar that closed at a time, and what followed; None where there is none."""
        row = int(np.searchsorted(self.ts, ts))
        if row == len(self.ts) or self.ts[row] != ts:
            return None, None
        following = float(self.following[row])
        return float(self.close[row]), following if np.isfinite(following) else None


def index_bars(recipe: Recipe, lake: Lake) -> IndexBars:
    """Read the bars of the universe's index; none where the lake has none."""
    try:
        bars = lake.read(recipe.kind, recipe.universe.index, ["ts_event", "close"])
    except NotInLake:
        nothing = np.empty(0)
        return IndexBars(ts=np.empty(0, np.int64), close=nothing, following=nothing)
    ts, close = times(bars), bars.column("close").to_numpy()
    following, _ = target_kind(recipe.target.kind).outcome(ts, close, recipe.session, recipe.target)
    return IndexBars(ts=ts, close=close, following=following)
