"""Bodies as they leave. Floats are written so that reading them gives the same bits."""

from __future__ import annotations

import json

from fastapi import Response


def dumps(value: object) -> bytes:
    """JSON in UTF-8. NaN and infinity, which JSON does not have, are an error here and not a surprise elsewhere."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def answer(value: object, status: int = 200) -> Response:
    """A finished JSON response; a body that is bytes already goes out as it is."""
    body = value if isinstance(value, bytes) else dumps(value)
    return Response(body, status, media_type="application/json")
