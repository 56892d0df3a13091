"""Messages as they arrive."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema

from serve_apps.factor.rates import EXAMPLE, SCHEMA, Buy, LargeBuy, LargeSell, counted
from serve_apps.web.bounded import Bounded

MAX_ITEMS = 1_000
"""Rows of one batch."""

Rates = Annotated[tuple[Buy, LargeBuy, LargeSell], BeforeValidator(counted), WithJsonSchema(SCHEMA)]

ROW: TypeAdapter[tuple[float, float, float]] = TypeAdapter(Rates)
"""Checks one item of a batch."""


class RatesRequest(Bounded):
    """The rates of one interval; what is predicted is the interval after it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"features": EXAMPLE}]})

    features: Rates


class BatchRequest(Bounded):
    """Several intervals. Each is looked at by itself: one that is refused does not stop the others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [EXAMPLE, [1, 0, 0]]}]})

    items: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="As ``features`` of a single request, each."
    )
