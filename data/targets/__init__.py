"""Targets, by kind. A new one is a file here and a line in the table."""

from __future__ import annotations

from bellwether.table import Places, entry
from data.targets.base import TargetKind

TARGETS: Places = {
    "action_5": ("data.targets.action", "ACTION_5"),
    "direction": ("data.targets.direction", "DIRECTION"),
    "future_return": ("data.targets.future_return", "FUTURE_RETURN"),
    "market_direction": ("data.targets.market_direction", "MARKET_DIRECTION"),
    "mid_price": ("data.targets.mid_price", "MID_PRICE"),
    "return_bucket": ("data.targets.return_bucket", "RETURN_BUCKET"),
    "sell_rate": ("data.targets.sell_rate", "SELL_RATE"),
    "sell_rate_high": ("data.targets.sell_rate", "SELL_RATE_HIGH"),
    "sell_rate_identity": ("data.targets.sell_rate", "SELL_RATE_IDENTITY"),
    "triple_barrier": ("data.targets.triple_barrier", "TRIPLE_BARRIER"),
}
"""Where each target is: module and name in it, imported when first asked for."""


def target_kind(kind: str) -> TargetKind:
    """Return the target called ``kind`` in the table.

    Raises
    ------
    UnknownName
        The table has no such entry; the message lists those it has.

    >>> target_kind("action_5").classes
    ('strong_sell', 'sell', 'hold', 'buy', 'strong_buy')
    """
    found: TargetKind = entry("target", TARGETS, kind)
    return found
