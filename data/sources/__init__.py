"""Sources of bars, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from importlib import import_module

from bellwether.errors import UnknownName
from data.sources.base import Source

SOURCES: dict[str, tuple[str, str]] = {
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
    if kind not in SOURCES:
        raise UnknownName("source", kind, SOURCES)
    module, attribute = SOURCES[kind]
    found: Source = getattr(import_module(module), attribute)
    return found
