"""What every answer says of the model behind it."""

from __future__ import annotations

from pydantic import BaseModel, Field


class ModelName(BaseModel):
    """Which version of which model answered."""

    name: str = Field(description="In the registry.", examples=["index-hourly", "ticks.direction_1"])
    version: int = Field(examples=[3])
    alias: str = Field(examples=["Production"])
