"""Which bars may enter the lake, and why the others may not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.recipe import Session
from bellwether.errors import DataError
from data.arrow import pc
from data.records import BARS
from data.sources.base import RAW
from data.sources.times import DAY, Ints, of_day, wall_times

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

REJECTED: pa.Schema = RAW.append(pa.field("reason", pa.string(), nullable=False))
"""A raw row and why it was rejected."""

REASONS: tuple[str, ...] = (
    "missing_value",
    "not_finite",
    "non_positive_price",
    "negative_volume",
    "high_below_low",
    "outside_range",
    "outside_session",
    "not_closed",
    "duplicate",
    "conflicting_duplicate",
)
"""Every reason, in the order rules are tried: a row is rejected for the first it meets."""

PRICES = ("open", "high", "low", "close")
VALUES = (*PRICES, "volume")
FOREVER = 2**63 - 1
NOISE = 1e-6
"""How far, relative to a price, prices of a bar may contradict each other: what a pass through float32 can do."""


@dataclass(frozen=True, kw_only=True)
class Screened:
    """What became of raw rows: ``kept.num_rows + rejected.num_rows`` is their number.

    Parameters
    ----------
    kept : pyarrow.Table
        Schema `data.records.BARS`, sorted by symbol and ``ts_event``, no pair of them twice; values as they came.
    rejected : pyarrow.Table
        Schema `REJECTED`, in the order the rows came.
    unsorted : int
        Rows that came after a later bar of their symbol. They are sorted, not rejected.
    """

    kept: pa.Table
    rejected: pa.Table
    unsorted: int


@dataclass(frozen=True, kw_only=True)
class Stamps:
    """Where on the session's clock rows are stamped; ``|`` adds those of another part of the source.

    Parameters
    ----------
    days, opening, closing : frozenset of int
        Days in the session's zone with any row, with one exactly at its opening, and exactly at its close.
    early : int
        Rows before the opening.
    """

    days: frozenset[int] = frozenset()
    opening: frozenset[int] = frozenset()
    closing: frozenset[int] = frozenset()
    early: int = 0

    def __or__(self, other: Stamps) -> Stamps:
        return Stamps(
            days=self.days | other.days,
            opening=self.opening | other.opening,
            closing=self.closing | other.closing,
            early=self.early + other.early,
        )


def screen(raw: pa.Table, session: Session, now: int = FOREVER) -> Screened:
    """Split raw rows into bars and rejected rows, each with its reason.

    ``missing_value``: a null, or an empty symbol. ``not_finite``: NaN or infinite. ``non_positive_price``: not above
    zero. ``negative_volume``. ``high_below_low``. ``outside_range``: open or close outside low..high; both with
    `NOISE` allowed for. ``outside_session``: not opens < ts_event <= closes on its day in the session's zone.
    ``not_closed``: ts_event is after ``now``, UTC nanoseconds; without it no bar is.
    ``duplicate``: the same bar again. ``conflicting_duplicate``: another bar of the same symbol and time as one
    that came before and is kept. Rules on pairs look only at rows that pass the others.

    Raises
    ------
    DataError
        More than half of the rows are outside the session, or the times look like starts of bars.
    """
    screened = screen_rows(raw, session, now)
    refuse_starts(stamps(raw, session))
    refuse_wrong_zone(int(pc.sum(pc.equal(screened.rejected["reason"], "outside_session")).as_py() or 0), raw.num_rows)
    return screened


def screen_rows(raw: pa.Table, session: Session, now: int = FOREVER) -> Screened:
    """Do what `screen` does to a part of a source, such as one symbol, leaving the zone to be judged by the whole."""
    codes, ts = _keys(raw)
    values = {name: raw[name].to_numpy() for name in VALUES}  # null becomes NaN: told apart by _missing
    reason = _row_reasons(raw, ts, values, session, now)
    order = np.lexsort((np.arange(len(ts)), ts, codes))
    order = order[reason[order] < 0]
    _mark_repeats(reason, order, codes, ts, values)
    kept = raw.take(order[reason[order] < 0]).select(BARS.names).cast(BARS)
    bad = np.flatnonzero(reason >= 0)
    reasons = pa.array(np.asarray(REASONS, dtype=object)[reason[bad]], pa.string())
    rejected = raw.take(bad).append_column(REJECTED.field("reason"), reasons).cast(REJECTED)
    return Screened(
        kept=kept.sort_by([("symbol", "ascending"), ("ts_event", "ascending")]),
        rejected=rejected,
        unsorted=_unsorted(codes, ts, raw["ts_event"].is_valid().to_numpy()),
    )


def refuse_wrong_zone(outside: int, rows: int) -> None:
    """Raise `DataError` if most rows of a source are outside the session: then the clock is wrong, not the rows."""
    if 2 * outside > rows:
        raise DataError(
            f"{outside:,} of {rows:,} rows are outside the session: the times look like another zone's, or the "
            "other end of the bar's. Check `timezone` and `stamped` of the source, and the recipe's `session`"
        )


def stamps(raw: pa.Table, session: Session) -> Stamps:
    """Return where rows are stamped, good or bad; those without a time count nowhere."""
    wall = wall_times(raw["ts_event"].drop_null().cast(pa.int64()).to_numpy(), session.timezone)
    day, clock = np.divmod(wall, DAY)
    opens, closes = of_day(session.opens), of_day(session.closes)
    return Stamps(
        days=frozenset(np.unique(day).tolist()),
        opening=frozenset(np.unique(day[clock == opens]).tolist()),
        closing=frozenset(np.unique(day[clock == closes]).tolist()),
        early=int((clock < opens).sum()),
    )


def refuse_starts(found: Stamps) -> None:
    """Raise `DataError` if times of a whole source look like starts of bars where closes are due.

    A grid of starts has a bar at the opening and none at the close; read as closes, each bar would be known an
    interval before it is. One day in twenty with a row at the close is let pass as an exception.
    """
    at_opening, at_close = len(found.opening), len(found.closing)
    if 2 * at_opening > len(found.days) and not found.early and 20 * at_close <= at_opening:
        raise DataError(
            f"on {at_opening:,} of {len(found.days):,} days bars are stamped exactly at the session's opening, on "
            f"{at_close:,} at its close and never before it opens: the bars look stamped at their start. Set "
            "`stamped: start` in the source's options; if it is set, check `timezone` and the recipe's `session`"
        )


def _keys(raw: pa.Table) -> tuple[Ints, Ints]:
    """Return a number for each row's symbol, and its time; -1 and 0 stand in for nulls."""
    symbols = raw["symbol"].combine_chunks().dictionary_encode()
    codes = pc.fill_null(symbols.indices, -1).cast(pa.int64()).to_numpy()
    ts: Ints = pc.fill_null(raw["ts_event"].cast(pa.int64()), 0).to_numpy()
    return codes, ts


def _row_reasons(raw: pa.Table, ts: Ints, values: dict[str, Floats], session: Session, now: int) -> Ints:
    """Return for each row the position in `REASONS` of the first rule it breaks by itself, -1 for none."""
    o, h, low, c, volume = (values[name] for name in VALUES)
    slack = NOISE * np.abs(np.nan_to_num(h, posinf=0.0, neginf=0.0))  # of infinite prices the second rule speaks
    clock = wall_times(ts, session.timezone) % DAY
    broken: list[Flags] = [
        _missing(raw),
        np.asarray(~np.isfinite(np.stack([o, h, low, c, volume])).all(axis=0)),
        np.minimum.reduce([o, h, low, c]) <= 0,
        volume < 0,
        np.asarray(h < low - slack),
        (np.maximum(o, c) > h + slack) | (np.minimum(o, c) < low - slack),
        (clock <= of_day(session.opens)) | (clock > of_day(session.closes)),
        ts > now,
    ]
    return np.select(broken, range(len(broken)), default=-1).astype(np.int64)


def _missing(raw: pa.Table) -> Flags:
    flags: Flags = pc.fill_null(pc.equal(raw["symbol"], ""), True).to_numpy()
    for name in BARS.names:
        flags = flags | raw[name].is_null().to_numpy()
    return flags


def _mark_repeats(reason: Ints, order: Ints, codes: Ints, ts: Ints, values: dict[str, Floats]) -> None:
    """Mark rows whose symbol and time an earlier good row has; ``order`` sorts good rows by symbol, time, arrival."""
    if not len(order):
        return
    new = np.concatenate([[True], (np.diff(codes[order]) != 0) | (np.diff(ts[order]) != 0)])
    first = order[new][np.cumsum(new) - 1]
    same = np.logical_and.reduce([v[order] == v[first] for v in values.values()])
    repeat = np.where(same, REASONS.index("duplicate"), REASONS.index("conflicting_duplicate"))
    reason[order[~new]] = repeat[~new]


def _unsorted(codes: Ints, ts: Ints, known: Flags) -> int:
    late = 0
    for code in np.unique(codes):
        times = ts[(codes == code) & known]
        late += int((times < np.maximum.accumulate(times)).sum())
    return late
