"""Times and numbers as they arrive in bodies."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from bellwether.trading_time import SECOND

EARLIEST, LATEST = 10**17, 2**63 - 1
"""Nanoseconds that are taken for a time: from 1973, so that seconds and milliseconds are told apart."""

WRITTEN = "ISO 8601 with its zone, or nanoseconds since 1970"
"""How a `Time` is written, for descriptions of fields."""

_ISO = re.compile(
    r"(?P<seconds>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?)(\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)",
    re.ASCII,
)


def to_ns(value: object) -> int:
    """A time as UTC nanoseconds: of ISO 8601 text with a zone, or of nanoseconds.

    >>> to_ns("2025-06-30T16:00:00-04:00"), to_ns(1_751_313_600_000_000_000)
    (1751313600000000000, 1751313600000000000)
    >>> to_ns("2025-06-30T16:00:00")
    Traceback (most recent call last):
    ...
    ValueError: a time is ISO 8601 with its zone, such as 2025-06-30T20:00:00Z, or nanoseconds since 1970
    """
    if isinstance(value, str) and (found := _ISO.fullmatch(value)):
        whole = datetime.fromisoformat(found["seconds"] + found["zone"].replace("Z", "+00:00"))
        value = int(whole.timestamp()) * SECOND + int((found["fraction"] or "").ljust(9, "0"))
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("a time is ISO 8601 with its zone, such as 2025-06-30T20:00:00Z, or nanoseconds since 1970")
    if not EARLIEST <= value <= LATEST:
        raise ValueError(f"a time lies between {EARLIEST} and {LATEST} ns; seconds or milliseconds are too small")
    return value


Time = Annotated[int, BeforeValidator(to_ns, json_schema_input_type=str | int)]
"""UTC nanoseconds."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""Finite, and no text that looks like a number."""

Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
