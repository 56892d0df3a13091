"""Whether a model was made for what a recipe would serve it."""

from __future__ import annotations

from collections.abc import Collection

from bellwether.config.recipe import Recipe
from bellwether.errors import ModelError
from bellwether.models.artefact import Contract
from data.features.base import FeatureSet
from data.targets import target_kind
from serve_apps.models.intervals import conformal_states


def check_contract(
    contract: Contract, recipe: Recipe, features: FeatureSet, reads: Collection[str] = ("features",)
) -> None:
    """Raise `ModelError`, with both sides, if the model was made for something else than what would be served,
    or if the state of its intervals is damaged.

    ``reads`` are the kinds of columns the app can give a model (`bellwether.models.base.Reads`).
    """
    pairs = {
        "feature definition": (contract.definition, features.definition),
        "feature order": (contract.features, features.outputs if contract.reads == "features" else contract.features),
        "target": (contract.target, recipe.target.kind),
        "class order": (contract.classes, target_kind(recipe.target.kind).classes),
        "interval": (contract.interval, recipe.interval or recipe.record),
        "components": (contract.symbols, recipe.universe.symbols),
        "horizon": (contract.horizon, recipe.target.horizon),
        "overnight": (contract.overnight, recipe.target.overnight),
        "columns": (contract.reads, contract.reads if contract.reads in reads else ", ".join(reads)),
    }
    if recipe.target.overnight == "drop":  # a window of training rows skips the last bar of a session
        pairs["lookback"] = (contract.lookback, 1)
    for what, (model, served) in pairs.items():
        if model != served:
            raise ModelError(
                f"the model's {what} is {_text(model)} and the one served is {_text(served)}: train {recipe.name} "
                "again, or serve the version that belongs to it"
            )
    conformal_states(contract)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
