"""Models that are loaded when they are first asked for, no more than so many at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from bellwether.models.predictor import Predictor


class Shelf:
    """Predictors by name and version; beyond ``size`` of them, the one that was asked for longest ago goes.

    Any thread may ask. Loading is done one after the other, and who asks for one that is there does not wait for it.

    Parameters
    ----------
    load : callable
        ``load(name, version)`` opens one; what it raises is raised to who asks, and nothing is kept.
    size : int

    >>> shelf = Shelf(lambda name, version: (name, version), 2)
    >>> [shelf.get("m", version)[1] for version in (1, 2, 1, 3)], [version for _, version in shelf.held]
    ([1, 2, 1, 3], [1, 3])
    """

    def __init__(self, load: Callable[[str, int], Predictor], size: int) -> None:
        self._load, self._size = load, size
        self._held: OrderedDict[tuple[str, int], Predictor] = OrderedDict()
        self._lock, self._loading = Lock(), Lock()

    @property
    def held(self) -> tuple[tuple[str, int], ...]:
        """Names and versions that are loaded, the one asked for longest ago first."""
        return tuple(self._held)

    def get(self, name: str, version: int) -> Predictor:
        """One of them, loaded if it is not."""
        key = (name, version)
        if (found := self._find(key)) is None:
            with self._loading:
                if (found := self._find(key)) is None:  # whoever was before may have loaded it
                    found = self._load(name, version)
                    self._keep(key, found)
        return found

    def _find(self, key: tuple[str, int]) -> Predictor | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def _keep(self, key: tuple[str, int], predictor: Predictor) -> None:
        with self._lock:
            self._held[key] = predictor
            while len(self._held) > self._size:
                self._held.popitem(last=False)
