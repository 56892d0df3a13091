"""Messages as they leave. They describe the API; bodies are written from what the apps say and not checked again."""

from __future__ import annotations

from pydantic import BaseModel, Field

from serve_apps.models.answers import ModelName
from serve_apps.web.batches import Batch


class StepAhead(BaseModel):
    """The price at one step; ``lower`` and ``upper`` are null where the model promises no interval."""

    step: int = Field(description="From 1; each is the recipe's horizon long.")
    ts_event: str = Field(description="When the row is due.", examples=["2025-06-30T19:05:00Z"])
    price: float
    lower: float | None
    upper: float | None
    no_change: float = Field(description="What the forecast is measured against: the last known mid.")


class LastKnown(BaseModel):
    """The row the forecast is made from."""

    ts_event: str = Field(examples=["2025-06-30T19:00:00Z"])
    mid: float


class ForecastAnswer(BaseModel):
    """Prices ahead of the last known one. Every step is later than it."""

    symbol: str | None
    last: LastKnown
    steps: list[StepAhead]
    reason: str | None = Field(description="Why there are fewer steps than were asked for.")
    coverage: float | None = Field(description="Share of prices that the intervals are to hold.", examples=[0.9])
    features: dict[str, float] = Field(description="Of the last row; doubles that survive JSON bit for bit.")
    model: ModelName
    notes: list[str] = Field(description="What to know before relying on it.")


class DirectionAnswer(BaseModel):
    """Whether the mid moves by more than it costs to trade."""

    symbol: str | None
    ts_event: str = Field(description="Of the row predicted from.", examples=["2025-06-30T19:00:00.000000001Z"])
    mid: float
    direction: str = Field(description="The likeliest class.", examples=["up"])
    probabilities: dict[str, float] = Field(examples=[{"down": 0.2, "flat": 0.5, "up": 0.3}])
    confidence: float = Field(description="Probability of the likeliest class.")
    cost_bp: float = Field(description="Moves of no more than this are flat: basis points of the mid, a round trip.")
    seconds: float = Field(description="How long the mid has for its move.")
    until: str = Field(description="When the outcome is read.")
    features: dict[str, float] = Field(description="Of the row; doubles that survive JSON bit for bit.")
    model: ModelName
    notes: list[str] = Field(description="What to know before relying on it.")


ForecastBatch = Batch[ForecastAnswer]
DirectionBatch = Batch[DirectionAnswer]
