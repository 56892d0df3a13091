"""The three rates that a client posts: what each means, and which numbers it can be."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Annotated, Any

from fastapi import Path
from pydantic import BeforeValidator, Field

from data.features.rates import POSTED

MEANING = {
    "initiative_buy_rate": "share of the interval's volume that buyers initiated",
    "large_buy_rate": "share of the interval's volume that buyers initiated in large trades",
    "large_sell_rate": "share of the interval's volume that sellers initiated in large trades",
}

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

LONGEST = 40
"""Characters of a value that a refusal repeats."""

ROUNDING = 1e-9
"""By how much sums of rates may differ."""


def rate(name: str, value: object) -> float:
    """``value`` as the rate called ``name``.

    Raises
    ------
    ValueError
        It is no number between 0 and 1; the message has the name, the bound and the value.

    >>> rate("large_buy_rate", 1)
    1.0
    >>> rate("large_buy_rate", True)
    Traceback (most recent call last):
    ...
    ValueError: large_buy_rate is true: send a number between 0 and 1
    >>> rate("large_buy_rate", 1.5)
    Traceback (most recent call last):
    ...
    ValueError: large_buy_rate is 1.5: it is a share of the interval's volume, between 0 and 1
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {shown(value)}: send a number between 0 and 1")
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {shown(value)}: it is a share of the interval's volume, between 0 and 1")
    return float(value) + 0.0  # minus zero is zero


def rate_in_path(name: str, text: object) -> float:
    """The same of a number in decimal notation.

    >>> rate_in_path("large_buy_rate", "2.5e-1")
    0.25
    >>> rate_in_path("large_buy_rate", "nan")
    Traceback (most recent call last):
    ...
    ValueError: large_buy_rate is "nan": send a number between 0 and 1
    """
    if isinstance(text, str) and NUMBER.fullmatch(text):
        return rate(name, float(text))
    return rate(name, text)


def shown(value: object) -> str:
    """A value as JSON has it, or what it is, where that is long."""
    if isinstance(value, list | tuple | dict):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, default=lambda other: type(other).__name__)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def counted(value: Any) -> Any:
    """``value``, if it is a list of as many as there are rates."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"features is {shown(value)}: send a list of the numbers {', '.join(POSTED)}")
    if len(value) != len(POSTED):
        raise ValueError(f"{len(POSTED)} rates are needed, {', '.join(POSTED)}; {len(value)} came")
    return value


EXAMPLE: list[Any] = [0.62, 0.18, 0.05]


def _posted(name: str) -> Any:
    return Annotated[float, Field(ge=0, le=1), BeforeValidator(partial(rate, name))]


def _in_path(name: str, example: float) -> Any:
    told = Path(ge=0, le=1, description=MEANING[name], examples=[example])
    return Annotated[float, told, BeforeValidator(partial(rate_in_path, name))]


Buy, LargeBuy, LargeSell = map(_posted, POSTED)
PathBuy, PathLargeBuy, PathLargeSell = map(_in_path, POSTED, EXAMPLE)

SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {"type": "number", "minimum": 0, "maximum": 1},
    "minItems": len(POSTED),
    "maxItems": len(POSTED),
    "description": f"{', '.join(POSTED)} of one interval.",
}


def unusual(rates: tuple[float, float, float]) -> list[str]:
    """What rates that are made of trades never are: large trades are part of the volume, which has one initiator.

    >>> unusual((0.6, 0.2, 0.1))
    []
    >>> unusual((0.6, 0.7, 0.1))
    ['large_buy_rate is above initiative_buy_rate, which it is part of in rates made of trades']
    """
    buy, large_buy, large_sell = rates
    notes = []
    if large_buy > buy + ROUNDING:
        notes.append("large_buy_rate is above initiative_buy_rate, which it is part of in rates made of trades")
    if large_sell > 1.0 - buy + ROUNDING:
        notes.append("large_sell_rate is above 1 - initiative_buy_rate, which it is part of in rates made of trades")
    return notes
