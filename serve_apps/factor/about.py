"""What the app says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bellwether.config.recipe import Recipe
from data.features.rates import POSTED
from serve_apps.factor.rates import MEANING
from serve_apps.models.served import Champion, Json

PREDICTS = {
    "regression": "the share of the next interval's volume that sellers initiate",
    "classification": "whether that share is high: above the threshold, the median of the training outcomes",
}
"""What each model does, by its variant of the recipe."""

IDENTITY = (
    "An API before this one answered with the sell rate of the very interval that was posted, which is one minus the "
    "buy rate posted: an identity that every model finds and that foretells nothing. These models predict the interval "
    "after the one posted."
)


def info(recipe: Recipe, champions: Mapping[str, Champion]) -> Json:
    """The body of GET /info; ``recipe`` is one of the variants, and ``champions`` are by variant."""
    features = [{"name": name, "low": 0.0, "high": 1.0, "meaning": MEANING[name]} for name in POSTED]
    return {
        "recipe": recipe.name.rpartition(".")[0],
        "interval": recipe.interval,
        "features": features,
        "models": {task: _model(task, champion) for task, champion in champions.items()},
        "identity": IDENTITY,
    }


def _model(task: str, champion: Champion) -> Json:
    contract = champion.contract
    metric = contract.metrics.get("metric")
    return {
        "model": champion.json(),
        "family": contract.family,
        "target": contract.target,
        "predicts": PREDICTS[task],
        "threshold": contract.edges[0] if contract.edges else None,
        "metric": metric,
        "score": _figure(contract.metrics, metric),
        "baselines": {name: _figure(figures, metric) for name, figures in contract.baselines.items()},
        "passed": contract.verdict.get("passed"),
        "reason": contract.verdict.get("reason"),
    }


def _figure(figures: Mapping[str, Any], metric: str | None) -> Json:
    """A score on the untouched segment, as `tune.figures` wrote it."""
    found = figures.get("holdout", {}).get("scores", {}).get(metric, {})
    return {key: found.get(key) for key in ("value", "low", "high")}
