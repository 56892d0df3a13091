"""Messages as they arrive: strict, so that what ingest would put in quarantine is refused here by name."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from bellwether.config.recipe import Frozen
from bellwether.trading_time import SECOND, iso
from data.intake.quality import NOISE
from data.records import TIME

MAX_BARS, MAX_ITEMS = 1_000, 100
"""Bars in one request, and requests in one batch."""

EARLIEST, LATEST = 10**17, 2**63 - 1
"""Nanoseconds that are taken for a time: from 1973, so that seconds and milliseconds are told apart."""

_ISO = re.compile(
    r"(?P<seconds>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?)(\.(?P<fraction>\d{1,9}))?(?P<zone>Z|[+-]\d\d:?\d\d)"
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


Time = Annotated[
    int,
    BeforeValidator(to_ns, json_schema_input_type=str | int),
    Field(description="Close of the bar: ISO 8601 with its zone, or nanoseconds since 1970."),
]
Price = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Volume = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]

BAR: dict[str, Any] = {
    "ts_event": "2025-06-30T20:00:00Z",
    "open": 101.2,
    "high": 101.9,
    "low": 100.8,
    "close": 101.5,
    "volume": 52310,
}
REQUEST: dict[str, Any] = {"symbol": "SIM01", "interval": "1h", "bars": [BAR], "assume_flat_basket": False}


class PostedBar(Frozen):
    """One closed bar. Prices may contradict each other by as much as a pass through float32 can do."""

    model_config = ConfigDict(json_schema_extra={"examples": [BAR]})

    ts_event: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume

    @model_validator(mode="after")
    def _consistent(self) -> PostedBar:
        slack = NOISE * self.high
        if self.high < self.low - slack:
            raise ValueError(f"high {self.high} is below low {self.low}")
        for name in ("open", "close"):
            value = getattr(self, name)
            if not self.low - slack <= value <= self.high + slack:
                raise ValueError(f"{name} {value} is outside low..high, {self.low}..{self.high}")
        return self


class PredictRequest(Frozen):
    """Bars of one component, oldest first; the prediction is made from the last."""

    model_config = ConfigDict(json_schema_extra={"examples": [REQUEST]})

    symbol: str
    interval: str = Field(description="Must be the recipe's.")
    bars: Annotated[tuple[PostedBar, ...], Field(max_length=MAX_BARS)] = Field(
        description="At least one more than the model's warm-up, which /model-info tells."
    )
    assume_flat_basket: bool = Field(
        default=False,
        strict=True,
        description="Where the lake has no bars of the basket: take its return as 0 and its last known volatility.",
    )

    @model_validator(mode="after")
    def _rising(self) -> PredictRequest:
        for row in range(1, len(self.bars)):
            before, now = self.bars[row - 1].ts_event, self.bars[row].ts_event
            if now == before:
                raise ValueError(f"bars.{row}.ts_event is {iso(now)}, as is that of the bar before: send each bar once")
            if now < before:
                raise ValueError(
                    f"bars.{row}.ts_event is {iso(now)}, earlier than {iso(before)} of the bar before: "
                    "send the oldest bar first"
                )
        return self

    def table(self) -> pa.Table:
        """The bars as columns of `data.records.BARS`, without the symbol."""
        columns: dict[str, Any] = {"ts_event": pa.array([b.ts_event for b in self.bars], pa.int64()).cast(TIME)}
        for name in ("open", "high", "low", "close", "volume"):
            columns[name] = pa.array([getattr(b, name) for b in self.bars], pa.float64())
        return pa.table(columns)


class BatchRequest(Frozen):
    """Several requests. Each is looked at by itself: one that is refused does not stop the others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [REQUEST]}]})

    items: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="As the body of POST /predict, each."
    )
