"""The models that one replica holds: those its routes name, loaded before they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bellwether.models.artefact import Contract
from bellwether.models.predictor import Predictor
from bellwether.registry import Registry
from serve_apps.models.routes import Route, from_config

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Champion:
    """One version of a model, loaded."""

    name: str
    version: int
    alias: str
    predictor: Predictor

    @property
    def contract(self) -> Contract:
        """What it is served under."""
        return self.predictor.contract

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
        self._routes: Mapping[str, Route] = {}
        self._held: dict[tuple[str, int], Predictor] = {}

    @property
    def routes(self) -> Mapping[str, Route]:
        """Which versions answer, by model."""
        return self._routes

    async def take(self, config: Mapping[str, Any]) -> None:
        """Answer by these routes from now on; until all their versions are loaded, by those before.

        Raises
        ------
        ModelError, RegistryError
            A version cannot be loaded or is not for this app: the routes before stay.
        """
        routes = from_config(config)
        held = await asyncio.to_thread(self._load, routes)
        self._routes, self._held = routes, held

    def choose(self, name: str, key: str = "") -> Champion:
        """The version of ``name`` that answers the request with this key."""
        return self.of(name, self._routes[name].choose(key))

    def beside(self, champion: Champion) -> Champion | None:
        """The version that predicts for the log while ``champion`` answers."""
        other = self._routes[champion.name].beside(champion.version)
        return None if other is None else self.of(champion.name, other)

    def of(self, name: str, version: int) -> Champion:
        """One version that is held."""
        alias = self._routes[name].name_of(version)
        return Champion(name=name, version=version, alias=alias, predictor=self._held[name, version])

    def all(self) -> tuple[Champion, ...]:
        """Every version held, the answering one of each model first."""
        return tuple(self.of(name, version) for name, route in self._routes.items() for version in route.versions)

    def _load(self, routes: Mapping[str, Route]) -> dict[tuple[str, int], Predictor]:
        wanted = [(name, version) for name, route in routes.items() for version in route.versions]
        registry = self._registry() if any(key not in self._held for key in wanted) else None
        return {
            key: self._held[key] if registry is None or key in self._held else self._open(registry, *key)
            for key in wanted
        }

    def _open(self, registry: Registry, name: str, version: int) -> Predictor:
        _, artefact = registry.load(name, version)
        self._check(name, artefact.contract)
        return Predictor(artefact)
