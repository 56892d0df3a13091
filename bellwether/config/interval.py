"""Lengths of time as recipes write them, such as ``30s``, ``5min``, ``1h`` or ``1d``."""

from __future__ import annotations

INTERVAL = r"^[1-9]\d*(s|min|h|d)$"
"""The pattern of one."""


def nanoseconds(interval: str) -> int:
    """Return the length of an interval such as ``30s``, ``5min``, ``1h`` or ``1d``.

    >>> nanoseconds("5min")
    300000000000
    """
    unit = {"s": 1, "min": 60, "h": 3600, "d": 86400}[interval.lstrip("0123456789")]
    return int(interval.rstrip("sminhd")) * unit * 1_000_000_000
