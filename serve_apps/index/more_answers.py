"""Messages of what is known about the signal: its history, its universes, the models behind it, and their drift."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serve_apps.index.answers import Thresholds
from serve_apps.models.answers import ModelName

BAR: dict[str, Any] = {
    "ts_event": "2025-06-30T19:30:00Z",
    "signal": "HOLD",
    "wss": 0.3,
    "wss_probability": 0.12,
    "coverage": 1.0,
    "reason": None,
    "index_close": 1012.4,
    "index_return": -0.0007,
    "in_training": False,
}
ROW: dict[str, Any] = {
    "rank": 1,
    "family": "lightgbm",
    "baseline": False,
    "champion": True,
    "score": 0.31,
    "low": 0.29,
    "high": 0.33,
    "folds": [0.3, 0.32],
    "trials": 8,
    "error": None,
    "holdout": {"value": 0.31, "low": 0.28, "high": 0.34},
}
VERSION: dict[str, Any] = {
    "version": 3,
    "aliases": ["Production"],
    "family": "lightgbm",
    "created_at": "2025-06-30T20:14:00Z",
    "metric": "macro_f1",
    "score": 0.31,
    "passed": True,
    "answering": True,
}
MOVE: dict[str, Any] = {
    "ts": "2025-06-30T20:15:00Z",
    "who": "ada",
    "action": "promote",
    "alias": "Production",
    "version": 3,
    "previous": 2,
    "why": "passed its gate",
}

DRIFT: dict[str, Any] = {
    "state": "moved",
    "reason": None,
    "psi": 0.31,
    "usual": 0.24,
    "level": 0.05,
    "bars": 50,
    "windows": 26,
    "rows": 500,
    "in_training": 0,
    "from": "2025-06-20T14:30:00Z",
    "to": "2025-06-30T20:00:00Z",
    "chance": 0.6,
    "features": [{"name": "std_20", "psi": 1.2, "usual": 0.5, "moved": True}],
    "model": {"name": "index-hourly", "version": 3, "alias": "Production"},
}


class PastBar(BaseModel):
    """The signal at one closed bar, as the version that answers now would have given it."""

    model_config = ConfigDict(json_schema_extra={"examples": [BAR]})

    ts_event: str
    signal: Literal["BUY", "SELL", "HOLD"]
    wss: float
    wss_probability: float
    coverage: float
    reason: str | None = Field(description="Why the signal is HOLD whatever the sum says.")
    index_close: float | None = Field(description="Of the index itself; null where it has no bar.")
    index_return: float | None = Field(description="Of the index over the horizon that begins here; null if not known.")
    in_training: bool = Field(description="The version was fitted on this bar: what it says here is no forecast.")


class HistoryAnswer(BaseModel):
    """The signal at the last bars, oldest first; the newest is the bar of GET /signal/index."""

    universe: str
    model: ModelName
    train_end: str = Field(description="Last bar the version was fitted on.", examples=["2025-03-31T20:00:00Z"])
    horizon_bars: int
    thresholds: Thresholds
    bars: list[PastBar]


class UniversePart(BaseModel):
    """A universe that has a signal."""

    name: str = Field(examples=["sim10"])
    symbols: list[str] = Field(examples=[["SIM01", "SIM02"]])
    own: bool = Field(description="The recipe's; others are parts of it.")


class UniversesAnswer(BaseModel):
    """Universes that have a signal, the recipe's own first."""

    universes: list[UniversePart]


class HeldOut(BaseModel):
    """A score on the untouched segment, with its 95 % interval."""

    value: float
    low: float
    high: float


class BoardRow(BaseModel):
    """A family by its best trial."""

    model_config = ConfigDict(json_schema_extra={"examples": [ROW]})

    rank: int
    family: str
    baseline: bool
    champion: bool = Field(description="The family of the version that answers.")
    score: float | None = Field(description="Mean over folds.")
    low: float | None
    high: float | None
    folds: list[float | None]
    trials: int | None
    error: str | None
    holdout: HeldOut | None = Field(description="Known of the champion and the baselines.")


class LeaderboardAnswer(BaseModel):
    """How the families did in the sweep that the version came from."""

    model: ModelName
    metric: str = Field(examples=["macro_f1"])
    source: Literal["sweep", "contract"] = Field(description="All families; or the champion and the baselines alone.")
    verdict: dict[str, Any] = Field(description="What the promotion gate decided.", examples=[{"passed": True}])
    rows: list[BoardRow]


class VersionPart(BaseModel):
    """One version of the model."""

    model_config = ConfigDict(json_schema_extra={"examples": [VERSION]})

    version: int
    aliases: list[str]
    family: str
    created_at: str
    metric: str
    score: float | None = Field(description="On the untouched segment.")
    passed: bool = Field(description="Its promotion gate.")
    answering: bool


class Move(BaseModel):
    """One move of an alias, as the ledger has it."""

    model_config = ConfigDict(json_schema_extra={"examples": [MOVE]})

    ts: str
    who: str
    action: Literal["promote", "rollback", "settle"]
    alias: str
    version: int | None
    previous: int | None
    why: str


class VersionsAnswer(BaseModel):
    """Versions of the model, and moves of their aliases, newest first."""

    name: str = Field(examples=["index-hourly"])
    answering: int
    versions: list[VersionPart]
    moves: list[Move]


class DriftPart(BaseModel):
    """One feature in the last bars. Of many features some are beyond theirs by chance, ``chance`` of them."""

    name: str
    psi: float
    usual: float = Field(description="What windows of the training rows exceed with the level at most.")
    moved: bool = Field(description="Whether it is beyond that.")


class DriftAnswer(BaseModel):
    """Whether the features of the last bars look like those the answering version was trained on.

    Of each feature alone, all components together; of how features and outcomes belong together it says nothing.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [DRIFT]})

    model: ModelName
    state: Literal["usual", "moved", "unknown"]
    reason: str | None = Field(description="Why nothing is known; null where something is.")
    psi: float | None = Field(description="Population stability index, the mean over the features.")
    usual: float | None = Field(description="What windows of the training rows exceed with the level at most.")
    level: float | None = Field(description="How often a window that is like them is called moved at most.")
    bars: int | None = Field(description="Timestamps in the window: the newest of the universe.")
    windows: int | None = Field(description="Windows of the training rows that say what is usual.")
    rows: int | None = Field(description="Rows of the window whose features are known.")
    in_training: int | None = Field(description="How many of them are no later than the last training row.")
    from_: str | None = Field(alias="from", description="The oldest of them.")
    to: str | None = Field(description="The newest of them.")
    chance: float | None = Field(description="Features beyond theirs on average where nothing has moved.")
    features: list[DriftPart] = Field(description="In the model's order.")


EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events; the data of each `signal` is a body of GET /signal/index.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": 'retry: 3000\n\nevent: signal\nid: 9f86d081884c7d65\ndata: {"signal":"BUY","wss":0.7}\n\n',
            }
        },
    }
}
"""What the documentation says of GET /signal/index/stream."""
