"""Which versions one answer is made of, and which requests get them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zlib import crc32

from bellwether.config.recipe import Recipe, own_name
from bellwether.errors import NoChampion
from serve_apps.models.routes import CANDIDATE, Route, Routes, from_config, holder, resolve

if TYPE_CHECKING:
    from bellwether.registry import Registry

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Release:
    """The versions that one answer is made of: of the pooled model, and of symbols that have one of their own.

    >>> release = Release(3, (("A", 1), ("B", 2)))
    >>> release.narrowed({"B", "C"}), Release(3).stamp
    (Release(version=3, own=(('B', 2),)), '3')
    """

    version: int
    own: tuple[tuple[str, int], ...] = ()

    def narrowed(self, symbols: Collection[str]) -> Release:
        """What of it matters to these symbols."""
        if not self.own:
            return self
        those = frozenset(symbols)
        return Release(self.version, tuple(pair for pair in self.own if pair[0] in those))

    @property
    def stamp(self) -> str:
        """A short text that differs where the versions do."""
        return f"{self.version}+{crc32(repr(self.own).encode()):08x}" if self.own else str(self.version)


@dataclass(frozen=True, kw_only=True)
class Releases:
    """The release that answers, the one in `CANDIDATE` that is tried beside it, and who gets which.

    Parameters
    ----------
    name : str
        The recipe: what the pooled model is called.
    routes : mapping
        Of the pooled model, and of the symbols' own by `own_name`.
    symbols : sequence of str
        The universe.
    """

    name: str
    routes: Routes
    symbols: tuple[str, ...]

    @classmethod
    def parse(cls, config: Mapping[str, Any], recipe: Recipe) -> Releases:
        """Of a ``user_config``."""
        return cls(name=recipe.name, routes=from_config(config), symbols=recipe.universe.symbols)

    @cached_property
    def answering(self) -> Release:
        """What answers all requests but the canary's."""
        return self._release(candidate=False)

    @cached_property
    def candidate(self) -> Release:
        """What answers the canary's; the answering one where there is none."""
        return self._release(candidate=True)

    @property
    def all(self) -> tuple[Release, ...]:
        """Every release a replica holds, the answering one first."""
        both = (self.answering, self.candidate)
        return both[:1] if both[0] == both[1] else both

    def choose(self, key: str) -> Release:
        """The release that answers a request; the same key gives the same one, in whatever process."""
        pooled = self.routes[self.name]
        return self.answering if pooled.choose(key) == pooled.version else self.candidate

    def beside(self, release: Release) -> Release | None:
        """The release that predicts for the log while another answers; None where there is none."""
        if not self.routes[self.name].shadow:
            return None
        return next((other for other in self.all if other != release), None)

    def naming(self, release: Release, symbol: str | None = None) -> Json:
        """What an answer says of the model behind it: of a symbol's own, or else of the pooled one."""
        own = dict(release.own)
        name, version = (self.name, release.version)
        if symbol in own:
            name, version = own_name(self.name, symbol), own[symbol]
        return {"name": name, "version": version, "alias": self.routes[name].name_of(version)}

    def _release(self, *, candidate: bool) -> Release:
        def of(route: Route) -> int:
            return route.candidate if candidate and route.candidate is not None else route.version

        own = ((s, self.routes.get(own_name(self.name, s))) for s in self.symbols) if len(self.routes) > 1 else ()
        return Release(of(self.routes[self.name]), tuple((s, of(route)) for s, route in own if route is not None))


def own_recipe(recipe: Recipe, symbol: str) -> Recipe:
    """The recipe as the model of one symbol knows it: a universe of that symbol alone."""
    universe = recipe.universe.model_copy(update={"symbols": (symbol,)})
    return recipe.model_copy(update={"universe": universe})


def resolved(registry: Registry, recipe: Recipe, alias: str, *, canary: float, shadow: bool) -> Routes:
    """The routes of a recipe as the registry stands now; a symbol without a model of its own under the alias has none.

    Raises
    ------
    NoChampion
        No pooled model carries the alias; or, where a canary or a shadow is asked for, `CANDIDATE`.
    """
    routes = {recipe.name: resolve(registry, recipe.name, alias, canary=canary, shadow=shadow)}
    if recipe.serving.models == "per_symbol":
        for symbol in recipe.universe.symbols:
            name = own_name(recipe.name, symbol)
            if (version := _held(registry, name, alias)) is not None:
                candidate = _held(registry, name, CANDIDATE) if canary or shadow else None
                routes[name] = Route(version=version, alias=alias, candidate=candidate)
    return routes


def _held(registry: Registry, name: str, alias: str) -> int | None:
    try:
        return holder(registry, name, alias)
    except NoChampion:
        return None
