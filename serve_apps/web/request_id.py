"""What a request is called in its answer, in the logs and in the prediction log."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar, Token

WELL_FORMED = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""What is taken over from a client or a proxy: it goes into logs, so nothing that could end a line."""

_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """The name of the request under way; empty outside of one.

    >>> request_id()
    ''
    """
    return _current.get()


def begin(given: bytes | None) -> tuple[str, Token[str]]:
    """Name the request that starts here: as the client calls it, if that is well formed, or anew.

    >>> name, token = begin(b"job-17")
    >>> name, request_id() == name, end(token), request_id()
    ('job-17', True, None, '')
    >>> name, token = begin(b"two\\nlines")
    >>> len(name), end(token)
    (32, None)
    """
    name = given.decode() if given is not None and WELL_FORMED.fullmatch(given) else secrets.token_hex(16)
    return name, _current.set(name)


def end(token: Token[str]) -> None:
    """The request is over."""
    _current.reset(token)
