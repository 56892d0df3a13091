"""Bodies that are checked before they are looked through: refusing one never takes longer than answering it would."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from annotated_types import MaxLen
from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from bellwether.config.frozen import Frozen

MOST = 1_000
"""Mistakes of one body that are told apart, and fields that are looked at; Pydantic finds all of millions."""


class Bounded(Frozen):
    """A part of a body whose lists say how long they may be: a longer one is refused before its items are looked at.

    Beyond `MOST` mistakes, it is said how many there are and not which.

    >>> from typing import Annotated
    >>> from pydantic import Field
    >>> class Order(Bounded):
    ...     amounts: Annotated[tuple[int, ...], Field(max_length=2)]
    >>> try:
    ...     Order.model_validate({"amounts": ["x", "y", "z"]})
    ... except ValidationError as error:
    ...     [(one["loc"], one["type"]) for one in error.errors()]
    [(('amounts',), 'too_long')]
    """

    @model_validator(mode="wrap")
    @classmethod
    def _bounded(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, Mapping):
            _refuse_long(cls, value)
        try:
            return handler(value)
        except ValidationError as error:
            if error.error_count() <= MOST:
                raise
            raise _too_many(error.error_count(), "mistakes") from None


def _refuse_long(model: type[Bounded], value: Mapping[str, Any]) -> None:
    if len(value) > MOST:
        raise _too_many(len(value), "fields")
    for name, most in _limits(model):
        given = value.get(name)
        if isinstance(given, list | tuple) and len(given) > most:
            context = {"field_type": "Tuple", "max_length": most, "actual_length": len(given)}
            error = InitErrorDetails(type="too_long", loc=(name,), input=given[:MOST], ctx=context)
            raise ValidationError.from_exception_data(model.__name__, [error])


@cache
def _limits(model: type[Bounded]) -> tuple[tuple[str, int], ...]:
    """The lists of a model, and how long each may be."""
    found = ((name, one) for name, field in model.model_fields.items() for one in field.metadata)
    return tuple((name, one.max_length) for name, one in found if isinstance(one, MaxLen))


def _too_many(count: int, what: str) -> PydanticCustomError:
    return PydanticCustomError("too_many", f"has {{count}} {what}, more than {MOST} are not listed", {"count": count})
