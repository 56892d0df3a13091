"""Whether a model of rates can be served from here."""

from __future__ import annotations

from bellwether.config.recipe import Recipe
from bellwether.errors import ModelError
from bellwether.models.artefact import Contract
from data.features import features_of
from serve_apps.models.checks import check_contract


def check_rates(contract: Contract, recipe: Recipe) -> None:
    """Raise `ModelError` where a version was made for something else, or looks back: a request has one interval."""
    check_contract(contract, recipe, features_of(recipe.features))
    if contract.lookback != 1:
        raise ModelError(
            f"the model looks at {contract.lookback} intervals and a request has one: train a family of {recipe.name} "
            "that looks at one"
        )
