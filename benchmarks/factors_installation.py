"""Models of made rates, for the app of factors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bellwether.calibration.conformal import calibrated
from bellwether.config import load_recipe
from bellwether.models import family
from bellwether.models.artefact import Artefact
from bellwether.models.base import Fitted
from bellwether.models.training import plain
from benchmarks.contracts import artefact_of
from benchmarks.installation import Installation, registry_below
from serve_apps.factors import TARGETS

RECIPE = "level2-factors"
RECIPES = {task: load_recipe(f"{RECIPE}/{task}") for task in TARGETS}
NAMES = {task: recipe.name for task, recipe in RECIPES.items()}
FAMILIES = {"regression": "ridge", "classification": "logistic"}
EDGE = 0.5


def install_factors(home: Path) -> Installation:
    """Put a model of each task into Production below ``home``."""
    made = Installation(recipe=RECIPE, lake=str(home / RECIPE / "lake"), **registry_below(home))
    for task in TARGETS:
        made.register(NAMES[task], artefact(task))
    return made


def artefact(task: str, *, seed: int = 0, model: Fitted | None = None, **changes: Any) -> Artefact:
    """A model of rates of which the next sell rate goes half the way back to 0.5, or the one given; ``changes`` are of
    its contract."""
    scores = calibrated(np.abs(np.random.default_rng(1).normal(0, 0.1, 200)), kind="tracking")
    holdout = {"scores": {"skill": {"value": 0.25, "low": 0.125, "high": 0.5}}}
    said: dict[str, Any] = {
        "metrics": {"metric": "skill", "holdout": holdout},
        "baselines": {"persistence": {}},
        "train_rows": 400,
    }
    if task == "regression":
        said["conformal"] = {"steps": [scores.state() | {"measured": {"value": 0.875}}]}
    else:
        said["edges"] = (EDGE,)
    return artefact_of(RECIPES[task], FAMILIES[task], model or fitted(task, seed), **(said | changes))


def fitted(task: str, seed: int) -> Fitted:
    """A model of 400 made intervals."""
    rng = np.random.default_rng(seed)
    buy = rng.uniform(0, 1, 400)
    large = rng.uniform(0, 1, (2, 400))
    x = np.column_stack([buy, large[0] * buy, large[1] * (1 - buy)])
    then = 0.5 - 0.5 * (buy - 0.5) + 0.1 * rng.normal(size=400)
    if task == "regression":
        return family("ridge").train(plain(x, then - (1 - buy)), {"alpha": 1e-3, "lookback": 1})
    rows = plain(x, (then > EDGE).astype(np.int64), classes=2)
    return family("logistic").train(rows, {"C": 1.0, "balanced": False})


def board(*rows: tuple[str, bool, float | None]) -> str:
    """A leaderboard; a family without a score finished no trial."""
    made = [
        {
            "family": name,
            "baseline": baseline,
            "metric": "skill",
            "score": score,
            "error": None if score else "it broke",
        }
        | {"low": score and score - 0.1, "high": score and score + 0.1}
        for name, baseline, score in rows
    ]
    return json.dumps(made)


BOARD = board(("ridge", False, 0.5), ("persistence", True, 0.25), ("lightgbm", False, None))
