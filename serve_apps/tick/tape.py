"""All symbols of an app as the lake has them, followed as it grows."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from bellwether.config.recipe import Recipe
from data.lake import Lake
from data.lake.slices import slices
from serve_apps.following import Following
from serve_apps.tick.known import Known, Reader

View = Mapping[str, Known]


class Tape:
    """What the lake makes of each symbol; a value for `Following`.

    Parameters
    ----------
    recipe : Recipe
    lake : Lake
    lookback : int
        Rows the models look at.
    """

    def __init__(self, recipe: Recipe, lake: Lake, lookback: int) -> None:
        self.lookback = lookback
        self._recipe, self._lake, self._reader = recipe, lake, Reader(recipe, lake, lookback)
        self._held: dict[str, Known] = {}

    def version(self) -> str:
        """Changes if and only if the lake's trades do."""
        return self._lake.version(self._recipe.kind)

    def view(self, version: str) -> View:
        """Read what is new; a symbol of which nothing is, has the same object as before."""
        trades = slices(self._lake.entries(self._recipe.kind).values())
        read = self._reader.known
        self._held = {s: read(s, trades.get(s, ()), self._held.get(s)) for s in self._recipe.universe.symbols}
        return self._held


class FollowedTape(Following[View]):
    """A tape, followed by a background task and by requests that have just written to the lake: one at a time."""

    def __init__(self, tape: Tape) -> None:
        self._one = threading.Lock()
        self.tape = tape
        super().__init__(tape.version, tape.view)

    def refresh(self) -> bool:
        """Look once; returns whether anything was read."""
        with self._one:
            return super().refresh()
