"""Messages as they leave. They describe the API; bodies are written by `wire` and not checked again."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bellwether.actions import ACTIONS
from serve_apps.models.answers import ModelName
from serve_apps.web.batches import Batch
from serve_apps.web.common import Ready
from serve_apps.web.problems import problems

PROBABILITIES: dict[str, Any] = dict(zip(ACTIONS, (0.05, 0.1, 0.2, 0.4, 0.25), strict=True))
EXPECTED: dict[str, Any] = {
    "mean": 0.0004,
    "sd": 0.0033,
    "low": -0.0051,
    "high": 0.0059,
    "coverage_level": 0.9,
    "n": 1100,
    "covers": 1.0,
    "contributions": {"SIM01": 0.0003, "SIM02": 0.0001},
    "horizon_bars": 1,
}


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


BatchAnswer = Batch[ComponentAnswer]


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


class ExpectedReturnPart(BaseModel):
    """What the covered basket is expected to return over the horizon, as fractions; contributions add up to ``mean``.

    The interval is about the components that count and have forecast errors; of other weight it says nothing.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXPECTED]})

    mean: float
    sd: float = Field(description="Standard deviation of the forecast error.")
    low: float
    high: float
    coverage_level: float = Field(description="Share of returns that such intervals promise to hold.")
    n: int = Field(description="Out-of-fold timestamps the width rests on.")
    covers: float = Field(description="Weight the figures are about, over all known weight of the universe.")
    contributions: dict[str, float]
    horizon_bars: int


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
    expected_return: ExpectedReturnPart | None
    expected_return_reason: str | None = Field(description="Why nothing is expected; null where something is.")


class BarRefused(BaseModel):
    """A bar that broke a rule of ingest: it is in quarantine."""

    symbol: str
    ts_event: str
    reason: str = Field(examples=["outside_session"])


class BarsTaken(BaseModel):
    """What became of bars; ``received`` is the sum of the others."""

    kind: str = Field(examples=["bars/1h"])
    received: int
    new: int
    revised: int = Field(description="The lake had another bar of the same close.")
    unchanged: int = Field(description="The lake had them already.")
    quarantined: list[BarRefused]
    version: str = Field(description="Of the kind in the lake, as it is now.")


class ShardHealth(BaseModel):
    """One shard: its symbols, and what is wrong with it."""

    symbols: list[str]
    status: Literal["ok", "late", "down", "outdated"]
    reason: str | None


class IndexReady(Ready):
    """Whether every shard answers, by the versions that were asked for and from the newest state of the lake."""

    shards: list[ShardHealth]


UNKNOWN, AWAY = problems(404), problems(503)
"""The refusals of a route that takes a name, and of one whose answer may not be had now."""
