"""The simulated order flow as records: deltas, books and ticks of the same events, and what was bound to come next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from bellwether.config.sections import Session
from data.arrow import Column
from data.records import TIME, record_kind
from data.records.books import LEVELS
from data.records.deltas import ACTIONS
from data.sources.flow import DEPTH, Floats, Flow, Ints, order_flow

LOT, TICK = 100.0, 0.01
PERSISTENCE = 0.75
"""Chance that a trade has the side of the one before, where the market has stylised facts."""

HEAT, MEMORY = 0.5, 0.999
"""Sd and persistence of the log of activity."""


@dataclass(frozen=True, kw_only=True)
class FlowSession:
    """One simulated session of one symbol: ``ts``, int64 of shape (n,), never falls."""

    symbol: str
    ts: Ints
    flow: Flow

    @property
    def first_price(self) -> float:
        """Best bid at the opening."""
        return float(self.flow.bid[0]) * TICK


def flow_session(
    rng: np.random.Generator,
    symbol: str,
    day: date,
    session: Session,
    *,
    start: int,
    events: int,
    g: float,
    stylised: bool,
) -> FlowSession:
    """Simulate a session that opens at ``start`` ticks."""
    heat = _heat(rng, events) if stylised else np.ones(events)
    flow = order_flow(rng, start, np.minimum(heat, 4.0), g, PERSISTENCE if stylised else 0.5)
    opens, closes = (
        int(datetime.combine(day, clock, ZoneInfo(session.timezone)).timestamp()) * 1_000_000_000
        for clock in (session.opens, session.closes)
    )
    return FlowSession(symbol=symbol, ts=_times(rng, heat, opens, closes, stylised), flow=flow)


def _heat(rng: np.random.Generator, events: int) -> Floats:
    """Activity that comes in spells: a log-normal AR(1) of mean about 1."""
    shock = HEAT * np.sqrt(1.0 - MEMORY**2) * rng.standard_normal(events)
    log = np.empty(events)
    level = HEAT * rng.standard_normal()
    for k in range(events):
        level = MEMORY * level + shock[k]
        log[k] = level
    heat: Floats = np.exp(log - HEAT**2 / 2.0)
    return heat


def _times(rng: np.random.Generator, heat: Floats, opens: int, closes: int, stylised: bool) -> Ints:
    """Times within the session: waits are exponential, shorter when activity is high and at both ends of the day."""
    waits = rng.exponential(size=len(heat))
    if stylised:
        middle = (np.arange(len(heat)) + 0.5) / len(heat)
        waits *= (1.0 - 0.7 * (2.0 * middle - 1.0) ** 2) / heat
    share = np.cumsum(waits) / (waits.sum() + waits.mean())
    ts: Ints = opens + (share * (closes - opens)).astype(np.int64)
    return ts


def deltas(made: FlowSession) -> pa.Table:
    """The deltas as raw records; those of the first event say what the book is."""
    d = made.flow.deltas
    known = d[:, 2] > 0
    return _raw(
        "deltas",
        made,
        d[:, 0],
        part=pa.array(d[:, 1], pa.int32()),
        action=pa.array(np.array(ACTIONS)[d[:, 2]], pa.string()),
        side=pa.array(d[:, 3], pa.int8()),
        price=pa.array(_price(d[:, 4]), mask=~known),
        qty=pa.array(d[:, 5] * LOT, mask=~known),
    )


def books(made: FlowSession) -> pa.Table:
    """The book after each event as raw records, with the event's trade."""
    flow = made.flow
    columns: dict[str, Column] = {}
    for level in range(min(LEVELS, DEPTH)):
        columns[f"bid_px_{level + 1}"] = pa.array(_price(flow.bid - level))
        columns[f"bid_qty_{level + 1}"] = pa.array(flow.bids[:, level] * LOT)
        columns[f"ask_px_{level + 1}"] = pa.array(_price(flow.bid + 1 + level))
        columns[f"ask_qty_{level + 1}"] = pa.array(flow.asks[:, level] * LOT)
    traded = flow.side != 0
    columns["trade_px"] = pa.array(_price(_trade_ticks(flow)), mask=~traded)
    columns["trade_qty"] = pa.array(flow.lots * LOT, mask=~traded)
    columns["trade_side"] = pa.array(flow.side, pa.int8())
    return _raw("books", made, np.arange(len(flow.bid)), **columns)


def ticks(made: FlowSession) -> pa.Table:
    """The trades as raw records, each with the quote that stood before it."""
    flow = made.flow
    at = np.flatnonzero(flow.side)  # never the first event, which says what the book is
    return _raw(
        "ticks",
        made,
        at,
        price=pa.array(_price(_trade_ticks(flow)[at])),
        volume=pa.array(flow.lots[at] * LOT),
        bid=pa.array(_price(flow.bid[at - 1])),
        ask=pa.array(_price(flow.bid[at - 1] + 1)),
        bid_qty=pa.array(flow.bids[at - 1, 0] * LOT),
        ask_qty=pa.array(flow.asks[at - 1, 0] * LOT),
        side=pa.array(flow.side[at], pa.int8()),
        source=pa.repeat("simulator", len(at)),
    )


FLOW_TABLES = {"deltas": deltas, "books": books, "ticks": ticks}


def _trade_ticks(flow: Flow) -> Ints:
    """Where the event's trade happened: at the ask before it if buyers began it, else at the bid before it."""
    before = np.append(flow.bid[:1], flow.bid[:-1])
    return np.where(flow.side > 0, before + 1, before)


def _price(ticks: Ints) -> Floats:
    price: Floats = ticks / round(1.0 / TICK)  # one division: the same float for the same tick, always
    return price


def _raw(record: str, made: FlowSession, event: Ints, **columns: Column) -> pa.Table:
    schema, n = record_kind(record).raw, len(event)
    stamps = pa.array(made.ts[event], pa.int64()).cast(TIME)
    known: dict[str, Column] = {
        "symbol": pa.repeat(made.symbol, n),
        "ts_event": stamps,
        "ts_recv": stamps,
        "seq": pa.array(event, pa.int64()),
        "file": pa.repeat(f"simulator/{made.symbol}/{np.datetime64(int(made.ts[0]), 'ns').astype('M8[D]')}", n),
        "row": pa.array(np.arange(1, n + 1)),
        **columns,
    }
    return pa.table([known.get(field.name, pa.nulls(n, field.type)) for field in schema], schema=schema)


_TRUTH_FIELDS: list[pa.Field[pa.DataType]] = [
    pa.field("symbol", pa.string(), nullable=False),
    pa.field("ts_event", TIME, nullable=False),
    pa.field("seq", pa.int64(), nullable=False),
    pa.field("up", pa.float64(), nullable=False),
    pa.field("down", pa.float64(), nullable=False),
]

FLOW_TRUTH = pa.schema(_TRUTH_FIELDS)
"""Chance that the next event moves the mid up, and down, given everything up to this one."""


def truth(sessions: Iterator[FlowSession]) -> pa.Table:
    """What was bound to come after each event of the sessions, `FLOW_TRUTH`."""
    parts = []
    for made in sessions:
        n = len(made.ts)
        columns: list[Column] = [
            pa.repeat(made.symbol, n),
            pa.array(made.ts, pa.int64()).cast(TIME),
            pa.array(np.arange(n)),
            pa.array(made.flow.up),
            pa.array(made.flow.down),
        ]
        parts.append(pa.table(columns, schema=FLOW_TRUTH))
    return pa.concat_tables(parts)
