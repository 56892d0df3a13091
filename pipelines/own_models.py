"""A symbol's own model, beside the pooled one: made by the same sweep, under the name that serving looks for."""

from __future__ import annotations

from dataclasses import replace

from bellwether.config import Recipe
from bellwether.config.recipe import own_name
from bellwether.errors import ConfigError, UnknownName
from pipelines.workspace import Workspace
from serve_apps.index.releases import own_recipe


def own(workspace: Workspace, symbol: str | None) -> Workspace:
    """The workspace of a symbol's own model; of the pooled one, which it is given, where no symbol is named.

    Raises
    ------
    ConfigError
        The recipe serves the pooled model alone.
    UnknownName
        The universe has no such symbol.
    """
    recipe = workspace.recipe
    if symbol is None:
        return workspace
    if recipe.serving.models != "per_symbol":
        raise ConfigError(f"{recipe.name} serves its pooled model alone: say `models: per_symbol` in its `serving`")
    if symbol not in recipe.universe.symbols:
        raise UnknownName(f"symbol of {recipe.universe.name}", symbol, recipe.universe.symbols)
    return replace(workspace, recipe=trained_recipe(recipe, symbol), symbol=symbol)


def trained_recipe(recipe: Recipe, symbol: str) -> Recipe:
    """What a symbol's own model is trained by.

    The gate asks of it a confidence with which all symbols together are as unlikely to pass by luck as the pooled model
    is: Bonferroni's correction. Thresholds and expected returns of the index are the pooled model's.
    """
    own = own_recipe(recipe, symbol)
    by_luck = (1.0 - recipe.gate.confidence) / len(recipe.universe.symbols)
    changes = {
        "name": own_name(recipe.name, symbol),
        "gate": recipe.gate.model_copy(update={"confidence": 1.0 - by_luck}),
        "serving": recipe.serving.model_copy(update={"app": None, "models": "pooled", "thresholds": "fixed"}),
    }
    return own.model_copy(update=changes)
