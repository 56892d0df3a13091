"""Large bodies are read in a thread: a replica goes on answering others while it checks a hundred thousand bars."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, request_response

from serve_apps.web.bounded import MOST
from serve_apps.web.problems import refusal

LARGE = 2**16
"""Bytes from which on a body is handed to a thread; a smaller one is read in a few milliseconds."""

Handler = Callable[[Request], Awaitable[Response]]


def read_aside(api: FastAPI) -> None:
    """Let every route that takes a body read a large one in a thread; called when all routes are there.

    What is answered stays the same, and so does what is said of the routes.
    """
    for route in api.routes:
        if isinstance(route, APIRoute) and route.body_field in route.dependant.body_params:  # and no form, no parts
            route.app = request_response(_aside(route.get_route_handler(), route.body_field))


def _aside(plain: Handler, field: Any) -> Handler:
    async def handler(request: Request) -> Response:
        return await plain(Aside(request, field))

    return handler


class Aside(Request):
    """A request whose JSON, where it is large, comes as the model that the route takes it for."""

    def __init__(self, request: Request, field: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._field = field

    async def json(self) -> Any:
        """What FastAPI checks next; it takes a model as it is.

        Raises
        ------
        HTTPException
            422: the body is not what the route takes.
        """
        body = await self.body()
        return await (super().json() if len(body) < LARGE else asyncio.to_thread(_checked, self._field, body))


def _checked(field: Any, body: bytes) -> Any:
    with _no_collection():
        found, errors = field.validate(json.loads(body, object_hook=_looked_at), loc=("body",))
        if errors:
            raise _refused(errors)
        return found


def _looked_at(value: dict[str, Any]) -> dict[str, Any]:
    """An object as it is: Python lets other threads go on where one calls a function, and its parser calls no other.

    An object of more fields than are looked at anywhere is refused here: Pydantic finds a mistake in each of them.
    """
    if len(value) > MOST:
        why = f"has {len(value)} fields, more than {MOST} are not listed"
        raise _refused([{"type": "too_many", "loc": ("body",), "msg": why}])
    return value


def _refused(errors: Sequence[Any]) -> HTTPException:
    """A 422 that FastAPI lets through where it parses, with what it would have said."""
    said = refusal(RequestValidationError(errors))
    return HTTPException(said["status"], {"message": said["detail"], "errors": said["errors"]})


@contextmanager
def _no_collection() -> Iterator[None]:
    """There are no cycles in JSON, and to look for them in a million lists takes ten times as long as to read those."""
    mine = gc.isenabled()
    if mine:  # and not otherwise: another thread may have enabled it again by then, and nobody else would
        gc.disable()
    try:
        yield
    finally:
        if mine:
            gc.enable()
