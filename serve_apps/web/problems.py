"""How the HTTP API refuses: one problem document (RFC 9457) for whatever went wrong, whoever found it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from reprlib import Repr
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

from serve_apps.web.request_id import request_id

MEDIA_TYPE = "application/problem+json"

LONGEST = 120
"""Characters of a received value that a refusal repeats."""

SHOWN = 20
"""Mistakes that a refusal lists."""

SAID = {404: "nothing is served at this path; /openapi.json lists what is", 405: "this path takes other methods"}
"""What is said where Starlette says no more than the status."""

EXAMPLE: dict[str, Any] = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "body.bars.3.close: Input should be greater than 0",
    "request_id": "0f8c1d2e3b4a59687766554433221100",
    "errors": [
        {
            "loc": ["body", "bars", 3, "close"],
            "msg": "Input should be greater than 0",
            "type": "greater_than",
            "received": "-1.0",
        }
    ],
}


class Mistake(BaseModel):
    """One thing that is wrong with a request."""

    loc: list[str | int] = Field(description="Where: body, query or path, and the way to the field from there.")
    msg: str
    type: str
    received: str | None = Field(default=None, description=f"At most {LONGEST} characters of what came.")


class Problem(BaseModel):
    """Why there is no answer (RFC 9457)."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [EXAMPLE]})

    type: str = Field(description="about:blank: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong, and what to do about it.")
    request_id: str | None = Field(default=None, description="As in X-Request-ID and in the logs.")
    errors: list[Mistake] | None = Field(default=None, description=f"Of a 422: the first {SHOWN} mistakes.")
    known: list[str] | None = Field(default=None, description="Of a 404: the names there are.")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that refuses with these statuses. `guard` adds those that every route has.

    >>> list(problems(404, 503))
    [404, 503]
    """
    return {status: {"description": HTTPStatus(status).phrase, "content": _content()} for status in statuses}


def unprocessable(location: Sequence[str | int], message: str) -> RequestValidationError:
    """A 422 that is about one field of the body, e.g. ``("body", "bars", 3, "ts_event")``."""
    return RequestValidationError([{"type": "value_error", "loc": tuple(location), "msg": message}])


def not_found(what: str, name: str, known: Iterable[str]) -> HTTPException:
    """A 404 that lists the names there are."""
    return HTTPException(404, {"message": f"no {what} {name!r}", "known": list(known)})


def unavailable(reason: str) -> HTTPException:
    """A 503: the name is known, the answer cannot be given now."""
    return HTTPException(503, {"message": reason})


def problem(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """A problem document; ``members`` are further ones, left out where they are None.

    >>> problem(404, "no symbol 'X'", known=["A"])
    {'type': 'about:blank', 'title': 'Not Found', 'status': 404, 'detail': "no symbol 'X'", 'known': ['A']}
    """
    found = {"type": "about:blank", "title": _title(status), "status": status, "detail": detail}
    return found | {name: value for name, value in members.items() if value is not None}


def refusal(error: ValidationError | RequestValidationError | AnyHTTPException) -> dict[str, Any]:
    """The problem document of an error; what one item of a batch says, too."""
    if not isinstance(error, AnyHTTPException):
        errors = details(error.errors())
        said = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in errors[:1]]
        more = f" (and {len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
        return problem(422, f"{''.join(said) or 'the request is not valid'}{more}", errors=errors)
    detail: Any = error.detail
    if not isinstance(detail, Mapping):
        plain = detail == _title(error.status_code)
        return problem(error.status_code, SAID.get(error.status_code, detail) if plain else str(detail))
    members = {name: value for name, value in detail.items() if name != "message"}
    return problem(error.status_code, str(detail.get("message", _title(error.status_code))), **members)


def details(errors: Iterable[Any]) -> list[dict[str, Any]]:
    """Mistakes as JSON: where, what is wrong, and what was received, shortened.

    FastAPI repeats what was received as it is, which fails for NaN and is long for a thousand bars.
    """
    return [_detail(error) for _, error in zip(range(SHOWN), errors, strict=False)]


def respond(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A problem document as the answer to the request under way."""
    content = dict(document) | ({"request_id": request_id()} if request_id() else {})
    # half a character, which JSON can write and UTF-8 cannot, may stand in a name that a client sent
    body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(body, document["status"], headers, media_type=MEDIA_TYPE)


def install(api: FastAPI) -> None:
    """Make the app refuse in this way, also where FastAPI and Starlette refuse by themselves."""

    async def invalid(_: Request, error: Exception) -> Response:
        return respond(refusal(error)) if isinstance(error, RequestValidationError) else respond(problem(422, ""))

    async def refused(_: Request, error: Exception) -> Response:
        if not isinstance(error, AnyHTTPException):
            return respond(problem(500, "the request failed"))
        return respond(refusal(error), error.headers)

    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(AnyHTTPException, refused)
    api.add_exception_handler(HTTPException, refused)


_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 4 * LONGEST
_repr.maxlist = _repr.maxtuple = _repr.maxdict = 16


def _detail(error: dict[str, Any]) -> dict[str, Any]:
    found = {"loc": list(error["loc"]), "msg": str(error["msg"]).removeprefix("Value error, "), "type": error["type"]}
    if "input" in error:
        text = _repr.repr(error["input"])
        found["received"] = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return found


def _content() -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Problem"
