"""The description of an app at ``/openapi.json``, with the errors that `guard` answers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from serve_apps.web.problems import Problem, problems
from serve_apps.web.rules import Needs, Rules

OF_FASTAPI = ("HTTPValidationError", "ValidationError")

EVERYWHERE = (400, 401, 403, 404, 405, 413, 422, 429, 500, 503)
"""Refusals that any route may give: of the guard, of FastAPI, or of Serve's proxy when its queues are full; that one
says so in plain text."""

SCHEMES: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def describe(api: FastAPI, rules: Rules) -> None:
    """Let the app describe its refusals as problems, and the scope each route needs."""
    plain = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _described(plain(), rules)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]


def _described(spec: dict[str, Any], rules: Rules) -> dict[str, Any]:
    for path, operations in spec.get("paths", {}).items():
        for method, operation in operations.items():
            _complete(operation, rules.needs(method.upper(), path))
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    for name in OF_FASTAPI:
        schemas.pop(name, None)
    _, made = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    schemas.update(made["$defs"])
    spec["components"]["securitySchemes"] = SCHEMES
    return spec


def _complete(operation: dict[str, Any], needs: Needs) -> None:
    """Document the refusals that are not documented yet, replace FastAPI's 422, and say which scope is needed."""
    responses = operation["responses"]
    responses.pop("422", None)
    statuses = EVERYWHERE if "requestBody" not in operation else (*EVERYWHERE, 408, 415)
    for status, described in problems(*statuses).items():
        responses.setdefault(str(status), described)
    responses["503"].setdefault("content", {}).setdefault("text/plain", {"schema": {"type": "string"}})
    operation["responses"] = dict(sorted(responses.items()))
    operation["x-scope"] = needs
