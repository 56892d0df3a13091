"""The base of everything a person configures."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A configuration that cannot change and refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
