"""Features of bars that a client sends: the same function as everywhere, with the lake's basket."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.sections import Session
from bellwether.trading_time import iso
from data.arrow import Column
from data.features.base import FeatureSet, Floats, Ints
from data.features.market import MarketContext, component_features
from data.intake.quality import screen_rows
from data.sources.base import RAW
from data.wall import times
from serve_apps.window import window

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Posted:
    """A request that has passed its schema: what a shard is sent."""

    symbol: str
    bars: pa.Table
    assume_flat_basket: bool


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Why posted bars cannot be predicted from: the field, and what is wrong with it."""

    field: tuple[str | int, ...]
    message: str


@dataclass(frozen=True, kw_only=True)
class PostedFeatures:
    """Features of the last posted bar, the rows the model looks at as one, its close, and what was assumed."""

    ts: int
    x: Floats
    seen: Floats
    notes: tuple[str, ...]


def posted_features(
    posted: Posted, features: FeatureSet, session: Session, context: MarketContext, now: int, lookback: int = 1
) -> PostedFeatures | Refused:
    """Features of the last posted bar.

    The scan starts from an empty state at the first posted bar, so indicators that remember everything agree with
    those of a longer history only as closely as the warm-up promises. The basket is the lake's at the posted times;
    it has to be known where the features of the last bar need it.

    Parameters
    ----------
    now : int
        UTC nanoseconds; a bar that closes later is not closed yet.
    lookback : int
        Rows the model looks at.
    """
    ts = times(posted.bars)
    if refused := _unfit(posted, ts, session, now):
        return refused
    basket = context.at(ts)
    notes: tuple[str, ...] = ()
    unknown: Flags = np.asarray(np.isnan(basket).any(axis=1))
    if posted.assume_flat_basket and unknown.any():
        basket, notes = _flat(basket, unknown, ts, context)
    x = component_features(features, posted.bars, session, MarketContext(ts=ts, values=basket))
    if not np.isfinite(x[-1]).all():
        return _not_known(x[-1], features, unknown, ts, posted.assume_flat_basket)
    if (seen := window(x, lookback)) is None:
        why = f"the model looks at {lookback} bars whose features are known; send a longer history"
        return Refused(field=("bars",), message=why)
    return PostedFeatures(ts=int(ts[-1]), x=x[-1], seen=seen, notes=notes)


def _unfit(posted: Posted, ts: Ints, session: Session, now: int) -> Refused | None:
    """The rules of ingest that need the clock or the session; the others are in the request's schema."""
    if ts[-1] > now:
        row = int(np.searchsorted(ts, now, side="right"))
        return Refused(
            field=("bars", row, "ts_event"),
            message=f"is {iso(int(ts[row]))}, after {iso(now)}: the bar is not closed yet; send closed bars only",
        )
    rejected = screen_rows(_raw(posted), session).rejected
    if rejected.num_rows:
        row, reason = int(rejected["row"][0].as_py()) - 1, rejected["reason"][0].as_py()
        hours = f"{session.opens:%H:%M} to {session.closes:%H:%M} {session.timezone}"
        why = f"the session is {hours}" if reason == "outside_session" else "ingest would reject it too"
        return Refused(
            field=("bars", row, "ts_event"), message=f"is {iso(int(ts[row]))}: {reason.replace('_', ' ')}; {why}"
        )
    return None


def _raw(posted: Posted) -> pa.Table:
    n = posted.bars.num_rows
    columns: Column = dict(zip(posted.bars.column_names, posted.bars.columns, strict=True))
    columns |= {"symbol": pa.repeat(posted.symbol, n), "file": pa.repeat("request", n), "row": range(1, n + 1)}
    return pa.table(columns, schema=RAW)


def _flat(basket: Floats, unknown: Flags, ts: Ints, context: MarketContext) -> tuple[Floats, tuple[str, ...]]:
    """The basket with a return of 0 and its last known volatility where it is not known."""
    known = ~np.isnan(context.values[:, 1])
    at, volatility = context.ts[known], context.values[known, 1]
    place = np.searchsorted(at, ts, side="right") - 1
    last = np.where(place >= 0, volatility[np.maximum(place, 0)], np.nan) if len(at) else np.full(len(ts), np.nan)
    filled = np.where(unknown[:, None], np.column_stack([np.zeros(len(ts)), last]), basket)
    first, count = iso(int(ts[unknown][0])), int(unknown.sum())
    where = f"at {count} of {len(ts)} bars, the first of them {first}"
    return filled, (
        f"the basket, which the lake does not know, is taken as flat with its last known volatility {where}",
    )


def _not_known(x: Floats, features: FeatureSet, unknown: Flags, ts: Ints, assumed: bool) -> Refused:
    names = ", ".join(n for n, v in zip(features.outputs, x, strict=True) if not np.isfinite(v))
    if not unknown[-1]:
        return Refused(field=("bars",), message=f"features that are not known: {names}; send a longer history")
    message = f"is {iso(int(ts[-1]))}, where the lake does not know the basket, which {names} need: "
    if assumed:
        return Refused(field=("bars",), message=f"the last bar {message}nor does it know its volatility before; ingest")
    row = len(ts) - 1
    return Refused(
        field=("bars", row, "ts_event"),
        message=f'{message}ingest the components\' bars up to there, or send "assume_flat_basket": true',
    )
