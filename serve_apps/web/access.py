"""Who may ask: API keys, unless Serve listens on loopback only."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from fastapi import HTTPException

from bellwether.config.keys import Key, KeyFile, KeyRing
from bellwether.errors import ConfigError
from serve_apps.web.replica import is_loopback, listening_host
from serve_apps.web.rules import READING, Needs

Headers = Mapping[bytes, bytes]

BEARER, BASIC = 'Bearer realm="bellwether"', 'Basic realm="bellwether", charset="UTF-8"'

SAID_WITHIN_S = 5.0
"""How long Serve may take to say on what it listens."""

log = logging.getLogger(__name__)


def challenges(headers: Headers) -> tuple[str, ...]:
    """What a 401 asks for, one header line each: Chromium reads the first word of a line only.

    Basic, with the key as password, is for a person who opens an address: the browser asks for it. Scripts of a page
    are told of bearer tokens only, so that no browser asks in their place.
    """
    return (BEARER, BASIC) if headers.get(b"sec-fetch-mode") == b"navigate" else (BEARER,)


class WatchedKeys:
    """The keys of a file, read again when it has changed."""

    def __init__(self, path: str) -> None:
        self._file = KeyFile(path)
        self._seen: tuple[int, ...] | None = None
        self._ring = KeyRing()
        self._said = ""

    def ring(self) -> KeyRing:
        """The keys there are now; none while the file cannot be read, which the log says once."""
        try:
            stat = self._file.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._ring, self._seen, self._said = self._file.read(), seen, ""
        except FileNotFoundError:
            self._ring, self._seen = KeyRing(), None
        except (OSError, ConfigError) as error:
            if self._said != str(error):  # whoever asks without a key must not fill the log
                log.exception("no request is let in, because the key file cannot be read")
            self._ring, self._seen, self._said = KeyRing(), None, str(error)
        return self._ring


class Access:
    """Lets requests in that have a key with the right scope.

    Parameters
    ----------
    keys : str
        The key file.
    required : bool, optional
        Whether a key is needed. None: unless Serve listens on loopback, and then the request must be addressed to
        loopback, so that no page of another site and no proxy can ask in the name of this machine.
    host : callable
        The address that Serve listens on; asked once, by the first request.
    """

    def __init__(
        self, keys: str, required: bool | None, host: Callable[[], Awaitable[str | None]] = listening_host
    ) -> None:
        self._keys, self._required, self._host = WatchedKeys(keys), required, host
        self._local_only = False
        self._known = required is not None

    async def required(self) -> bool:
        """Whether a request needs a key. Where Serve cannot say on what it listens, it does."""
        if not self._known:
            try:
                async with asyncio.timeout(SAID_WITHIN_S):
                    host = await self._host()
            except Exception:  # whatever goes wrong inside of Serve: rather closed than open
                log.exception("a key is required, because Serve does not say on what it listens")
                return True
            self._required = host is not None and not is_loopback(host)
            self._local_only = host is not None and not self._required
            self._known = True
        return bool(self._required)

    async def identify(self, method: str, needs: Needs, route: str | None, headers: Headers) -> Key | None:
        """The key that a request was sent with; None where none is needed.

        Raises
        ------
        HTTPException
            401: no key, or none that is known. 403: the request was made by a page of another site.
        """
        if method not in READING and _of_another_site(headers):
            raise HTTPException(403, "a page of another site may not change anything here")
        if not await self.required():
            if self._local_only and not _addressed_to_loopback(headers.get(b"host", b"")):
                raise HTTPException(
                    403, "this app listens on loopback and answers only there: behind a proxy, set safety.required"
                )
            return None
        ring = self._keys.ring()
        if needs == "public" and (ring.keys or route == "/health"):
            return None
        return _found(ring, _secret(headers))

    def still(self, key: Key) -> bool:
        """Whether a key that let a request in is there yet: one that was removed gets no more of a stream."""
        return key in self._keys.ring().keys


def authorise(key: Key | None, needs: Needs) -> None:
    """Let a request on that has a key with the right scope, or needs none.

    Raises
    ------
    HTTPException
        403: the key may do other things only.
    """
    if key is not None and needs != "public" and needs not in key.scopes:
        raise HTTPException(403, f"the key {key.name!r} has the scopes {', '.join(key.scopes)}; this needs {needs}")


def _found(ring: KeyRing, secret: str | None) -> Key:
    if not ring.keys:
        raise HTTPException(
            401,
            "this app listens beyond loopback and has no keys: make one with `bellwether keys add NAME` where "
            "BELLWETHER_KEYS is kept",
        )
    if secret is None:
        raise HTTPException(401, "send an API key as `Authorization: Bearer KEY`; `bellwether keys add NAME` makes one")
    key = ring.find(secret)
    if key is None:
        raise HTTPException(401, "this API key is not known, or was removed")
    return key


def _secret(headers: Headers) -> str | None:
    """The key in a request: a bearer token, ``X-API-Key``, or the password of basic authentication."""
    scheme, _, given = headers.get(b"authorization", b"").strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip().decode("latin-1")
    if scheme.lower() == b"basic":
        try:
            return b64decode(given.strip(), validate=True).partition(b":")[2].decode("latin-1")
        except NotBase64:
            return None
    found = headers.get(b"x-api-key")
    return None if found is None else found.strip().decode("latin-1")


def _of_another_site(headers: Headers) -> bool:
    """Whether a page of another site made a request: browsers say so, the older ones by ``Origin`` alone."""
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None or origin is None:
        return site in (b"cross-site", b"same-site")
    try:
        named = urlsplit(origin.decode("latin-1")).hostname
    except ValueError:
        return True
    return named != _name(headers.get(b"host", b""))


def _addressed_to_loopback(host: bytes) -> bool:
    return is_loopback(_name(host))


def _name(host: bytes) -> str:
    """The host of a ``Host`` header, without its port."""
    name = host.decode("latin-1").strip()
    return (name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]).lower()
