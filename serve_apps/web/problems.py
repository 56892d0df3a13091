"""How the HTTP API refuses: one shape for 422s, whoever found the mistake, and JSON whatever the client sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError

LONGEST = 120
"""Characters of a received value that a refusal repeats."""

SHOWN = 20
"""Mistakes that a refusal lists."""


def unprocessable(location: Sequence[str | int], message: str) -> RequestValidationError:
    """A 422 that is about one field of the body, e.g. ``("body", "bars", 3, "ts_event")``."""
    return RequestValidationError([{"type": "value_error", "loc": tuple(location), "msg": message}])


def not_found(what: str, name: str, known: Iterable[str]) -> HTTPException:
    """A 404 that lists the names there are."""
    return HTTPException(404, {"message": f"no {what} {name!r}", "known": list(known)})


def unavailable(reason: str) -> HTTPException:
    """A 503: the name is known, the answer cannot be given now."""
    return HTTPException(503, {"message": reason})


def details(errors: Iterable[Any]) -> list[dict[str, Any]]:
    """Mistakes as JSON: where, what is wrong, and what was received, shortened.

    FastAPI repeats what was received as it is, which fails for NaN and is long for a thousand bars.
    """
    return [_detail(error) for _, error in zip(range(SHOWN), errors, strict=False)]


def _detail(error: dict[str, Any]) -> dict[str, Any]:
    found = {"loc": list(error["loc"]), "msg": str(error["msg"]).removeprefix("Value error, "), "type": error["type"]}
    if "input" in error:
        text = repr(error["input"])
        found["received"] = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return found


def refusal(error: ValidationError | RequestValidationError | HTTPException) -> dict[str, Any]:
    """The same as one item of a batch: ``{"status": …, "detail": …}``."""
    if isinstance(error, HTTPException):
        return {"status": error.status_code, "detail": error.detail}
    return {"status": 422, "detail": details(error.errors())}


def install(app: FastAPI) -> None:
    """Make the app answer wrong requests in this way."""

    async def handle(_: Request, error: Exception) -> JSONResponse:
        found = details(error.errors()) if isinstance(error, RequestValidationError) else []
        return JSONResponse({"detail": found}, status_code=422)

    app.add_exception_handler(RequestValidationError, handle)
