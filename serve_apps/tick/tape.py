"""All symbols of an app as the lake has them, followed as it grows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bellwether.config.recipe import Recipe
from data.lake import Lake
from data.lake.slices import Slice, slices
from serve_apps.following import Following
from serve_apps.tick.known import Known, Reader

View = Mapping[str, Known]

log = logging.getLogger(__name__)


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
        """Read what is new; a symbol of which nothing is, has the same object as before.

        A symbol whose trades cannot be read keeps what it had, and says why (`Known.unread`); the others go on.
        """
        trades = slices(self._lake.entries(self._recipe.kind).values())
        self._held = {s: self._known(s, trades.get(s, ())) for s in self._recipe.universe.symbols}
        return self._held

    def _known(self, symbol: str, parts: Sequence[Slice]) -> Known:
        before = self._held.get(symbol)
        try:
            found = self._reader.known(symbol, parts, before)
        except Exception as error:  # whatever is wrong with its trades is no business of the others
            why, stays = f"{type(error).__name__}: {error}", before or self._reader.nothing()
            if stays.unread == why:
                return stays
            log.exception("trades of %s cannot be read; it stays where it stood", symbol)
            return replace(stays, unread=why)
        return replace(found, unread="") if found.unread else found


class FollowedTape(Following[View]):
    """A tape, followed by a background task and by requests that have just written to the lake.

    Symbols that could not be read are tried again at each look, also where the lake is the same.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        super().__init__(tape.version, tape.view, lambda view: not any(known.unread for known in view.values()))
