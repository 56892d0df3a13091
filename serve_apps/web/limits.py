"""What a request may be: how large its body, and of which type.

How deep its JSON may be is for Python's parser to say: what is deeper is a 400, as other text that it cannot read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from fastapi import HTTPException
from starlette.types import Message, Receive

BODY_S = 60.0
"""How long a body may take to come: until then it holds one of the requests that a replica works on at a time."""


def check_body(headers: Mapping[bytes, bytes], most: int, takes_json: bool) -> None:
    """Refuse a body by what its headers announce.

    Raises
    ------
    HTTPException
        413: it has more than ``most`` bytes. 415: the route takes JSON, and it is something else, or compressed.
    """
    length = headers.get(b"content-length", b"")
    if length.isdigit() and (len(length) > 18 or int(length) > most):
        raise _too_large(most)
    if takes_json and (length not in (b"", b"0") or b"transfer-encoding" in headers):
        given = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if not (given == b"application/json" or (given.startswith(b"application/") and given.endswith(b"+json"))):
            raise HTTPException(415, "the body must be JSON: send it with Content-Type: application/json")
        if headers.get(b"content-encoding", b"").strip().lower() not in (b"", b"identity"):
            raise HTTPException(415, "the body must not be compressed: send it without Content-Encoding")


def check_query(query: bytes) -> None:
    """Refuse a query that is not ASCII, as an address must be: not everything that reads it would get over it.

    Raises
    ------
    HTTPException
        400.
    """
    if not query.isascii():
        raise HTTPException(400, "the query of an address is ASCII: write other characters as %XX")


def limited(receive: Receive, most: int, *, awaited: bool = False, seconds: float = BODY_S) -> Receive:
    """A ``receive`` that raises the 413 once more than ``most`` bytes have come, announced or not.

    Where a body is ``awaited``, it raises a 408 if that is not whole after ``seconds``.
    """
    came, whole = 0, not awaited
    end = asyncio.get_running_loop().time() + seconds if awaited else 0.0

    async def counted() -> Message:
        nonlocal came, whole
        message = await (receive() if whole else _until(end, receive))
        came += len(message.get("body", b""))
        whole = whole or not message.get("more_body", False)
        if came > most:
            raise _too_large(most)
        return message

    return counted


async def _until(end: float, receive: Receive) -> Message:
    try:
        async with asyncio.timeout_at(end):
            return await receive()
    except TimeoutError:
        raise HTTPException(408, "the body did not come in time", headers={"Connection": "close"}) from None


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"the body of a request has at most {most} bytes")
