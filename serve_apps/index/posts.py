"""Bars that a client sends to be predicted from: looked at here, answered by the shards that hold their symbols."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from bellwether.config.recipe import Recipe
from bellwether.models.artefact import Contract
from serve_apps.index.component_predictor import Explained
from serve_apps.index.posted import Posted, Refused
from serve_apps.index.releases import Release
from serve_apps.index.schemas import PredictRequest
from serve_apps.index.shard_client import ShardClient, Unanswered
from serve_apps.web.problems import not_found, unavailable, unprocessable

Refusal = HTTPException | RequestValidationError


def check_symbol(recipe: Recipe, symbol: str) -> None:
    """Raise the 404 that lists the universe if a symbol is not of it."""
    if symbol not in (known := recipe.universe.symbols):
        raise not_found(f"symbol of {recipe.universe.name}", symbol, known)


def check_interval(given: str, contract: Contract) -> None:
    """Raise the 422 that says which bars are meant."""
    if given != contract.interval:
        why = f"is {given!r}; {contract.recipe} predicts from bars of {contract.interval!r}"
        raise unprocessable(("body", "interval"), why)


def posted(request: PredictRequest, recipe: Recipe, contract: Contract) -> Posted:
    """A request as a shard takes it, if recipe and model allow it."""
    check_symbol(recipe, request.symbol)
    check_interval(request.interval, contract)
    need, came = contract.warmup + 1, len(request.bars)
    if came < need:
        raise unprocessable(("body", "bars"), f"{need} bars are needed, the newest last; {came} came")
    return Posted(symbol=request.symbol, bars=request.table(), assume_flat_basket=request.assume_flat_basket)


def checked(item: Any, recipe: Recipe, contract: Contract) -> Posted | Refusal | ValidationError:
    """The same of one item of a batch, with the refusal returned."""
    try:
        return posted(PredictRequest.model_validate(item), recipe, contract)
    except (HTTPException, RequestValidationError, ValidationError) as error:
        return error


async def predict(shards: ShardClient, given: Sequence[Posted], release: Release) -> list[Explained | Refusal]:
    """What the shards make of posted bars, in order: one call to each shard that holds one of the symbols."""
    place = [shards.shard_of(one.symbol) for one in given]
    groups = {k: [one for one, at in zip(given, place, strict=True) if at == k] for k in sorted(set(place))}
    said = await asyncio.gather(
        *(shards.call(k, "predict_bars", group, release.narrowed(shards.slices[k])) for k, group in groups.items())
    )
    answers = {k: one if isinstance(one, Unanswered) else iter(one) for k, one in zip(groups, said, strict=True)}
    found = []
    for at in place:
        answer = answers[at]
        found.append(_result(answer if isinstance(answer, Unanswered) else next(answer)))
    return found


def _result(one: Explained | Refused | Unanswered) -> Explained | Refusal:
    if isinstance(one, Unanswered):
        return unavailable(one.reason)
    return unprocessable(("body", *one.field), one.message) if isinstance(one, Refused) else one
