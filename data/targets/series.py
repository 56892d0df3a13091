"""The series a target is made of, for each kind of record."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from bellwether.errors import ConfigError
from data.arrow import pc
from data.targets.base import Floats, Ints, TargetKind

PRICE: Mapping[str, tuple[str, ...]] = {
    "bars": ("close",),
    "ticks": ("price",),
    "books": ("bid_px_1", "ask_px_1"),
}
"""Columns whose mean is the price of a record: a close, a trade, or a mid."""


def columns(record: str, target: TargetKind) -> tuple[str, ...]:
    """Return the record columns the target's series is made of.

    Raises
    ------
    ConfigError
        Records of this kind have no such series.
    """
    if target.reads == "price" and record in PRICE:
        return ("ts_event", *PRICE[record])
    if target.reads != "price" and record == "factors":
        return ("ts_event", "factor", "value")
    able = "bars, ticks or books" if target.reads == "price" else "factors"
    raise ConfigError(f"target {target.kind} reads {target.reads} of {able}; the recipe's record is {record}")


def series(record: str, target: TargetKind, records: pa.Table) -> tuple[Ints, Floats]:
    """Return times and values of the target's series, of the records of one symbol in the lake's order.

    >>> from data.targets import target_kind
    >>> book = pa.table({"ts_event": [5], "bid_px_1": [99.0], "ask_px_1": [101.0]})
    >>> series("books", target_kind("mid_price"), book)[1].tolist()
    [100.0]
    """
    names = columns(record, target)
    if record == "factors":
        records = records.filter(pc.equal(records["factor"], target.reads))
    values = [_floats(records, name) for name in names if name not in ("ts_event", "factor")]
    ts: Ints = records["ts_event"].cast(pa.int64()).to_numpy()
    return ts, np.mean(values, axis=0)


def foretold(target: TargetKind, ts: Ints, t1: Ints, value: Floats, outcome: Floats) -> Floats:
    """Outcomes (n,) or (n, steps) with NaN in rows that have nothing to foretell.

    Those are rows whose outcome is known at their own moment: one order that meets many others makes many trades of one
    timestamp, and the fifth of them is no later than the first. An identity has such rows only, and keeps them. Of a
    level, rows without a present value have no change.

    >>> from data.targets import target_kind
    >>> ts, t1, price = np.array([1, 1, 2]), np.array([1, 2, 3]), np.array([5.0, 5.0, np.nan])
    >>> foretold(target_kind("mid_price"), ts, t1, price, np.array([5.0, 6.0, 7.0])).tolist()
    [nan, 6.0, nan]
    """
    nothing = np.zeros(len(ts), bool) if target.identity else t1 <= ts
    if target.level:
        nothing |= ~np.isfinite(value)
    return np.where(nothing if outcome.ndim == 1 else nothing[:, None], np.nan, outcome)


def _floats(records: pa.Table, name: str) -> Floats:
    found: Floats = pc.fill_null(records[name], np.nan).to_numpy()
    return found
