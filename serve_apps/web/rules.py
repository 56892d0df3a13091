"""What holds for each route: the scope a key needs, and whether it takes a body of JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Scope as Connection

from bellwether.config.keys import Scope

Needs = Scope | Literal["public"]

READING = frozenset({"GET", "HEAD", "OPTIONS"})

USUAL: dict[str, Needs] = {
    "/health": "public",
    "/": "public",
    "/page/plotly.js": "public",
    "/page/{name}": "public",
    "/docs": "public",
    "/docs/docs.js": "public",
    "/docs/docs.css": "public",
    "/reload-model": "admin",
}
"""Routes of several apps whose method does not say it: pages are files of the package, what they show needs a key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One route and method. ``route`` is its template, the only form in which a path is written down."""

    route: str | None
    needs: Needs
    takes_json: bool = False


class Rules:
    """The rules of an app's routes.

    A key needs the scope that ``scopes`` names for ``"POST /x"`` or for ``"/x"``. Otherwise `USUAL` decides, and then
    the method: GET reads; so does a POST with ``predict`` in its path, which changes nothing; all else writes.
    """

    def __init__(self, routes: Iterable[BaseRoute], scopes: Mapping[str, Needs]) -> None:
        self._scopes = USUAL | dict(scopes)
        self._routes = [found for route in routes for found in self._of(route)]
        self._direct: dict[tuple[str, str], Rule] = {}

    def find(self, connection: Connection) -> Rule:
        """The rule of the route that will answer: the first that matches path and method, as the router's.

        Where no route does, the rule of the path with another method, or that of no path.
        """
        path, method = _path(connection), connection["method"]
        if (rule := self._direct.get((method, path))) is not None:
            return rule
        found = [(template, rules) for pattern, template, rules in self._routes if pattern.match(path)]
        for template, rules in found:
            if rules is None:
                return self._rule(template, method)
            if method in rules:
                if template == path:  # remembered: there are no more of these than routes
                    self._direct[method, path] = rules[method]
                return rules[method]
        return self._rule(found[0][0] if found else None, method)

    def _of(self, route: BaseRoute) -> Iterator[tuple[re.Pattern[str], str, dict[str, Rule] | None]]:
        """The pattern, template and rules of a route; no rules where whatever is mounted decides."""
        if isinstance(route, Mount):
            yield route.path_regex, f"{route.path}/*", None
        elif isinstance(route, Route):
            takes_json = isinstance(route, APIRoute) and route.body_field is not None
            rules = {method: self._rule(route.path, method, takes_json) for method in route.methods or ()}
            yield route.path_regex, route.path, rules

    def _rule(self, template: str | None, method: str, takes_json: bool = False) -> Rule:
        return Rule(route=template, needs=self.needs(method, template or ""), takes_json=takes_json)

    def needs(self, method: str, template: str) -> Needs:
        """The scope a request with this method needs on this route."""
        named = self._scopes.get(f"{method} {template}") or self._scopes.get(template)
        if named is not None:
            return named
        return "read" if method in READING or (method == "POST" and "predict" in template) else "write"


def _path(connection: Connection) -> str:
    """The path within the app: without the prefix Serve gave it."""
    path, prefix = connection["path"], connection.get("root_path", "")
    inside: str = path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path
    return inside
