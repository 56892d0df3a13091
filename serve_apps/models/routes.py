"""Which versions of a model answer: what Serve hands to running replicas as ``user_config``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pydantic import Field, model_validator

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Share
from bellwether.errors import NoChampion

if TYPE_CHECKING:
    from bellwether.registry import Registry

CANDIDATE = "Staging"
"""The alias of the version that is tried beside the one that answers."""

NEWEST = "newest"
"""Stands for the version registered last, whatever its gate said: to look at it, not to trade on it."""


class Route(Frozen):
    """Which versions of one model answer.

    Parameters
    ----------
    version, alias : int, str
        The one that answers, and the alias it was found under.
    candidate : int, optional
        The one that carries `CANDIDATE`.
    canary : float
        Share of requests that the candidate answers.
    shadow : bool
        The candidate predicts too where it does not answer, for the log only.

    Raises
    ------
    ValueError
        A canary or a shadow without a candidate.

    >>> route = Route(version=3, alias="Production", candidate=4, canary=0.25)
    >>> [route.choose(f"request {k}") for k in range(4)]
    [3, 4, 3, 3]
    """

    version: int = Field(ge=1)
    alias: str = "Production"
    candidate: int | None = Field(default=None, ge=1)
    canary: Share = 0.0
    shadow: bool = False

    @model_validator(mode="after")
    def _named(self) -> Route:
        if self.candidate is None and (self.canary or self.shadow):
            raise ValueError(f"a canary or a shadow needs a candidate: promote a version to {CANDIDATE}")
        return self

    @property
    def versions(self) -> tuple[int, ...]:
        """All that a replica holds."""
        return (self.version,) if self.candidate in (None, self.version) else (self.version, self.candidate)

    def choose(self, key: str) -> int:
        """The version that answers a request; the same key gives the same one, in whatever process."""
        if self.candidate is None or crc32(key.encode()) / 2**32 >= self.canary:
            return self.version
        return self.candidate

    def beside(self, answering: int) -> int | None:
        """The version that predicts for the log while ``answering`` answers; None where there is none."""
        if not self.shadow or self.candidate in (None, self.version):
            return None
        return self.candidate if answering == self.version else self.version

    def name_of(self, version: int) -> str:
        """The alias a version answers under."""
        return self.alias if version == self.version else CANDIDATE


Routes = Mapping[str, Route]


def resolve(registry: Registry, name: str, alias: str, *, canary: float = 0.0, shadow: bool = False) -> Route:
    """The route of a model as the registry stands now. The candidate is loaded only where it has something to do.

    Raises
    ------
    NoChampion
        Nothing carries the alias; or nothing carries `CANDIDATE` and a canary or a shadow was asked for.
    """
    version = holder(registry, name, alias)
    candidate = registry.resolve(name, CANDIDATE) if canary or shadow else None
    return Route(version=version, alias=alias, candidate=candidate, canary=canary, shadow=shadow)


def holder(registry: Registry, name: str, alias: str) -> int:
    """The version that carries an alias, or the `NEWEST` there is.

    Raises
    ------
    NoChampion
        There is none.
    """
    if alias != NEWEST:
        return registry.resolve(name, alias)
    if versions := registry.versions(name):
        return max(found.version for found in versions)
    raise NoChampion(f"{name} has no version yet: run `bellwether train {name}`")


def to_config(routes: Routes) -> dict[str, Any]:
    """Routes as Serve's ``user_config`` takes them."""
    return {"routes": {name: route.model_dump() for name, route in routes.items()}}


def from_config(config: Mapping[str, Any]) -> dict[str, Route]:
    """Routes from a ``user_config``.

    Raises
    ------
    pydantic.ValidationError
        A route is wrong.
    """
    return {name: Route.model_validate(route) for name, route in config["routes"].items()}
