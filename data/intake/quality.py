"""Which bars may enter the lake, and whether a source of bars has its clock right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.arrow import pc
from data.intake.screen import FOREVER, Screened, reasons, rejected_schema
from data.intake.screen import screen as screen_kind
from data.records import record_kind
from data.records.bars import NOISE, VALUES
from data.records.base import RuleContext
from data.records.sessions import last_opened
from data.wall import DAY, Ints, of_day, wall_times

__all__ = ["FOREVER", "NOISE", "REASONS", "REJECTED", "VALUES", "Screened", "Stamps", "screen", "screen_rows", "stamps"]

BARS_KIND = record_kind("bars")

REJECTED: pa.Schema = rejected_schema(BARS_KIND)
"""A raw bar and why it was rejected."""

REASONS: tuple[str, ...] = reasons(BARS_KIND)
"""Every reason, in the order rules are tried: a row is rejected for the first it meets."""


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
    """Split raw rows into bars and rejected rows, each with its reason (`REASONS`, `data.records.bars.RULES`).

    Without ``now``, UTC nanoseconds, every bar is closed.

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
    return screen_kind(BARS_KIND, raw, RuleContext(session=session, now=now))


def refuse_wrong_zone(outside: int, rows: int) -> None:
    """Raise `DataError` if most rows of a source are outside the session: then the clock is wrong, not the rows."""
    if 2 * outside > rows:
        raise DataError(
            f"{outside:,} of {rows:,} rows are outside the session: the times look like another zone's, or the "
            "other end of the bar's. Check `timezone` and `stamped` of the source, and the recipe's `session`"
        )


def stamps(raw: pa.Table, session: Session) -> Stamps:
    """Return where rows are stamped, good or bad; those without a time count nowhere.

    Where the session has a calendar, its sessions open and close, and no row in one of them is early.
    """
    ts = raw["ts_event"].drop_null().cast(pa.int64()).to_numpy()
    day, clock = np.divmod(wall_times(ts, session.timezone), DAY)
    early = clock < of_day(session.opens)
    opening, closing = clock == of_day(session.opens), clock == of_day(session.closes)
    if session.calendar:
        from data.records.sessions import last_opened

        opened, closes = last_opened(ts, session, at=True)
        opening, closing, early = ts == opened, ts == last_opened(ts, session, at=False)[1], early & (ts > closes)
    return Stamps(
        days=frozenset(np.unique(day).tolist()),
        opening=frozenset(np.unique(day[opening]).tolist()),
        closing=frozenset(np.unique(day[closing]).tolist()),
        early=int(early.sum()),
    )


def crowded(ts: Ints, session: Session, interval_ns: int) -> int:
    """Count bars of one symbol that close less than an interval after the one before; a session's last may be short.

    >>> minute = 60 * 1_000_000_000
    >>> crowded(np.array([5, 10, 15, 30]) * minute, Session(timezone="UTC"), 15 * minute)
    2
    """
    short = np.flatnonzero(np.diff(ts) < interval_ns) + 1
    if session.calendar:
        _, closing = last_opened(ts[short], session, at=False)
        return int((ts[short] != closing).sum())
    return int((wall_times(ts[short], session.timezone) % DAY != of_day(session.closes)).sum())


def refuse_crowded(count: int, rows: int) -> None:
    """Raise `DataError` if bars of a whole source come quicker than their interval: one in twenty is let pass."""
    if 20 * count > rows:
        raise DataError(
            f"{count:,} of {rows:,} bars close less than their interval after the one before: the files hold shorter "
            "bars than that. Say the interval they have"
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
