"""A model of a recipe, as a registry would hold it: the contract says what the recipe says, and what is given."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from bellwether.config.recipe import Recipe
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import Bundled, Fitted, Ranged
from data.features import features_of
from data.targets import target_kind

MADE = datetime(2025, 1, 1, tzinfo=UTC)


def artefact_of(recipe: Recipe, family: str, model: Fitted, /, **changes: Any) -> Artefact:
    """A fitted model and its contract; ``changes`` are made to what the contract would say of any model of the recipe,
    which is that it reads one row of the features, was trained on one row, and passed its gate without any figures."""
    fs, target = features_of(recipe.features), target_kind(recipe.target.kind)
    content = model.bundle().serialise() if isinstance(model, Bundled) else model.graph()
    contract = {
        "recipe": recipe.name,
        "universe": recipe.universe.name,
        "symbols": recipe.universe.symbols,
        "interval": recipe.interval or recipe.record,
        "family": family,
        "params": {},
        "seed": 0,
        "format": "bundle" if isinstance(model, Bundled) else "onnx",
        "feature_set": recipe.features.kind,
        "features": fs.outputs,
        "definition": fs.definition,
        "warmup": fs.warmup,
        "target": recipe.target.kind,
        "horizon": recipe.target.horizon,
        "overnight": recipe.target.overnight,
        "classes": target.classes,
        "level": target.level,
        "ranged": isinstance(model, Ranged),
        "edges": (),
        "buy": 0.25,
        "sell": -0.25,
        "train_start": MADE,
        "train_end": MADE,
        "train_rows": 1,
        "metrics": {},
        "baselines": {},
        "verdict": {"passed": True, "reason": "made for a test or a benchmark"},
        "versions": {},
        "sha256": hashlib.sha256(content).hexdigest(),
        "created_at": MADE,
    }
    return Artefact(content=content, contract=Contract.model_validate(contract | changes))
