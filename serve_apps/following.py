"""Something made from the lake, made again when the lake changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from bellwether.errors import DataError

T = TypeVar("T")

TRIES = 5
"""How often a value is made before giving up for now on a version that never stands still."""

log = logging.getLogger(__name__)


class Following(Generic[T]):
    """A value that is a function of a version: made at once, and made again whenever the version is another.

    A value is published only if the version is the same after it was made as before: what the value is made of may
    change meanwhile, and newer data must not go out under an older stamp. Otherwise it is made again.

    Making happens in a thread; readers of ``value`` have the old one or the new one. When it fails, the old value
    stays, ``error`` says why, and it is tried again at the next look.

    Parameters
    ----------
    version : callable
        ``version()`` is cheap, and changes if and only if the value would.
    make : callable
        ``make(version)`` makes the value. What it raises the first time is raised to the caller.

    Raises
    ------
    DataError
        The version was another each time the value was made, `TRIES` times in a row.

    Examples
    --------
    >>> versions = iter(["a", "a", "a", "b", "c", "c"])
    >>> followed = Following(lambda: next(versions), str.upper)
    >>> followed.value, followed.refresh(), followed.refresh(), followed.value
    ('A', False, True, 'C')
    """

    def __init__(self, version: Callable[[], str], make: Callable[[str], T]) -> None:
        self._version, self._make = version, make
        self.value: T
        self._publish(version())
        self.error: str | None = None

    def refresh(self) -> bool:
        """Look once; returns whether the value was made again."""
        now = self._version()
        if now == self._seen:
            return False
        self._publish(now)
        return True

    def _publish(self, version: str) -> None:
        for _ in range(TRIES):
            value, before = self._make(version), version
            if (version := self._version()) == before:
                self.value, self._seen = value, version
                return
        raise DataError(f"what is served changed {TRIES} times while it was read: let the writing of the lake finish")

    async def follow(self, every_s: float) -> None:
        """Look every ``every_s`` seconds for as long as the event loop runs."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await asyncio.to_thread(self.refresh)
                self.error = None
            except Exception as error:  # a lake that cannot be read now may be readable in a moment
                self.error = f"{type(error).__name__}: {error}"
                log.exception("cannot bring up to date what is served; the last good state goes on")
