"""Messages as they arrive: strict, so that what ingest would put in quarantine is refused here by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from bellwether.config.frozen import Frozen
from data.records import TIME, record_kind
from serve_apps.web.bounded import Bounded
from serve_apps.web.values import WRITTEN, NotNegative, Number, Positive, Time

MAX_TICKS, MAX_ITEMS, MAX_MODELS = 1_000, 100, 64
"""Trades in one post, requests in one batch, models in one request."""

POSTED = "POST /ticks"
"""What quarantine calls the file that posted trades came in."""

Moment = Annotated[Time, Field(description=f"When the trade happened: {WRITTEN}.")]
Seq = Annotated[int, Field(strict=True, ge=0, lt=2**63 - 1, description="Orders trades of one instant.")]

TICK: dict[str, Any] = {
    "ts_event": "2025-01-31T20:59:59.5Z",
    "price": 100.02,
    "volume": 300,
    "bid": 100.01,
    "ask": 100.02,
    "side": 1,
}
REQUEST: dict[str, Any] = {"symbol": "SIM01", "tick_data": TICK, "models": ["direction_5"], "durable": False}


class TickData(Frozen):
    """One trade. Without a ``seq`` it is the next of its instant."""

    model_config = ConfigDict(json_schema_extra={"examples": [TICK]})

    ts_event: Moment
    seq: Seq | None = None
    price: Positive
    volume: Positive = Field(description="Shares or contracts.")
    bid: Positive | None = Field(default=None, description="Best bid before the trade.")
    ask: Positive | None = Field(default=None, description="Best ask before the trade.")
    bid_qty: NotNegative | None = None
    ask_qty: NotNegative | None = None
    side: Annotated[int, Field(strict=True, ge=-1, le=1)] = Field(
        default=0, description="1 buyer-initiated, -1 seller-initiated, 0 not known."
    )

    @model_validator(mode="after")
    def _not_crossed(self) -> TickData:
        if self.bid is not None and self.ask is not None and self.bid > self.ask:
            raise ValueError(f"bid {self.bid} is above ask {self.ask}")
        return self


class NoTick(Frozen):
    """No new trade."""


def _or_none(value: Any) -> Any:
    return None if value == {} else value


class PredictRequest(Bounded):
    """A prediction of one symbol: after one more trade, or from where it stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [REQUEST]})

    symbol: str
    tick_data: Annotated[
        TickData | None, BeforeValidator(_or_none, json_schema_input_type=TickData | NoTick | None)
    ] = Field(default=None, description="Null or empty: predict from where the symbol stands.")
    models: Annotated[tuple[str, ...], Field(max_length=MAX_MODELS)] = Field(
        default=(), description="Of those that /models lists; all that are served, if left out."
    )
    durable: bool = Field(
        default=False,
        strict=True,
        description="Write the trade to the lake before answering. Otherwise only the replica that answers knows it.",
    )


class BatchRequest(Bounded):
    """Several requests, one after the other. One that is refused does not stop the others."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [REQUEST]}]})

    items: Annotated[tuple[Any, ...], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description="As the body of POST /predict, each."
    )


class PostedTick(Frozen):
    """A trade on its way to the lake. Numbers are judged there by the rules of ingest."""

    symbol: str
    ts_event: Moment
    ts_recv: Moment | None = None
    seq: Seq | None = None
    price: Number
    volume: Number
    bid: Number | None = None
    ask: Number | None = None
    bid_qty: Number | None = None
    ask_qty: Number | None = None
    side: Annotated[int, Field(strict=True, ge=-128, le=127)] = 0


class TicksRequest(Bounded):
    """Trades to append, those of a symbol in the order in which they happened."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ticks": [{"symbol": "SIM01"} | TICK]}]})

    ticks: Annotated[tuple[PostedTick, ...], Field(min_length=1, max_length=MAX_TICKS)]


def raw(ticks: Sequence[PostedTick]) -> pa.Table:
    """Trades as ingest takes them: schema ``raw`` of the record kind, rows numbered from 1."""
    schema = record_kind("ticks").raw
    columns: dict[str, Any] = {"file": [POSTED] * len(ticks), "row": range(1, len(ticks) + 1)}
    for name in PostedTick.model_fields:
        values = [getattr(tick, name) for tick in ticks]
        columns[name] = pa.array(values, pa.int64()).cast(TIME) if name.startswith("ts_") else values
    arrays = [pa.array(columns.get(field.name, [None] * len(ticks)), field.type) for field in schema]
    return pa.table(arrays, schema=schema)


def posted(symbol: str, tick: TickData) -> PostedTick:
    """One trade of a prediction's request, to be appended."""
    return PostedTick.model_construct(symbol=symbol, ts_recv=None, **dict(tick))
