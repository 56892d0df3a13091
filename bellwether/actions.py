"""The five actions a component can be given, in the order every contract and wire message uses."""

from __future__ import annotations

ACTIONS: tuple[str, ...] = ("strong_sell", "sell", "hold", "buy", "strong_buy")
"""Class names; a class position is an index into this tuple."""

SCORES: tuple[int, ...] = (-2, -1, 0, 1, 2)
"""The score of each action, in the order of `ACTIONS`."""
