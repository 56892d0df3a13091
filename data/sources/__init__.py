"""Sources of records, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from bellwether.table import Places, entry
from data.sources.base import Source

SOURCES: Places = {
    "tick-files": ("data.sources.tick_files", "TICK_FILES"),
    "book-files": ("data.sources.book_files", "BOOK_FILES"),
    "factor-files": ("data.sources.factor_files", "FACTOR_FILES"),
    "yahoo": ("data.sources.yahoo", "YAHOO"),
    "lobster": ("data.sources.lobster", "LOBSTER"),
    "binance": ("data.sources.binance", "BINANCE"),
    "ohlcv": ("data.sources.ohlcv", "OHLCV"),
    "simulator": ("data.sources.simulator", "SIMULATOR"),
}
"""Where each source is: module and name in it, imported when first asked for."""


def source(kind: str) -> Source:
    """Return the source called ``kind`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> source("ohlcv").kind
    'ohlcv'
    """
    found: Source = entry("source", SOURCES, kind)
    return found
