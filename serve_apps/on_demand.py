"""Something made from the lake when it is first asked for, and again when that is after the lake has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from serve_apps.following import Following

T = TypeVar("T")


class OnDemand(Generic[T]):
    """A value that is a function of a version, as `Following` has, that costs nothing until somebody asks.

    Who asks while it is made waits for the same making. A caller that goes away does not end it for the others.

    Parameters
    ----------
    version, make : callable
        As `Following`; both are called in a thread.

    Examples
    --------
    >>> made = OnDemand(lambda: "a", str.upper)
    >>> asyncio.run(made.get())
    'A'
    """

    def __init__(self, version: Callable[[], str], make: Callable[[str], T]) -> None:
        self._version, self._make = version, make
        self._followed: Following[T] | None = None
        self._look: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The value of the version there is now; what making it raises is raised."""
        if self._look is None:
            self._look = asyncio.ensure_future(asyncio.to_thread(self._now))
            self._look.add_done_callback(self._over)
        return await asyncio.shield(self._look)

    def _over(self, look: asyncio.Future[T]) -> None:
        self._look = None
        if not look.cancelled():
            look.exception()  # who asked may have gone away

    def _now(self) -> T:
        if self._followed is None:
            self._followed = Following(self._version, self._make)
        else:
            self._followed.refresh()
        return self._followed.value
