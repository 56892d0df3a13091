"""The models that one replica holds: those its routes name, loaded before they answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bellwether.models.artefact import Contract
from bellwether.models.predictor import Predictor
from bellwether.registry import Registry
from serve_apps.models.routes import Route, from_config

Json = dict[str, Any]


log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Named:
    """One version of a model: what it is called, and what it is served under."""

    name: str
    version: int
    alias: str
    contract: Contract

    def json(self) -> Json:
        """What every answer says of it."""
        return {"name": self.name, "version": self.version, "alias": self.alias}

    def about(self) -> Json:
        """What ``GET /model-info`` says of it."""
        contract = self.contract
        return self.json() | {
            "recipe": contract.recipe,
            "training": {
                "start": contract.train_start.isoformat(),
                "end": contract.train_end.isoformat(),
                "rows": contract.train_rows,
            },
            "metrics": contract.metrics,
            "contract": contract.model_dump(mode="json"),
        }


@dataclass(frozen=True, kw_only=True)
class Champion(Named):
    """One version of a model, loaded."""

    predictor: Predictor


@dataclass(frozen=True)
class _Taken:
    """Routes and the models they name, as one: who reads in the middle of a change has the one before or the next."""

    routes: Mapping[str, Route] = field(default_factory=dict)
    held: Mapping[tuple[str, int], Predictor] = field(default_factory=dict)

    def of(self, name: str, version: int) -> Champion:
        alias, found = self.routes[name].name_of(version), self.held[name, version]
        return Champion(name=name, version=version, alias=alias, contract=found.contract, predictor=found)

    def all(self) -> tuple[Champion, ...]:
        return tuple(self.of(name, version) for name, route in self.routes.items() for version in route.versions)


Prepare = Callable[[Sequence[Champion]], Awaitable[None]]
"""``prepare(champions)`` makes what versions need to answer; those before answer meanwhile, and go on if it raises."""


class Served:
    """Champions by name, changed all at once.

    Parameters
    ----------
    registry : callable
        Opens the registry; called in a thread, when versions are loaded.
    check : callable
        ``check(name, contract)`` raises `ModelError` where the model was made for something else than is served.
    """

    def __init__(self, registry: Callable[[], Registry], check: Callable[[str, Contract], None]) -> None:
        self._registry, self._check = registry, check
        self._taken = _Taken()
        self.error: str | None = None

    @property
    def routes(self) -> Mapping[str, Route]:
        """Which versions answer, by model."""
        return self._taken.routes

    async def take(self, config: Mapping[str, Any], prepare: Prepare | None = None) -> None:
        """Answer by these routes from now on; until all their versions can answer, by those before.

        Versions are loaded, then ``prepare`` makes what they need besides, and then they are there at once. Where that
        is not possible or a version is not for this app, the routes before stay, and ``error`` says why: Serve puts
        another replica in the place of one that refuses its configuration, and that one would refuse it too.

        Raises
        ------
        ModelError, RegistryError
            The same where there are no routes before, as is what ``prepare`` raises: the replica does not start.
        """
        try:
            routes = from_config(config)
            taken = _Taken(routes, await asyncio.to_thread(self._load, routes))
            if prepare is not None:
                await prepare(taken.all())
            self._taken, self.error = taken, None
        except Exception as error:
            if not self._taken.routes:
                raise
            self.error = f"the routes before stay, for the new ones cannot be taken: {type(error).__name__}: {error}"
            log.exception("the routes before stay")

    def choose(self, name: str, key: str = "") -> Champion:
        """The version of ``name`` that answers the request with this key."""
        taken = self._taken
        return taken.of(name, taken.routes[name].choose(key))

    def beside(self, champion: Champion) -> Champion | None:
        """The version that predicts for the log while ``champion`` answers."""
        taken = self._taken
        other = taken.routes[champion.name].beside(champion.version)
        return None if other is None else taken.of(champion.name, other)

    def of(self, name: str, version: int) -> Champion:
        """One version that is held."""
        return self._taken.of(name, version)

    def all(self) -> tuple[Champion, ...]:
        """Every version held, the answering one of each model first."""
        return self._taken.all()

    def _load(self, routes: Mapping[str, Route]) -> dict[tuple[str, int], Predictor]:
        wanted = [(name, version) for name, route in routes.items() for version in route.versions]
        held = self._taken.held
        registry = self._registry() if any(key not in held for key in wanted) else None
        return {key: held[key] if registry is None or key in held else self._open(registry, *key) for key in wanted}

    def _open(self, registry: Registry, name: str, version: int) -> Predictor:
        _, artefact = registry.load(name, version)
        self._check(name, artefact.contract)
        return Predictor(artefact)
