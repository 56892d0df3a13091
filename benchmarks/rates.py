"""A small installation of the app of rates: models of the two tasks, fitted to noise."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bellwether.calibration.conformal import calibrated
from bellwether.config.recipe import Recipe, load_recipe
from bellwether.models import family
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.training import plain
from bellwether.registry import Ledger, Registry
from data.features import features_of
from data.targets import target_kind
from serve_apps.factors import TARGETS

RECIPE = "level2-factors"


def install_rates(home: Path) -> dict[str, Any]:
    """Register both models below ``home``; what the app's args take."""
    stores = {
        "recipe": RECIPE,
        "lake": str(home / "rates-lake"),
        "tracking_uri": f"sqlite:///{home / 'mlflow.db'}",
        "ledger": str(home / "promotions.jsonl"),
    }
    registry = Registry(stores["tracking_uri"], Ledger(stores["ledger"]))
    for task in TARGETS:
        recipe = load_recipe(f"{RECIPE}/{task}")
        version = registry.register(recipe.name, rates_artefact(recipe), metrics={})
        registry.promote(recipe.name, version, "Production", who="bench", why="bench")
    return stores


def rates_artefact(recipe: Recipe) -> Artefact:
    """A model of three rates that says nothing of value."""
    fs, target, rng = features_of(recipe.features), target_kind(recipe.target.kind), np.random.default_rng(0)
    k, x = len(target.classes), rng.uniform(0, 1, (400, len(fs.outputs)))
    name = "logistic" if k else "ridge"
    y = rng.integers(0, k, len(x)) if k else rng.normal(0.0, 0.1, len(x))
    params = family(name).defaults | ({} if k else {"lookback": 1})
    graph = family(name).train(plain(x, y, classes=k) if k else plain(x, y), params).graph()
    now = datetime(2025, 1, 1, tzinfo=UTC)
    contract = {
        "recipe": recipe.name,
        "universe": recipe.universe.name,
        "symbols": recipe.universe.symbols,
        "interval": recipe.interval,
        "family": name,
        "params": {},
        "seed": 0,
        "feature_set": fs.name,
        "features": fs.outputs,
        "definition": fs.definition,
        "warmup": 0,
        "target": target.kind,
        "horizon": recipe.target.horizon,
        "overnight": recipe.target.overnight,
        "classes": target.classes,
        "level": target.level,
        "conformal": {} if k else {"steps": [calibrated(np.abs(y), kind="tracking").state()]},
        "edges": (0.5,) if k else (),
        "buy": 0.5,
        "sell": -0.5,
        "train_start": now,
        "train_end": now,
        "train_rows": len(x),
        "metrics": {},
        "baselines": {},
        "verdict": {"passed": True, "reason": "made for a benchmark"},
        "versions": {},
        "sha256": hashlib.sha256(graph).hexdigest(),
        "created_at": now,
    }
    return Artefact(content=graph, contract=Contract.model_validate(contract))
