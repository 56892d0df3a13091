"""The index signal as it changes: server-sent events."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from serve_apps.draining import draining
from serve_apps.web.problems import unavailable

BEAT_S = 15.0
"""Something is sent at least so often, so that neither end nor a proxy between them takes the other for dead."""

LIFE_S = 600.0
"""A stream ends after this, and a browser connects again: no connection lasts for ever."""

RETRY_MS = 3000
"""How long a browser waits before it connects again."""

MOVING = ("as_of", "age_seconds")
"""What changes with the clock and not with the signal."""

Ask = Callable[[], Awaitable[bytes]]
"""The signal's body now."""


class Streams:
    """The streams of one replica.

    Every stream asks at the same beats of the loop's clock, so that all of them share one round of the shards.

    Parameters
    ----------
    every_s : float
        How often the signal is looked at.
    most : int
        Streams at a time; each is a request under way for as long as it lasts.
    over : callable
        Whether the replica is taken away: streams then end, and browsers connect to another.
    """

    def __init__(
        self,
        every_s: float,
        most: int,
        *,
        beat_s: float = BEAT_S,
        life_s: float = LIFE_S,
        over: Callable[[], bool] = draining,
    ) -> None:
        self.every_s, self.most, self.beat_s, self.life_s = min(every_s, beat_s), most, beat_s, life_s
        self.open, self._over = 0, over

    def response(self, ask: Ask, last: str | None) -> StreamingResponse:
        """A stream of what ``ask`` says, from now on; a 503 where too many are open.

        Parameters
        ----------
        last : str, optional
            ``Last-Event-ID``, what the client has: it is not sent again.
        """
        if self.open >= self.most:
            raise unavailable(
                f"{self.most} streams are open, as many as a replica has; ask GET /signal/index, or later"
            )
        self.open += 1
        return _Counted(self, self._events(ask, last))

    async def _events(self, ask: Ask, last: str | None) -> AsyncIterator[bytes]:
        now = asyncio.get_running_loop().time
        begun = sent = now()
        yield f"retry: {RETRY_MS}\n\n".encode()
        while now() - begun < self.life_s:
            body = await ask()
            if self._over():
                return
            if (found := event_id(body)) != last:
                last, sent = found, now()
                yield b"event: signal\nid: %s\ndata: %s\n\n" % (found.encode(), body)
            elif now() - sent >= self.beat_s:
                sent = now()
                yield b": beat\n\n"
            await asyncio.sleep(self.every_s - now() % self.every_s)


class _Counted(StreamingResponse):
    """A response that says when it is over, even one whose client went away before it began."""

    def __init__(self, streams: Streams, events: AsyncIterator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1


@lru_cache(maxsize=16)
def event_id(body: bytes) -> str:
    """What the signal says, as a short text: the same in every replica, and after a restart.

    Ages move with the clock, and are left out: a signal is sent when something other than they has changed.

    >>> event_id(b'{"as_of":1,"components":[{"age_seconds":1}]}') == event_id(b'{"as_of":2,"components":[]}')
    False
    >>> event_id(b'{"as_of":1,"wss":0.5,"components":[]}') == event_id(b'{"as_of":2,"wss":0.5,"components":[]}')
    True
    """
    said = json.loads(body, object_hook=lambda d: {k: v for k, v in d.items() if k not in MOVING})
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=8).hexdigest()
