"""The models of an app of trades: a recipe's own and those of its variants, each by what it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from bellwether.config import Recipe
from bellwether.errors import ConfigError, ModelError, NoChampion
from bellwether.models.predictor import Predictor
from bellwether.registry import Registry
from data.features.base import Floats
from data.targets import target_kind
from serve_apps.args import AppArgs
from serve_apps.models.intervals import Intervals
from serve_apps.models.routes import Route, resolve
from serve_apps.models.served import Champion, Json

Recipes = Mapping[str, Recipe]


def recipes_by_model(recipe: Recipe) -> dict[str, Recipe]:
    """What requests call each model, and its recipe: the main one by its target and horizon, variants by their names.

    Raises
    ------
    ConfigError
        A variant is called as the main model is.

    >>> from bellwether.config import load_recipe
    >>> {model: recipe.name for model, recipe in recipes_by_model(load_recipe("ticks")).items()}["direction_5"]
    'ticks'
    """
    main = f"{recipe.target.kind}_{recipe.target.horizon}"
    if main in recipe.variants:
        raise ConfigError(f"variant {main} of {recipe.name} is called as its main target is: give it another name")
    return {main: recipe} | {name: recipe.variant(name) for name in recipe.variants}


def routes_of(registry: Registry, recipes: Recipes, args: AppArgs) -> dict[str, Route]:
    """The route of each model that has a version under the alias; those without one are left out.

    A model without a candidate takes no part in a canary or a shadow.
    """
    found = {}
    for recipe in recipes.values():
        for canary, shadow in ((args.canary, args.shadow), (0.0, False)):
            try:
                found[recipe.name] = resolve(registry, recipe.name, args.alias, canary=canary, shadow=shadow)
                break
            except NoChampion:
                continue
    return found


def entry(model: str, recipe: Recipe, champion: Champion | None, alias: str) -> Json:
    """One line of ``GET /models``."""
    target = target_kind(recipe.target.kind)
    unit = None if target.classes else "price" if target.level else "fraction of the price"
    return {
        "model": model,
        "name": recipe.name,
        "served": champion is not None,
        "reason": None if champion else f"no version of {recipe.name} carries {alias}: train and promote one",
        "target": recipe.target.kind,
        "horizon": recipe.target.horizon,
        "classes": list(target.classes),
        "unit": unit,
        "version": champion.version if champion else None,
        "alias": champion.alias if champion else None,
        "metrics": champion.contract.metrics if champion else None,
    }


class Voice:
    """How a loaded version answers.

    Parameters
    ----------
    predictor : Predictor

    Raises
    ------
    ModelError
        The contract's intervals are damaged.
    """

    def __init__(self, predictor: Predictor) -> None:
        contract = predictor.contract
        self._predictor, self.contract, self.lookback = predictor, contract, contract.lookback
        self._intervals = Intervals(predictor)

    def answer(self, seen: Floats, price: float) -> tuple[list[float], Json]:
        """What the model gives for one row, and what is said of it: prediction, probabilities, confidence, interval.

        Parameters
        ----------
        seen : float64 array of shape (1, lookback * features)
        price : float
            Of the newest trade: what a change is added to.

        Raises
        ------
        ModelError
            The model gives no finite numbers.
        """
        output: list[float] = self._predictor.predict(seen)[0].tolist()
        if not all(map(isfinite, output)):
            raise ModelError(f"{self.contract.family} gave {output}: retrain the model")
        if classes := self.contract.classes:
            most = max(output)
            return output, _said(classes[output.index(most)], dict(zip(classes, output, strict=True)), most, None)
        base = price if self.contract.level else 0.0
        return output, _said(base + output[0], None, None, self._interval(seen, output[0], base))

    def _interval(self, seen: Floats, value: float, base: float) -> Json | None:
        ends = self._intervals.one(seen, value)
        if ends is None:
            return None
        return {"low": base + ends[0], "high": base + ends[1], "coverage": self._intervals.coverage}


def _said(prediction: str | float, probabilities: Json | None, confidence: float | None, interval: Json | None) -> Json:
    return {
        "prediction": prediction,
        "probabilities": probabilities,
        "confidence": confidence,
        "interval": interval,
        "reason": None,
    }


def unsaid(reason: str) -> Json:
    """No prediction, and why."""
    return {"prediction": None, "probabilities": None, "confidence": None, "interval": None, "reason": reason}
