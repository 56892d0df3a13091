"""Routes: which versions answer, as the registry stands now."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from bellwether.errors import NoChampion
from serve_apps.models.routes import NEWEST, Route, from_config, resolve, to_config


class Registry:
    """Versions 1 to 3, of which the last was refused, and aliases on the others."""

    def resolve(self, name: str, alias: str) -> int:
        return {"Production": 1, "Staging": 2}[alias]

    def versions(self, name: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(version=k) for k in (3, 2, 1)] if name == "a" else []


def test_the_alias_answers_and_nothing_stands_beside_it_unasked():
    route = resolve(Registry(), "a", "Production")
    assert (route.versions, route.choose("any"), route.beside(1), route.name_of(1)) == ((1,), 1, None, "Production")


def test_a_canary_gets_its_share_and_a_request_the_same_version_each_time():
    route = resolve(Registry(), "a", "Production", canary=0.25)
    chosen = [route.choose(f"request {k}") for k in range(4000)]
    assert chosen == [route.choose(f"request {k}") for k in range(4000)]
    assert 0.22 < chosen.count(2) / len(chosen) < 0.28
    assert route.name_of(2) == "Staging"


def test_a_shadow_answers_nobody_and_predicts_beside_the_other():
    route = resolve(Registry(), "a", "Production", shadow=True)
    assert (route.choose("any"), route.beside(1), route.beside(2)) == (1, 2, 1)


def test_newest_is_the_last_version_whatever_its_gate_said():
    route = resolve(Registry(), "a", NEWEST)
    assert (route.version, route.alias) == (3, NEWEST)
    with pytest.raises(NoChampion, match="b has no version yet: run `bellwether train b`"):
        resolve(Registry(), "b", NEWEST)


def test_routes_pass_through_a_user_config_unchanged():
    routes = {"a": Route(version=1, candidate=2, canary=0.5, shadow=True), "b": Route(version=7)}
    assert from_config(to_config(routes)) == routes


def test_a_canary_needs_a_candidate():
    with pytest.raises(ValidationError, match="promote a version to Staging"):
        Route(version=1, canary=0.1)
