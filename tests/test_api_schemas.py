"""Every app does over HTTP what its OpenAPI says: no other status, no other body, and no 5xx whatever comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.asgi_apps import INSTALLED, InProcess, installed
from benchmarks.study_fuzz import ODDLY, throw
from serve_apps import APPS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 4
"""Requests a route and kind of data."""

BODIES = 40
"""Made by hypothesis, for each app; ``python -m benchmarks.study_fuzz`` makes ten thousand."""

LEFT_OUT = {"/reload-model"}
"""It tells Serve to change the app, and there is no Serve here."""

each_app = pytest.mark.parametrize("name", INSTALLED)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One folder for all, so that the tables of the model store are made once."""
    return tmp_path_factory.mktemp("apps")


@pytest.fixture(scope="module")
def app(home) -> Callable[[str], Any]:
    """An app by name, installed once."""
    return cache(lambda name: installed(name, home))


@pytest.fixture(scope="module")
def schema(app) -> Callable[[str], Any]:
    """What an app says of itself; the app runs for as long as the tests."""
    return cache(lambda name: schemathesis.openapi.from_asgi("/openapi.json", InProcess(app(name))))


def operations(schema: Any) -> Iterator[Any]:
    """Every route and method that answers at once, in this process."""
    for found in schema.get_all_operations():
        operation = found.ok()
        said = operation.definition.raw["responses"].get("200", {}).get("content", {})
        if operation.path not in LEFT_OUT and "text/event-stream" not in said:
            yield operation


def test_every_app_is_here():
    assert INSTALLED.keys() == APPS.keys()


@each_app
@pytest.mark.parametrize("mode", [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
def test_answers_are_as_described(name, mode, schema):
    tried = 0
    for operation in operations(schema(name)):

        @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers(case):
            nonlocal tried
            tried += 1
            case.call_and_validate(checks=CHECKS)

        with suppress(Unsatisfiable):  # what takes nothing cannot be given anything wrong
            answers()
    assert tried >= EXAMPLES


# --- bodies that hypothesis makes ----------------------------------------------------------------


@each_app
def test_no_body_brings_a_5xx_and_no_odd_request_anything_but_a_problem(name, app):
    found = throw(name, app(name), BODIES, odd=BODIES)
    assert found.broken == []
    odd = found.statuses.pop(ODDLY)
    assert odd.total() == BODIES
    assert found.bodies >= BODIES / 2  # what hypothesis has made before, it does not make again


def test_an_app_that_breaks_is_found():
    """One that is fine until a field is not what it should be, and forgot to say so."""
    from fastapi import Body, FastAPI
    from ray import serve

    class Careless:
        def __serve_build_asgi_app__(self):
            api = FastAPI()

            @api.post("/predict")
            async def predict(symbol: str = Body(examples=["A"], embed=True), size: int = Body(default=1)):
                return 1 / (size + len(symbol) - 1)

            return api

    found = throw("careless", serve.deployment(serve.ingress()(Careless)).bind(), 100)
    assert found.broken
    assert "500" in found.broken[0]
