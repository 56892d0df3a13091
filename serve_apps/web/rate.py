"""How often one client may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 10_000
"""Clients that are told apart; beyond it, the one that asked longest ago is forgotten: its bucket is full again."""


class TokenBucket:
    """A bucket for each client: it holds ``burst`` tokens, gains ``rate`` a second, and a request takes one.

    Kept is only the time at which the bucket will be full, so that a client costs one number.

    >>> now = [0.0]
    >>> bucket = TokenBucket(rate=2.0, burst=2, clock=lambda: now[0])
    >>> bucket.take("desk"), bucket.take("desk"), bucket.take("desk"), bucket.take("other")
    (0.0, 0.0, 0.5, 0.0)
    >>> now[0] = 0.5
    >>> bucket.take("desk"), bucket.take("desk")
    (0.0, 0.5)
    """

    def __init__(self, *, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._each, self._span, self._clock = 1.0 / rate, burst / rate, clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, client: str) -> float:
        """Take a token: 0.0, or the seconds until there is one."""
        now = self._clock()
        full_at = max(self._full_at.get(client, now), now) + self._each
        wait = full_at - now - self._span
        if wait > 1e-9:
            return wait
        self._full_at[client] = full_at
        self._full_at.move_to_end(client)
        if len(self._full_at) > REMEMBERED:
            self._full_at.popitem(last=False)
        return 0.0
