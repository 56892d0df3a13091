"""The kinds of records, by name. A new one is a file here and a line in the table. Times are UTC nanoseconds."""

from __future__ import annotations

from bellwether.table import Places, entry
from data.records.bars import BARS
from data.records.base import TIME, RecordKind
from data.records.books import BOOKS
from data.records.deltas import DELTAS
from data.records.factors import FACTORS
from data.records.ticks import TICKS

__all__ = ["BARS", "BOOKS", "DELTAS", "FACTORS", "RECORDS", "TICKS", "TIME", "RecordKind", "record_kind"]

RECORDS: Places = {
    "bars": ("data.records.bars", "KIND"),
    "ticks": ("data.records.ticks", "KIND"),
    "books": ("data.records.books", "KIND"),
    "deltas": ("data.records.deltas", "KIND"),
    "factors": ("data.records.factors", "KIND"),
}
"""Where each record kind is: module and name in it."""


def record_kind(name: str) -> RecordKind:
    """Return the record kind called ``name`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> record_kind("ticks").schema.names[:2]
    ['symbol', 'ts_event']
    """
    found: RecordKind = entry("record kind", RECORDS, name)
    return found
