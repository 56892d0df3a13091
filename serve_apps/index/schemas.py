"""Messages as they arrive: strict, so that what ingest would put in quarantine is refused here by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import pyarrow as pa
from pydantic import ConfigDict, Field, model_validator

from bellwether.config.frozen import Frozen
from bellwether.trading_time import iso
from data.intake.quality import NOISE
from data.records import TIME
from data.sources.base import RAW
from serve_apps.web.bounded import Bounded
from serve_apps.web.values import WRITTEN, NotNegative, Number, Positive, Time

MAX_BARS, MAX_ITEMS = 1_000, 100
"""Bars in one request, and requests in one batch."""

Close = Annotated[Time, Field(description=f"Close of the bar: {WRITTEN}.")]

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

    ts_event: Close
    open: Positive
    high: Positive
    low: Positive
    close: Positive
    volume: NotNegative

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


class PredictRequest(Bounded):
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


class BatchRequest(Bounded):
    """Several requests. Each is looked at by itself: one that is refused does not stop the others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [REQUEST]}]})

    items: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="As the body of POST /predict, each."
    )


class RawBar(Frozen):
    """One bar as a feed has it: the rules of ingest judge its values, and put it in quarantine where it breaks one."""

    model_config = ConfigDict(json_schema_extra={"examples": [BAR]})

    ts_event: Close
    open: Number | None
    high: Number | None
    low: Number | None
    close: Number | None
    volume: Number | None


class BarsRequest(Bounded):
    """Bars of one symbol to keep, in any order; where the lake has one of the same close, what is sent stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"symbol": "SIM01", "interval": "1h", "bars": [BAR]}]})

    symbol: str = Field(description="A component of the universe, or its index.")
    interval: str = Field(description="Must be the recipe's.")
    bars: Annotated[tuple[RawBar, ...], Field(min_length=1, max_length=MAX_BARS)]


class BarsBatch(Bounded):
    """Bars of several symbols, taken all at once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [{"symbol": "SIM01", "interval": "1h", "bars": [BAR]}]}]}
    )

    items: Annotated[tuple[BarsRequest, ...], Field(min_length=1, max_length=MAX_ITEMS)]


def raw_bars(requests: Sequence[BarsRequest]) -> pa.Table:
    """The bars as a source yields them, schema `data.sources.base.RAW`; rows are numbered from 1 over all requests."""
    bars = [bar for request in requests for bar in request.bars]
    values = ("open", "high", "low", "close", "volume")
    columns: dict[str, Any] = {name: [getattr(bar, name) for bar in bars] for name in values}
    columns["ts_event"] = pa.array([bar.ts_event for bar in bars], pa.int64()).cast(TIME)
    columns["symbol"] = [request.symbol for request in requests for _ in request.bars]
    columns |= {"file": ["POST /bars"] * len(bars), "row": range(1, len(bars) + 1)}
    return pa.table(columns, schema=RAW)
