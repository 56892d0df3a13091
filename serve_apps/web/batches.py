"""What a batch is answered with."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, Field

from serve_apps.web.problems import Problem

Answer = TypeVar("Answer", bound=BaseModel)


class Item(BaseModel, Generic[Answer]):
    """The result of one request of a batch, or why there is none: exactly one of them is null."""

    result: Answer | None = Field(description="Of one request; null where there is an error.")
    error: Problem | None = Field(description="Why there is no result; null where there is one.")


class Batch(BaseModel, Generic[Answer]):
    """Results in the order of the requests."""

    items: list[Item[Answer]] = Field(description="In the order of the requests.")
