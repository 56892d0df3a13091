"""A queue in memory that neither blocks nor grows without end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Waiting(Generic[T]):
    """A queue with an end: what is one too many pushes out the oldest, which is counted.

    >>> waiting = Waiting(2)
    >>> for item in "abc":
    ...     waiting.put(item)
    >>> waiting.take(), waiting.take(), waiting.lost
    (['b', 'c'], [], 1)
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque(maxlen=capacity)
        self._lock = threading.Lock()
        self.lost = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Add one at the end."""
        with self._lock:
            self.lost += len(self._items) == self._items.maxlen
            self._items.append(item)

    def lose(self, count: int) -> None:
        """Count items that were taken and are no good."""
        with self._lock:
            self.lost += count

    def take(self) -> list[T]:
        """Everything, oldest first; nothing waits afterwards."""
        with self._lock:
            items = list(self._items)
            self._items.clear()
        return items

    def put_back(self, items: Sequence[T]) -> None:
        """Add what was taken at the front again, as much of its newer end as there is room for."""
        with self._lock:
            room = (self._items.maxlen or 0) - len(self._items)
            kept = items[len(items) - room :] if room < len(items) else items
            self.lost += len(items) - len(kept)
            self._items.extendleft(reversed(kept))
