"""Messages as they leave. They describe the API; bodies are written by others here, and not checked again."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from serve_apps.models.answers import ModelName
from serve_apps.web.batches import Batch


class Interval(BaseModel):
    """Where the rate will be."""

    low: float
    high: float
    promised: float = Field(description="Share of outcomes that such intervals are to hold.", examples=[0.9])
    measured: float | None = Field(description="Share of outcomes that they held on the untouched segment.")


class Answer(BaseModel):
    """What every answer has."""

    features: dict[str, float] = Field(
        description="The rates by name, as the model got them.",
        examples=[{"initiative_buy_rate": 0.62, "large_buy_rate": 0.18, "large_sell_rate": 0.05}],
    )
    interpretation: str = Field(description="The same in a sentence.")
    model: ModelName
    notes: list[str] = Field(description="What to be careful about.")


class RegressionAnswer(Answer):
    """The initiative sell rate of the next interval, 0 to 1."""

    prediction: float = Field(examples=[0.42])
    no_change: float = Field(
        description="The sell rate of the interval posted, one minus its buy rate: the prediction to be better than.",
        examples=[0.38],
    )
    interval: Interval | None


class ClassificationAnswer(Answer):
    """Whether the initiative sell rate of the next interval is high."""

    prediction: Literal["low", "high"]
    probability: float = Field(description="That it is high.", examples=[0.44])
    probabilities: dict[str, float] = Field(examples=[{"low": 0.56, "high": 0.44}])
    threshold: float = Field(
        description="High is a sell rate above it: the median of the outcomes the model was trained on.",
        examples=[0.5],
    )


RegressionBatch = Batch[RegressionAnswer]
ClassificationBatch = Batch[ClassificationAnswer]


class FeatureInfo(BaseModel):
    """One of the numbers that are posted, in their order."""

    name: str
    low: float
    high: float
    meaning: str


class Figure(BaseModel):
    """A score on the untouched segment with its interval; null where it is not known."""

    value: float | None
    low: float | None
    high: float | None


class TaskInfo(BaseModel):
    """A model, what it predicts and how well."""

    model: ModelName
    family: str
    target: str
    predicts: str
    threshold: float | None
    metric: str | None
    score: Figure
    baselines: dict[str, Figure]
    passed: bool | None = Field(description="Whether it was shown to be better than its baselines.")
    reason: str | None


class Info(BaseModel):
    """Everything a client needs to know."""

    recipe: str
    interval: str
    features: list[FeatureInfo]
    models: dict[str, TaskInfo]
    identity: str = Field(description="What became of the prediction of the same interval.")
