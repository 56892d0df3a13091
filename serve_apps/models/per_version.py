"""What a replica makes of each version it holds, once and not with every request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from serve_apps.models.served import Champion, Served

T = TypeVar("T")


class PerVersion(Generic[T]):
    """Something made of a version when it is first asked for, and dropped when the version is no longer held.

    Threads may ask at once: at worst it is made twice, and one of the two is kept.

    Parameters
    ----------
    served : Served
    make : callable
        ``make(champion)``; what it raises is raised to the caller, and it is called again the next time.
    """

    def __init__(self, served: Served, make: Callable[[Champion], T]) -> None:
        self._served, self._make = served, make
        self._made: dict[tuple[str, int], T] = {}

    def __call__(self, champion: Champion) -> T:
        """What was made of this version."""
        key = (champion.name, champion.version)
        if (found := self._made.get(key)) is None:
            found = self._make(champion)
            held = {(one.name, one.version) for one in self._served.all()}
            self._made = {k: kept for k, kept in self._made.items() if k in held} | {key: found}
        return found
