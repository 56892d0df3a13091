"""Messages as they leave. They describe the API; bodies are written by `wire` and not checked again."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bellwether.actions import ACTIONS

PROBABILITIES: dict[str, Any] = dict(zip(ACTIONS, (0.05, 0.1, 0.2, 0.4, 0.25), strict=True))
MODEL: dict[str, Any] = {"name": "index-hourly", "version": 3, "alias": "Production"}


class ModelName(BaseModel):
    """Which model answered."""

    model_config = ConfigDict(json_schema_extra={"examples": [MODEL]})

    name: str
    version: int
    alias: str


class ComponentAnswer(BaseModel):
    """A prediction of one component, from the features of one closed bar."""

    symbol: str
    ts_event: str = Field(description="Close of the bar predicted from.", examples=["2025-06-30T20:00:00Z"])
    action: str = Field(description="The likeliest class.", examples=["buy"])
    score: int = Field(examples=[1])
    probabilities: dict[str, float] = Field(description="In the contract's order.", examples=[PROBABILITIES])
    features: dict[str, float] = Field(description="What the model saw; doubles that survive JSON bit for bit.")
    model: ModelName
    notes: list[str] = Field(description="What was assumed.")


class BatchItem(BaseModel):
    """The result of one request of a batch, or why there is none: exactly one of them is null."""

    result: ComponentAnswer | None
    error: dict[str, Any] | None = Field(examples=[{"status": 422, "detail": [{"loc": ["body"], "msg": "…"}]}])


class BatchAnswer(BaseModel):
    """Results in the order of the requests."""

    items: list[BatchItem]


class Thresholds(BaseModel):
    """What the sum is held against."""

    buy: float
    sell: float
    coverage_floor: float
    max_age_bars: int


class ComponentPart(BaseModel):
    """One component in the signal; `bellwether.signal.Component` has the meaning of each field."""

    symbol: str
    status: Literal["fresh", "stale", "missing", "late"]
    reason: str | None
    action: str | None
    score: int | None
    probabilities: dict[str, float] | None
    weight: float | None = Field(description="As published.")
    share: float = Field(description="The weight relative to all that count.")
    contribution: float
    ts_event: str | None
    age_seconds: float | None = Field(description="Trading time since its newest bar closed.")


class SignalAnswer(BaseModel):
    """The index signal; the contributions of its components add up to ``wss`` exactly (``math.fsum``)."""

    universe: str
    as_of: str | None = Field(description="What ages are measured against.")
    bar_time: str | None = Field(description="Close of the newest bar.")
    signal: Literal["BUY", "SELL", "HOLD"]
    wss: float
    wss_probability: float
    coverage: float
    reason: str | None = Field(description="Why the signal is HOLD whatever the sum says.")
    thresholds: Thresholds
    model: ModelName
    components: list[ComponentPart]


class ShardHealth(BaseModel):
    """One shard: its symbols, and what is wrong with it."""

    symbols: list[str]
    status: Literal["ok", "late", "down", "outdated"]
    reason: str | None


class Health(BaseModel):
    """Whether the app answers from all its components. Status 503 where no shard answers."""

    status: Literal["ok", "degraded", "down"]
    reason: str | None = Field(description="Why the weights may be out of date.")
    universe: str
    model: ModelName
    shards: list[ShardHealth]


class ModelInfo(BaseModel):
    """The model that answers, and the contract it is served under."""

    model: ModelName
    recipe: str
    contract: dict[str, Any]


class Refusal(BaseModel):
    """A name that is not known, or an answer that cannot be given now."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"detail": {"message": "no symbol 'XYZ'", "known": ["SIM01"]}}]}
    )

    detail: dict[str, Any]


UNKNOWN: dict[int | str, dict[str, Any]] = {404: {"model": Refusal, "description": "No such name; the known ones."}}
AWAY: dict[int | str, dict[str, Any]] = {503: {"model": Refusal, "description": "No prediction now, and why."}}
