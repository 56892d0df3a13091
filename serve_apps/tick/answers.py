"""Messages as they leave. They describe the API; bodies are written as plain mappings and not checked again."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from serve_apps.models.answers import ModelName
from serve_apps.web.batches import Batch


class Interval(BaseModel):
    """Where the value will lie, as often as promised."""

    low: float
    high: float
    coverage: float = Field(description="What it promises.", examples=[0.9])


class ModelPrediction(BaseModel):
    """What one model says. Without a prediction, ``reason`` says why."""

    model: ModelName
    prediction: str | float | None = Field(description="A class, or a value in the unit that /models tells.")
    probabilities: dict[str, float] | None = Field(description="Of classes, in the contract's order.")
    confidence: float | None = Field(description="The largest probability; null for values, which have an interval.")
    interval: Interval | None = Field(description="Of values, where the model was calibrated for it.")
    reason: str | None


class TickAnswer(BaseModel):
    """Predictions of one symbol from its newest trade."""

    symbol: str
    ts_event: str | None = Field(description="The trade predicted from.", examples=["2025-01-31T20:59:59.500000Z"])
    age_seconds: float | None = Field(
        description="Trading time since that trade, by the clock or by the newest trade of all symbols, as the recipe "
        "says; null where there is none."
    )
    features_known: bool = Field(description="False in the warm-up of a session: then there is no prediction.")
    reason: str | None = Field(description="Why features are not known.")
    applied: bool = Field(description="Whether the request's trade was new and has been counted.")
    durable: bool = Field(description="Whether the lake has every trade this was made of.")
    predictions: dict[str, ModelPrediction] = Field(description="By model.")


BatchAnswer = Batch[TickAnswer]


class ModelEntry(BaseModel):
    """A model of this app, served or not."""

    model: str = Field(description="What requests call it.", examples=["direction_1"])
    name: str = Field(description="What the registry calls it.", examples=["ticks.direction_1"])
    served: bool
    reason: str | None = Field(description="Why it is not served.")
    target: str = Field(examples=["direction"])
    horizon: int = Field(description="In trades.")
    classes: list[str]
    unit: str | None = Field(description="Of values.", examples=["fraction of the price"])
    version: int | None
    alias: str | None
    metrics: dict[str, Any] | None


class ModelList(BaseModel):
    """The recipe's model and its variants."""

    models: list[ModelEntry]


class Quarantined(BaseModel):
    """A trade that was not taken, and why."""

    tick: int = Field(description="Its place in the request, from 0.")
    reason: str = Field(examples=["non_positive_price"])
    field: str | None = Field(examples=["price"])
    message: str = Field(examples=["is -1.0; it must be above 0"])


class Appended(BaseModel):
    """What became of posted trades; all that count as kept are on the disk."""

    kept: int = Field(description="New ones, now in the lake.")
    unchanged: int = Field(description="Those the lake had already.")
    quarantined: list[Quarantined]
