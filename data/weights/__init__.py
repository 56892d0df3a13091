"""Sources of component weights, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from bellwether.table import Places, entry
from data.weights.base import WeightSource

WEIGHT_SOURCES: Places = {
    "qqq_holdings": ("data.weights.holdings", "QQQ_HOLDINGS"),
    "plain": ("data.weights.plain", "PLAIN"),
    "simulator": ("data.weights.simulated", "SIMULATED"),
}
"""Where each source of weights is: module and name in it, imported when first asked for."""


def weight_source(kind: str) -> WeightSource:
    """Return the source of weights called ``kind`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> weight_source("plain").kind
    'plain'
    """
    found: WeightSource = entry("weights source", WEIGHT_SOURCES, kind)
    return found
