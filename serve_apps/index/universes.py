"""The universes one app answers for: the recipe's own, and parts of it."""

from __future__ import annotations

from dataclasses import dataclass

from bellwether.config.recipe import Recipe
from serve_apps.index.wire import Json
from serve_apps.web.problems import not_found


@dataclass(frozen=True, slots=True)
class Basket:
    """A universe by name, and its symbols in the order that answers list them."""

    name: str
    symbols: tuple[str, ...]


class Universes:
    """Baskets by name, the recipe's own first.

    >>> from bellwether.config import load_recipe
    >>> Universes(load_recipe("index-hourly")).find(None).name
    'sim10'
    """

    def __init__(self, recipe: Recipe) -> None:
        own = recipe.universe
        parts = {own.name: own.symbols, **recipe.serving.universes}
        self.all = {name: Basket(name, tuple(symbols)) for name, symbols in parts.items()}
        self.own = self.all[own.name]

    def find(self, name: str | None) -> Basket:
        """The basket of that name, the recipe's own for None; a 404 with the known names for another."""
        if name is None:
            return self.own
        if name not in self.all:
            raise not_found("universe", name, self.all)
        return self.all[name]

    def json(self) -> Json:
        """The body of GET /universes."""
        baskets = self.all.values()
        return {
            "universes": [{"name": b.name, "symbols": list(b.symbols), "own": b.name == self.own.name} for b in baskets]
        }
