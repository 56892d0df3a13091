"""What a recipe says about an entry of a table, checked against what the entry declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from bellwether.config.frozen import Frozen
from bellwether.errors import ConfigError

Options = TypeVar("Options", bound=Frozen)


def checked(what: str, options: type[Options], given: Mapping[str, Any]) -> Options:
    """Return a recipe's options as the type an entry of a table declares.

    Raises
    ------
    ConfigError
        The message names each wrong option.

    >>> class Seed(Frozen):
    ...     seed: int
    >>> checked("source 'dice'", Seed, {"sed": 1})
    Traceback (most recent call last):
    ...
    bellwether.errors.ConfigError: options of source 'dice': seed: Field required; sed: Extra inputs are not permitted
    """
    try:
        return options.model_validate(dict(given))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'together'}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"options of {what}: {wrong}") from error
