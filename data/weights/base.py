"""What a source of weights is, and what weights must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bellwether.config.frozen import Frozen
from bellwether.errors import DataError, EmptySource
from data.arrow import pc
from data.records import TIME

_FIELDS: list[pa.Field[Any]] = [
    pa.field("effective", TIME, nullable=False, metadata={"is": "from when the weight is known and in force"}),
    pa.field("symbol", pa.string(), nullable=False),
    pa.field("weight", pa.float64(), nullable=False, metadata={"unit": "fraction of the index"}),
]

WEIGHTS: pa.Schema = pa.schema(_FIELDS)
"""Weights of everything an index or fund holds, dated: each date stands until the next."""

CASH = "$CASH"
"""The symbol of what is no component: cash and its like. It counts in the sum and may be below zero."""

TOLERANCE = 0.02
"""How far, relatively, the weights of a date may be from their whole: published ones are rounded."""


@dataclass(frozen=True, kw_only=True)
class WeightSource:
    """A place weights come from.

    Parameters
    ----------
    kind : str
        Key in the table of weight sources and in recipes.
    options : type
        What a recipe may say about it.
    read : callable
        ``read(options, root)`` returns a table of schema `WEIGHTS`; relative paths are below ``root``.
    """

    kind: str
    options: type[Frozen]
    read: Callable[[Any, Path], pa.Table]


def fractions(weights: pa.Table) -> pa.Table:
    """Return weights as fractions, sorted by date and symbol; percentages are told by their sum.

    Parameters
    ----------
    weights : pyarrow.Table
        Columns of `WEIGHTS`, every holding of every date: the weights of a date sum to 1, or to 100.

    Raises
    ------
    EmptySource
        There are none.
    DataError
        A value is missing, not finite or below zero, a symbol has two weights on a date, or those of a date sum
        to neither 1 nor 100; the message names the date.

    >>> day = pa.array([0, 0], pa.int64()).cast(TIME)
    >>> fractions(pa.table({"effective": day, "symbol": ["B", "A"], "weight": [60.0, 40.0]}))["weight"].to_pylist()
    [0.4, 0.6]
    """
    if not weights.num_rows:
        raise EmptySource("the weights source has no rows; put the right file there")
    _check_rows(weights)
    ordered = weights.select(WEIGHTS.names).cast(WEIGHTS)
    ordered = ordered.sort_by([("effective", "ascending"), ("symbol", "ascending")])
    _check_unique(ordered)
    at, weight = ordered["effective"].cast(pa.int64()).to_numpy(), ordered["weight"].to_numpy()
    dates, which = np.unique(at, return_inverse=True)
    sums = np.bincount(which, weights=weight)
    scale = np.where(np.abs(sums - 1.0) <= TOLERANCE, 1.0, np.where(np.abs(sums / 100 - 1.0) <= TOLERANCE, 100.0, 0.0))
    if not scale.all():
        wrong = int(np.flatnonzero(scale == 0)[0])
        raise DataError(
            f"the weights of {_day(dates[wrong])} sum to {sums[wrong]:.6g}, neither to 1 nor to 100 (percent); give "
            "the weight of everything the index holds, not of the recipe's symbols only"
        )
    return ordered.set_column(2, WEIGHTS.field("weight"), pa.array(weight / scale[which]))


def _check_rows(weights: pa.Table) -> None:
    values = weights["weight"]
    below = pc.and_(pc.less(values, 0.0), pc.not_equal(weights["symbol"], CASH))
    good = pc.and_(pc.is_finite(values), pc.invert(below))
    for name in ("effective", "symbol"):
        good = pc.and_(good, weights[name].is_valid())
    bad = np.flatnonzero(~pc.fill_null(good, False).to_numpy())
    if len(bad):
        row = weights.slice(int(bad[0]), 1).to_pylist()[0]
        raise DataError(
            f"a weight is unusable: date {row['effective']}, symbol {row['symbol']!r}, weight {row['weight']}; "
            f"{len(bad)} such rows. Each needs a date, a symbol and a finite weight that is not below zero"
        )


def _check_unique(ordered: pa.Table) -> None:
    at, symbol = ordered["effective"].cast(pa.int64()).to_numpy(), ordered["symbol"].to_numpy()
    twice = np.flatnonzero((np.diff(at) == 0) & (symbol[1:] == symbol[:-1]))
    if len(twice):
        row = int(twice[0])
        raise DataError(f"{symbol[row]} has more than one weight on {_day(at[row])}; keep one")


def _day(ts: int) -> str:
    return str(np.datetime64(int(ts), "ns").astype("datetime64[s]"))
