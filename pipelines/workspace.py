"""A recipe together with the installation it runs in: what every job is given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bellwether.config import Recipe, Settings, load_recipe
from bellwether.config.recipe import SUFFIXES, split_variant
from bellwether.config.sections import Part
from bellwether.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from bellwether.registry import Registry
    from data.features.base import Floats, Ints
    from data.lake.lake import Lake


@dataclass(frozen=True)
class Workspace:
    """A recipe, the settings, and the lake and registry they lead to (opened when first used).

    ``source`` is where the recipe was read from, as a process that starts elsewhere can find it: a bundled name
    or an absolute path. ``view`` is the lake as it is to be seen, where that is not the lake as it is; see `pinned`.
    ``symbol`` is whose own model the recipe is of, None for one of the whole universe; see `pipelines.own_models`.
    """

    recipe: Recipe
    settings: Settings
    source: str
    view: Lake | None = field(default=None, compare=False, repr=False)
    symbol: str | None = None

    @classmethod
    def open(cls, recipe: str, lake: str | None = None, tracking_uri: str | None = None) -> Workspace:
        """Read the recipe by name or path; what is given here wins over ``BELLWETHER_*``."""
        given = {"lake": lake, "tracking_uri": tracking_uri}
        settings = Settings(**{name: value for name, value in given.items() if value})  # type: ignore[arg-type]
        source = str(Path(recipe).absolute()) if split_variant(recipe)[0].endswith(SUFFIXES) else recipe
        read = load_recipe(recipe)
        _check_names(read)
        return cls(read, settings, source)

    @cached_property
    def lake(self) -> Lake:
        """Where the records live."""
        from data.lake.lake import Lake

        return Lake(self.settings.lake) if self.view is None else self.view

    def pinned(self) -> Workspace:
        """The same on a lake that stands still from its first look on (`data.lake.pinned`), if it does not already."""
        from data.lake.pinned import PinnedLake

        return replace(self, view=PinnedLake(self.lake.uri)) if self.view is None else self

    @cached_property
    def registry(self) -> Registry:
        """Where the champions live."""
        from bellwether.registry import Ledger, Registry

        return Registry(self.settings.tracking_uri, Ledger(self.settings.ledger))

    def index_closes(self) -> tuple[Ints, Floats]:
        """Close times (UTC nanoseconds, rising) and closes of the universe's index.

        Raises
        ------
        ConfigError
            The universe has no index.
        """
        from data.wall import times

        if not self.recipe.universe.index:
            raise ConfigError(f"universe {self.recipe.universe.name} of {self.recipe.name} names no index to score")

        bars = self.lake.read(self.recipe.kind, self.recipe.universe.index, ["ts_event", "close"])
        return times(bars), bars.column("close").to_numpy()


def _check_names(recipe: Recipe) -> None:
    """Refuse a recipe that names what no table has, before anything is started."""
    from bellwether.models import FAMILIES
    from data.derive import DERIVATIONS
    from data.features import FEATURE_SETS
    from data.sources import SOURCES
    from data.targets import TARGETS
    from data.weights import WEIGHT_SOURCES
    from serve_apps import APPS

    named = (
        ("source", (recipe.source.kind,), SOURCES),
        ("derivation", tuple(part.kind for part in recipe.derive), DERIVATIONS),
        ("weights source", _kinds(recipe.universe.weights), WEIGHT_SOURCES),
        ("feature set", (recipe.features.kind,), FEATURE_SETS),
        ("target", (recipe.target.kind,), TARGETS),
        ("model family", recipe.families, FAMILIES),
        ("served app", (recipe.serving.app,) if recipe.serving.app else (), APPS),
    )
    for what, names, table in named:
        for name in names:
            if name not in table:
                raise UnknownName(what, name, table)


def _kinds(part: Part | None) -> tuple[str, ...]:
    return (part.kind,) if part else ()
