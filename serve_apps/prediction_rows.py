"""What was predicted, as rows of the lake: from which inputs, by which version, how quickly."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import pyarrow as pa

from data.lake import Lake
from data.lake.lake import Entry, can_be_partition

AT_ONCE = 256
"""Predictions made a table at a time: Arrow holds the interpreter while it does, and requests wait for that."""

_COLUMNS: dict[str, Any] = {
    "ts_event": pa.timestamp("ns", "UTC"),
    "request_id": pa.string(),
    "app": pa.string(),
    "name": pa.string(),
    "version": pa.int64(),
    "alias": pa.string(),
    "answered": pa.bool_(),
    "symbol": pa.string(),
    "inputs_sha": pa.string(),
    "features": pa.list_(pa.float64()),
    "output": pa.list_(pa.float64()),
    "latency_s": pa.float64(),
    "ts_from": pa.timestamp("ns", "UTC"),
}
PREDICTIONS = pa.schema(_COLUMNS)
"""Columns of the kind ``predictions/<app>``."""

EPOCH, DAY = dt.date(1970, 1, 1), 86_400_000_000_000

UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)
"""What Arrow raises at a value that is not of its column."""


class Logged(NamedTuple):
    """One prediction.

    Parameters
    ----------
    ts : int
        When it was made, UTC nanoseconds; the column ``ts_event``.
    request_id : str
        Of the request it was made for; empty where it was made for none.
    app, name, version, alias : str, str, int, str
        Which app, which model.
    answered : bool
        Whether it was the answer, or a shadow beside it.
    symbol : str
        What it is about.
    inputs_sha : str
        Of what the model was given; `inputs_sha` makes it.
    features : sequence of float, optional
        What the model was given, where that is worth its space.
    output : sequence of float
        What the model said: probabilities in the contract's order, or values.
    latency_s : float
        Seconds it took.
    ts_from : int, optional
        Time of the newest record it was made from, UTC nanoseconds: what an outcome is matched by.
    """

    ts: int
    request_id: str
    app: str
    name: str
    version: int
    alias: str
    answered: bool
    symbol: str
    inputs_sha: str
    features: Sequence[float] | None
    output: Sequence[float]
    latency_s: float
    ts_from: int | None = None


def inputs_sha(*parts: Any) -> str:
    """SHA-256 of arrays (C order) or bytes, one after the other, as hexadecimal text.

    >>> inputs_sha(b"a", b"b") == inputs_sha(b"ab")
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def write(lake: Lake, kind: str, rows: Sequence[Logged]) -> int:
    """Append predictions to a kind, all at once; returns how many of them fit the schema."""
    fit = [row for row in rows if can_be_partition(row.name)]
    try:
        entries = _stage(lake, kind, fit)
    except UNFIT:
        fit = [row for row in fit if _fits(row)]
        entries = _stage(lake, kind, fit)
    if entries:
        lake.commit(kind, entries)
    return len(fit)


def table(rows: Sequence[Logged]) -> pa.Table:
    """Predictions as `PREDICTIONS` has them.

    Raises
    ------
    pyarrow.ArrowException, TypeError, ValueError, OverflowError
        A value is not what its column holds.
    """
    return pa.concat_tables(_piece(rows[k : k + AT_ONCE]) for k in range(0, len(rows), AT_ONCE)).combine_chunks()


def _piece(rows: Sequence[Logged]) -> pa.Table:
    columns = zip(zip(*rows, strict=True), PREDICTIONS, strict=True)
    return pa.table([pa.array(values, field.type) for values, field in columns], schema=PREDICTIONS)


def _stage(lake: Lake, kind: str, rows: Sequence[Logged]) -> list[Entry]:
    parts = groupby(sorted(rows, key=_partition), _partition)
    return [lake.append(kind, name, table(list(part)), date=date) for (name, date), part in parts]


def _fits(row: Logged) -> bool:
    try:
        table([row])
    except UNFIT:
        return False
    return True


def _partition(row: Logged) -> tuple[str, str]:
    return row.name, (EPOCH + dt.timedelta(days=row.ts // DAY)).isoformat()
