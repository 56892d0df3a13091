"""A simulated market with a known answer: ten components, their cap-weighted index, and a planted signal.

What a bar's next log return is distributed like, given everything up to the bar, is known exactly for components
(`data.sources.dynamics`) and to second order for the index. ``strength=0, stylised=False`` is the null market: equal
and constant volatility, nights included, and volumes that depend on nothing; no class of an outcome is more likely
after one past than after another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Session
from data.arrow import Column
from data.records import BARS, TIME, record_kind
from data.records.factors import RATES
from data.sources.base import RAW, Source, SourceContext
from data.sources.dynamics import CORRELATION, Floats, Moves, evolve, gain, paths, shocks
from data.sources.flow import DEPTH
from data.sources.flow_tables import FLOW_TABLES, TICK, FlowSession, flow_session
from data.sources.rates import rates
from data.weights.base import WEIGHTS

Ints = NDArray[np.int64]

SYMBOLS = tuple(f"SIM{k:02d}" for k in range(1, 11))
INDEX, INDEX_BASE = "SIMX", 1000.0

HOUR = 3_600_000_000_000
SIGMA = 0.005  # sd of a log return over an hour at midday
SPREAD = (0.7, 1.3)  # of the components' sigmas around SIGMA
NIGHT = 1.5  # sd of the overnight gap, in midday hours' sd
SMILE = 0.8  # how much higher the sd of open and close is than that of midday
NULL_GAP = 0.3  # share of a first bar's variance before its open where the sd is constant
STEPS = 8  # of the price inside a bar
CAP_DECAY, CAP_DRIFT = 0.7, 0.04  # weight of rank k starts at k**-CAP_DECAY; sd of its log change a month

_FIELDS: list[pa.Field[Any]] = [
    pa.field("symbol", pa.string(), nullable=False),
    pa.field("ts_event", TIME, nullable=False),
    pa.field("mean", pa.float64(), nullable=False),
    pa.field("sd", pa.float64(), nullable=False),
]

TRUTH: pa.Schema = pa.schema(_FIELDS)
"""Mean and sd of the log return of the bar after ``ts_event``, given everything up to it."""


class SimulatorOptions(Frozen):
    """Which simulated market.

    Parameters
    ----------
    seed : int
        Equal options give equal bars. Markets of one seed share their shocks whatever their strength.
    sessions : int
        Trading days, Monday to Friday.
    end : date
        The last of them, or the last weekday before.
    strength : float
        R² of the conditional mean: the share of the variance of the components' next log return, pooled, that is
        known beforehand. See `data.sources.dynamics.gain`.
        Of ticks, books and deltas, the share of the variance of the direction of mid moves (`data.sources.flow`); of
        factors, that of the next interval's log odds (`data.sources.rates`).
    stylised : bool
        Volatility clusters, smiles over the session and differs between components; nights are rougher than hours;
        volume follows volatility. Without it, volatility is one constant and volume is noise. Of ticks, books and
        deltas: activity comes in spells and at both ends of the day, and trades of a side come in runs.
    events : int
        Changes of the book a session and symbol. Bars and factors have none.
    """

    seed: int = Field(default=7, ge=0)
    sessions: int = Field(default=260, ge=1, le=20_000)
    end: date = date(2025, 6, 30)
    strength: float = Field(default=0.15, ge=0.0, le=0.9)
    stylised: bool = True
    events: int = Field(default=2_000, ge=2, le=10_000_000)


@dataclass(frozen=True, kw_only=True)
class Market:
    """Bars of components and index (`BARS`), the distribution of what follows each (`TRUTH`), and the weights."""

    bars: pa.Table
    truth: pa.Table
    weights: pa.Table


def simulate(options: SimulatorOptions, session: Session, interval_ns: int) -> Market:
    """Make the market of ``options`` on the grid of ``session``, bars stamped at their close.

    Tables are sorted by symbol and time; ``weights`` by date and symbol, as a weights source yields them.

    Examples
    --------
    >>> market = simulate(SimulatorOptions(sessions=3), Session(), HOUR)
    >>> market.bars.num_rows == 3 * 7 * 11
    True
    """
    closes, hours = _grid(options, session, interval_ns)
    scale, gap = _scale(options, hours)
    published = published_weights(options)
    weights = _in_force(published, closes.ravel())
    sigma = _sigma(options)
    g = gain(options.strength, weights[0], sigma)
    scales = np.append(np.tile(scale, len(closes)), scale[0])[:, None] * sigma
    shock = shocks(_rng(options, "shocks"), closes.size, len(SYMBOLS))
    moves = evolve(shock, scales, weights, g, clustered=options.stylised)
    prices = _prices(options, moves, scales[0], np.tile(gap, len(closes)), weights)
    volume = _volume(options, moves, shock, np.tile(scale, len(closes)))
    ts = closes.ravel()
    return Market(bars=_bars(ts, prices, volume), truth=_truth(ts, moves, weights), weights=published)


def published_weights(options: SimulatorOptions) -> pa.Table:
    """The components' weights (`WEIGHTS`), published at the start of each month from before the first bar.

    They drift by their own random walk, as share counts do, and not with prices: so they are the same for every
    session and interval, and known before the month's first bar.
    """
    days = _days(options)
    dates = [days[0].replace(day=1)]
    if days[0].day == 1:  # a market far east of UTC closes its first bar the day before
        dates[0] = (days[0] - timedelta(days=1)).replace(day=1)
    while (after := (dates[-1] + timedelta(days=32)).replace(day=1)) <= days[-1]:
        dates.append(after)
    steps = CAP_DRIFT * _rng(options, "weights").standard_normal((len(dates), len(SYMBOLS)))
    caps = np.exp(np.cumsum(steps, axis=0)) * np.arange(1, len(SYMBOLS) + 1) ** -CAP_DECAY
    weights = caps / caps.sum(axis=1, keepdims=True)
    effective = np.repeat(np.array(dates, "datetime64[ns]").astype(np.int64), len(SYMBOLS))
    columns: list[Column] = [_time(effective), pa.array(SYMBOLS * len(dates)), pa.array(weights.ravel())]
    return pa.table(columns, schema=WEIGHTS)


def read(options: SimulatorOptions, context: SourceContext) -> Iterator[pa.Table]:
    """Yield raw tables: bars and factors one a symbol, events one a symbol and session.

    Bars, factors and events are three markets of the same symbols: the bars are not those of the events' trades.
    """
    if context.record == "bars":
        yield from _raw_bars(options, context)
    elif context.record == "factors":
        yield from _raw_factors(options, context)
    else:
        yield from map(FLOW_TABLES[context.record], flow_sessions(options, context.session))


def flow_sessions(options: SimulatorOptions, session: Session) -> Iterator[FlowSession]:
    """Simulate the order flow, symbol by symbol and session by session; prices go on from one to the next."""
    g = float(np.sqrt(options.strength))
    for symbol in SYMBOLS:
        rng = _rng(options, f"flow {symbol}")
        start = int(np.exp(rng.uniform(np.log(30.0), np.log(400.0))) / TICK)
        for day in _days(options):
            made = flow_session(
                rng, symbol, day, session, start=start, events=options.events, g=g, stylised=options.stylised
            )
            start = max(int(made.flow.bid[-1]), 2 * DEPTH)
            yield made


def _raw_factors(options: SimulatorOptions, context: SourceContext) -> Iterator[pa.Table]:
    closes, _ = _grid(options, context.session, context.interval_ns)
    ts = np.repeat(closes.ravel(), len(RATES))
    raw = record_kind("factors").raw
    for k, symbol in enumerate(SYMBOLS):
        value = rates(_rng(options, f"rates {symbol}"), closes.size, float(np.sqrt(options.strength))).ravel()
        n = len(value)
        columns: list[Column] = [pa.repeat(symbol, n), _time(ts), pa.array(RATES * closes.size), pa.array(value)]
        origin: list[Column] = [pa.repeat("simulator", n), pa.array(np.arange(k * n + 1, (k + 1) * n + 1))]
        yield pa.table([*columns, *origin], schema=raw)


def _raw_bars(options: SimulatorOptions, context: SourceContext) -> Iterator[pa.Table]:
    bars = simulate(options, context.session, context.interval_ns).bars
    each = bars.num_rows // (len(SYMBOLS) + 1)
    for first in range(0, bars.num_rows, each):
        columns = bars.slice(first, each).columns
        origin: list[Column] = [pa.repeat("simulator", each), pa.array(np.arange(first + 1, first + each + 1))]
        yield pa.table([*columns, *origin], schema=RAW)


def _rng(options: SimulatorOptions, purpose: str) -> np.random.Generator:
    """A stream of its own for each purpose, so that one does not shift another."""
    return np.random.default_rng([options.seed, *purpose.encode()])


def _days(options: SimulatorOptions) -> list[date]:
    end = np.busday_offset(options.end, 0, roll="backward")
    days = np.busday_offset(end, np.arange(1 - options.sessions, 1))
    return list(days.tolist())


def _grid(options: SimulatorOptions, session: Session, interval_ns: int) -> tuple[Ints, Floats]:
    """Closes (sessions, bars) in UTC ns, the last of a session at its close, and each bar's length (bars,) in hours."""
    zone = ZoneInfo(session.timezone)
    opens, ends = (
        np.array([int(datetime.combine(day, clock, zone).timestamp()) for day in _days(options)]) * 1_000_000_000
        for clock in (session.opens, session.closes)
    )
    length = int((ends - opens).min())
    n = -(-length // interval_ns)
    closes = np.minimum(opens[:, None] + interval_ns * np.arange(1, n + 1), ends[:, None])
    closes[:, -1] = ends
    return closes, np.diff(closes[0], prepend=opens[0]) / HOUR


def _scale(options: SimulatorOptions, hours: Floats) -> tuple[Floats, Floats]:
    """Sd of each bar of a session in units of a component's sigma, and the share of its variance before the open."""
    gap = np.zeros(len(hours))
    if not options.stylised:
        gap[0] = NULL_GAP
        return np.full(len(hours), np.sqrt(hours[0])), gap
    middle = (np.cumsum(hours) - hours / 2.0) / hours.sum()
    inside = np.sqrt(hours) * (1.0 + SMILE * (2.0 * middle - 1.0) ** 2)
    night = np.where(np.arange(len(hours)) == 0, NIGHT, 0.0)
    total = np.hypot(inside, night)
    return total, (night / total) ** 2


def _sigma(options: SimulatorOptions) -> Floats:
    spread = np.linspace(*SPREAD, len(SYMBOLS)) if options.stylised else np.ones(len(SYMBOLS))
    return SIGMA * _rng(options, "sigma").permutation(spread)


def _in_force(published: pa.Table, ts: Ints) -> Floats:
    """Weights (T, N) at each bar."""
    dates = published.column("effective").cast(pa.int64()).to_numpy()[:: len(SYMBOLS)]
    weights = published.column("weight").to_numpy().reshape(-1, len(SYMBOLS))
    return weights[np.searchsorted(dates, ts, side="right") - 1]


def _prices(options: SimulatorOptions, moves: Moves, first_sd: Floats, gap: Floats, weights: Floats) -> Floats:
    """Open, high, low, close (T, 4, N + 1); the index, last, moves by the weighted simple returns of the components."""
    rng = _rng(options, "paths")
    start = np.exp(rng.uniform(np.log(30.0), np.log(400.0), len(SYMBOLS)))
    inside = np.exp(paths(rng, moves.returns, np.vstack([first_sd, moves.sd[:-1]]), gap, STEPS))
    inside = np.concatenate([inside, np.einsum("tkn,tn->tk", inside, weights)[..., None]], axis=2)
    close = np.append(start, INDEX_BASE) * np.cumprod(inside[:, -1], axis=0)
    inside *= np.vstack([np.append(start, INDEX_BASE), close[:-1]])[:, None]
    inside[:, -1] = close
    return np.stack([inside[:, 0], inside.max(axis=1), inside.min(axis=1), close], axis=1)


def _volume(options: SimulatorOptions, moves: Moves, shock: Floats, scale: Floats) -> Floats:
    """Shares traded (T, N + 1); the index has the sum of its components."""
    rng = _rng(options, "volume")
    size = np.exp(rng.uniform(np.log(2e5), np.log(5e6), len(SYMBOLS)))
    log_volume = 0.35 * rng.standard_normal(shock.shape)
    if options.stylised:
        log_volume += np.log(scale * moves.heat)[:, None] + 0.3 * np.abs(shock)
    volume = np.round(size * np.exp(log_volume))
    return np.column_stack([volume, volume.sum(axis=1)])


def _bars(ts: Ints, prices: Floats, volume: Floats) -> pa.Table:
    columns = [prices[:, k].T.ravel() for k in range(4)]
    return pa.table([*_keys(ts), *map(pa.array, columns), pa.array(volume.T.ravel())], schema=BARS)


def _truth(ts: Ints, moves: Moves, weights: Floats) -> pa.Table:
    """The index: log of a weighted mean of log-normals, its mean to second order, its sd to first.

    The weights are those of the next bar, which are published before it.
    """
    w = np.vstack([weights[1:], weights[-1:]])
    loads = w * moves.sd
    variance = CORRELATION * loads.sum(axis=1) ** 2 + (1.0 - CORRELATION) * (loads**2).sum(axis=1)
    convexity = 0.5 * ((w * (moves.sd**2 + moves.mean**2)).sum(axis=1) - variance - (w * moves.mean).sum(axis=1) ** 2)
    mean = np.column_stack([moves.mean, (w * moves.mean).sum(axis=1) + convexity])
    sd = np.column_stack([moves.sd, np.sqrt(variance)])
    return pa.table([*_keys(ts), pa.array(mean.T.ravel()), pa.array(sd.T.ravel())], schema=TRUTH)


def _keys(ts: Ints) -> list[Column]:
    names = (*SYMBOLS, INDEX)
    return [pa.array(np.repeat(names, len(ts)), pa.string()), _time(np.tile(ts, len(names)))]


def _time(ns: Ints) -> Column:
    return pa.array(ns, pa.int64()).cast(TIME)


def identity(options: SimulatorOptions) -> str:
    """Hash of the options: records of two markets have names in common, and nothing else."""
    return hashlib.sha256(options.model_dump_json().encode()).hexdigest()


SIMULATOR = Source(
    kind="simulator",
    options=SimulatorOptions,
    read=read,
    identity=identity,
    records=("bars", "ticks", "books", "deltas", "factors"),
)
