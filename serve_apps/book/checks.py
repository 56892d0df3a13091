"""Whether a model over books can be served from here."""

from __future__ import annotations

from bellwether.config.recipe import Recipe
from bellwether.errors import ConfigError, ModelError
from bellwether.models.artefact import Contract
from bellwether.models.base import Reads
from data.features import feature_kind
from data.features.base import FeatureSet
from serve_apps.book.live import HELD, SERVED
from serve_apps.models.checks import check_contract


def check_recipe(recipe: Recipe, app: str, target: str) -> None:
    """Raise `ConfigError` unless the recipe is one that an app over books can serve."""
    if (recipe.record, recipe.target.kind) != ("books", target):
        raise ConfigError(
            f"{app} serves the target {target} of books; {recipe.name} has {recipe.target.kind} of {recipe.record}: "
            "serve another recipe, or another app"
        )
    if feature_kind(recipe.features.kind).market is not None:
        raise ConfigError(f"{app} looks at one symbol at a time; {recipe.features.kind} of {recipe.name} looks at all")


def check_model(contract: Contract, recipe: Recipe, features: FeatureSet) -> None:
    """Raise `ModelError` where the model was made for something else, or is shown what this app does not have.

    Windows are those of training here, also where training left out the rows before a night.
    """
    check_contract(contract.model_copy(update={"lookback": 1}), recipe, features, SERVED)
    if contract.reads == Reads.FEATURES.value and contract.lookback > HELD:
        raise ModelError(f"the model looks at {contract.lookback} rows at once, and {HELD} are kept: train it on fewer")
