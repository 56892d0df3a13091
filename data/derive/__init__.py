"""Derivations, by name. A new one is a file here and a line in the table."""

from __future__ import annotations

from bellwether.table import Places, entry
from data.derive.base import Derivation

DERIVATIONS: Places = {
    "bars": ("data.derive.bars", "KIND"),
    "rebuild": ("data.derive.rebuild", "KIND"),
    "snapshots": ("data.derive.snapshots", "KIND"),
    "trade-rates": ("data.derive.trade_rates", "KIND"),
}
"""Where each derivation is: module and name in it, imported when first asked for."""


def derivation(kind: str) -> Derivation:
    """Return the derivation called ``kind`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.
    """
    found: Derivation = entry("derivation", DERIVATIONS, kind)
    return found
