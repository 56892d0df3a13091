"""The factors app in this process: models of made rates behind a registry that holds them in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np

from bellwether.calibration.conformal import calibrated
from bellwether.config import load_recipe
from bellwether.config.recipe import Recipe
from bellwether.errors import RegistryError
from bellwether.models import family
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.training import plain
from data.features import features_of
from data.targets import target_kind
from serve_apps.factor.ingress import Factors
from serve_apps.factors import TARGETS, FactorsArgs
from serve_apps.models.routes import Route, to_config
from serve_apps.stores import Stores

RECIPES = {task: load_recipe(f"level2-factors/{task}") for task in TARGETS}
NAMES = {task: recipe.name for task, recipe in RECIPES.items()}
NOW = datetime(2025, 1, 1, tzinfo=UTC)
EDGE = 0.5
RATES = (0.75, 0.125, 0.0625)
JSON = {"Content-Type": "application/json"}


def artefact(task: str, *, kind: str = "", seed: int = 0, **changes: Any) -> Artefact:
    """A model of rates of which the next sell rate goes half the way back to 0.5; ``changes`` are of its contract."""
    recipe, rng = RECIPES[task], np.random.default_rng(seed)
    buy = rng.uniform(0, 1, 400)
    large = rng.uniform(0, 1, (2, 400))
    x = np.column_stack([buy, large[0] * buy, large[1] * (1 - buy)])
    then = 0.5 - 0.5 * (buy - 0.5) + 0.1 * rng.normal(size=400)
    if task == "regression":
        training, params = plain(x, then - (1 - buy)), {"alpha": 1e-3, "lookback": 1}
    else:
        training, params = plain(x, (then > EDGE).astype(np.int64), classes=2), {"C": 1.0, "balanced": False}
    name = kind or {"regression": "ridge", "classification": "logistic"}[task]
    graph = family(name).train(training, params).graph()
    return Artefact(content=graph, contract=contract(recipe, name, graph, **changes))


def contract(recipe: Recipe, name: str, graph: bytes, **changes: Any) -> Contract:
    fs, target = features_of(recipe.features), target_kind(recipe.target.kind)
    scores = calibrated(np.abs(np.random.default_rng(1).normal(0, 0.1, 200)), kind="tracking")
    figures = {"metric": "skill", "holdout": {"scores": {"skill": {"value": 0.25, "low": 0.125, "high": 0.5}}}}
    found = {
        "recipe": recipe.name,
        "universe": recipe.universe.name,
        "symbols": recipe.universe.symbols,
        "interval": recipe.interval,
        "family": name,
        "params": {},
        "seed": 0,
        "feature_set": fs.name,
        "features": fs.outputs,
        "definition": fs.definition,
        "warmup": 0,
        "target": target.kind,
        "horizon": 1,
        "overnight": recipe.target.overnight,
        "classes": target.classes,
        "level": target.level,
        "conformal": {} if target.classes else {"steps": [scores.state() | {"measured": {"value": 0.875}}]},
        "edges": (EDGE,) if target.classes else (),
        "buy": 0.5,
        "sell": -0.5,
        "train_start": NOW,
        "train_end": NOW,
        "train_rows": 400,
        "metrics": figures,
        "baselines": {"persistence": {}},
        "verdict": {"passed": True, "reason": "made for a test"},
        "versions": {},
        "sha256": hashlib.sha256(graph).hexdigest(),
        "created_at": NOW,
    }
    return Contract.model_validate(found | changes)


def board(*rows: tuple[str, bool, float | None]) -> str:
    """A leaderboard; a family without a score finished no trial."""
    made = [
        {
            "family": name,
            "baseline": baseline,
            "metric": "skill",
            "score": score,
            "error": None if score else "it broke",
        }
        | {"low": score and score - 0.1, "high": score and score + 0.1}
        for name, baseline, score in rows
    ]
    return json.dumps(made)


BOARD = board(("ridge", False, 0.5), ("persistence", True, 0.25), ("lightgbm", False, None))


@dataclass(frozen=True, kw_only=True)
class Held(Stores):
    """Stores whose registry holds these versions, and leaderboards of some."""

    artefacts: Mapping[tuple[str, int], Artefact]
    boards: Mapping[tuple[str, int], str]

    def open_registry(self) -> Any:
        def read(name: str, version: int, file: str) -> str:
            if (name, version) not in self.boards:
                raise RegistryError(f"no {file}")
            return self.boards[name, version]

        return SimpleNamespace(load=lambda name, version: (version, self.artefacts[name, version]), read=read)


class App:
    """The app in this process."""

    def __init__(self, home: Path) -> None:
        self.artefacts = {(NAMES[task], 1): artefact(task) for task in TARGETS}
        self.boards = {(name, 1): BOARD for name in NAMES.values()}
        self.home, self.logged = home, list[Any]()
        self.routes = {name: Route(version=1) for name in NAMES.values()}

    def use(self, conversation: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
        """What the conversation returns; the app is started anew for each."""

        async def main() -> Any:
            stores = Held(lake=str(self.home), tracking_uri="", ledger="", artefacts=self.artefacts, boards=self.boards)
            self.ingress = Factors(RECIPES, stores, FactorsArgs())
            self.ingress._log.close()
            self.ingress._log = SimpleNamespace(add=self.logged.append, close=lambda: None)
            await self.ingress.reconfigure(to_config(self.routes))
            transport = httpx.ASGITransport(app=self.ingress.__serve_build_asgi_app__())
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await conversation(client)

        return asyncio.run(main())

    def get(self, path: str, **how: Any) -> httpx.Response:
        return self.use(lambda client: client.get(path, **how))

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.use(lambda client: client.post(path, content=json.dumps(body), headers=JSON))


def body(*rates: Any) -> dict[str, Any]:
    """A request."""
    return {"features": list(rates)}
