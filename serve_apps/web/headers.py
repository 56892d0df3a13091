"""Headers that every answer has, unless the endpoint set them itself."""

from __future__ import annotations

from starlette.types import Message

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a browser may load and run for a page of ours: files of the same app, nothing inline, in no frame."""

ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")
NO_STORE = (b"cache-control", b"no-store")


def secure(message: Message, *, tls: bool) -> None:
    """Add them to an ``http.response.start``. An answer in JSON is of its moment, so that no cache may keep it."""
    headers = message["headers"] = list(message.get("headers", ()))
    given = {name.lower(): value for name, value in headers}
    headers.extend(pair for pair in ALWAYS if pair[0] not in given)
    kind = given.get(b"content-type", b"")
    if NO_STORE[0] not in given and (kind.startswith(b"application/") and b"json" in kind):
        headers.append(NO_STORE)
    if tls:
        headers.append(STRICT_TRANSPORT)
