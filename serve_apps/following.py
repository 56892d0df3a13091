"""Something made from the lake, made again when the lake changes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from uuid import uuid4

T = TypeVar("T")

TRIES = 3
"""How often a value is made in the hope that its version stands still meanwhile."""

log = logging.getLogger(__name__)


class Following(Generic[T]):
    """A value that is a function of a version: made at once, and made again whenever the version is another.

    What a value is made of may change while it is made, and newer data must not go out under an older stamp. So a value
    is published under its version only if that is the same after it was made as before; otherwise it is made again.
    Where the version never stands still, as under steady writing, the value is made once more under a stamp that no
    other value has, in this process or another, is published, and is made again at the next look: what it says of each
    thing was true at some moment of the making, and to say nothing new would be worse.

    Making happens in a thread, one at a time; readers of ``value`` have the old one or the new one. When it fails, the
    old value stays, ``error`` says why, and it is tried again at the next look.

    Parameters
    ----------
    version : callable
        ``version()`` is cheap, and changes if and only if the value would.
    make : callable
        ``make(stamp)`` makes the value; the stamp is the version or begins with it, and can only be compared for
        equality. What it raises the first time is raised to the caller.
    whole : callable, optional
        Whether a value has all that its version has; one that has not is made again at the next look.

    Examples
    --------
    >>> versions = iter(["a", "a", "a", "b", "c", "c"])
    >>> followed = Following(lambda: next(versions), str.upper)
    >>> followed.value, followed.refresh(), followed.refresh(), followed.value
    ('A', False, True, 'C')
    """

    def __init__(
        self, version: Callable[[], str], make: Callable[[str], T], whole: Callable[[T], bool] = lambda _: True
    ) -> None:
        self._version, self._make, self._whole = version, make, whole
        self._one = threading.Lock()
        self.value: T
        self._seen: str | None
        self._publish(version())
        self.error: str | None = None

    def refresh(self) -> bool:
        """Look once; returns whether the value was made again."""
        with self._one:
            now = self._version()
            if now == self._seen:
                return False
            self._publish(now)
            return True

    def _publish(self, version: str) -> None:
        for _ in range(TRIES):
            value, stamp = self._make(version), version
            if (version := self._version()) == stamp:
                break
        else:
            stamp = f"{version}~{uuid4().hex}"
            value = self._make(stamp)
        self.value, self._seen = value, stamp if self._whole(value) else None

    async def follow(self, every_s: float) -> None:
        """Look every ``every_s`` seconds for as long as the event loop runs and has threads to look in."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await _in_thread(self.refresh)
                self.error = None
            except _Over:
                return
            except Exception as error:  # a lake that cannot be read now may be readable in a moment
                self.error = f"{type(error).__name__}: {error}"
                log.exception("cannot bring up to date what is served; the last good state goes on")


class _Over(Exception):
    """The threads of the event loop are shut down: the process ends, and there is nobody left to look for."""


def _in_thread(look: Callable[[], object]) -> Awaitable[object]:
    try:
        return asyncio.get_running_loop().run_in_executor(None, look)
    except RuntimeError as error:  # raised here, before the look has begun; what it raises itself comes when awaited
        if "shutdown" in str(error):
            raise _Over from error
        raise
