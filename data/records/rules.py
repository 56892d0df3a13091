"""Rules that several kinds of records share. In a column that may be null, NaN stands for null and breaks none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from data.arrow import Column, pc
from data.records.base import Columns, Flags, Rule, RuleContext
from data.records.sessions import reached

EARLY = ("not_yet", "not_closed")
"""Reasons of records that become visible after the clock's time: they are good ones later."""


def not_finite(required: Sequence[str], known: Sequence[str] = ()) -> Rule:
    """Reject NaN and infinite numbers in ``required`` columns, and infinite ones where a number may be missing."""

    def broken(columns: Columns, context: RuleContext) -> Flags:
        return _any([*(~np.isfinite(columns[n]) for n in required), *(np.isinf(columns[n]) for n in known)])

    return Rule(reason="not_finite", broken=broken)


def not_positive(reason: str, *names: str) -> Rule:
    """Reject numbers of zero or below."""
    return Rule(reason=reason, broken=lambda columns, context: _any([columns[name] <= 0 for name in names]))


def negative(reason: str, *names: str) -> Rule:
    """Reject numbers below zero."""
    return Rule(reason=reason, broken=lambda columns, context: _any([columns[name] < 0 for name in names]))


def bad_side(name: str) -> Rule:
    """Reject sides other than 1, -1 and 0."""
    return Rule(reason="bad_side", broken=lambda columns, context: ~np.isin(columns[name], (-1, 0, 1)))


def after_now(reason: str) -> Rule:
    """Reject records that become visible after the clock's time."""

    def broken(columns: Columns, context: RuleContext) -> Flags:
        late: Flags = columns["ts_event"] > context.now
        return late

    return Rule(reason=reason, broken=broken)


def beyond_calendar() -> Rule:
    """Reject times in years that the market's calendar does not know: no session can be told of them."""
    return Rule(
        reason="beyond_calendar",
        broken=lambda columns, context: ~reached(columns["ts_event"], context.session),
    )


def among(text: Column, names: Sequence[str]) -> Flags:
    """Tell which of an object array's texts are one of ``names``; None is not.

    >>> among(np.array(["add", None, "ad"], object), ("add", "set")).tolist()
    [True, False, False]
    """
    flags: Flags = pc.is_in(pa.array(text, pa.string()), value_set=pa.array(names, pa.string())).to_numpy(False)
    return flags


def _any(flags: Sequence[Flags]) -> Flags:
    found: Flags = np.logical_or.reduce(flags)
    return found
