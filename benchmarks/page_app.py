"""The index signal's app on a port of its own, for a browser: with a lake that grows and a registry of two versions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import uvicorn

from bellwether.drift import detector
from bellwether.drift.base import Reference
from bellwether.registry.ledger import Entry
from bellwether.registry.versions import VersionInfo
from benchmarks.in_process import App
from benchmarks.installation import artefact, prepare, put_bars, session_closes
from data.features import features_of
from data.features.market import component_features
from data.features.tables import component_slices, universe_context
from data.lake import Lake
from data.wall import times
from serve_apps.web.guard import Safety


def outlook(symbols: tuple[str, ...]) -> dict[str, Any]:
    """Deviations of 1 % without correlation."""
    reach = {"symbols": symbols, "multiplier": 2.0, "n": 321}
    return {
        "symbols": symbols,
        "class_means": [-0.02, -0.01, 0.0, 0.01, 0.02],
        "covariance": [[1e-4 if a == b else 0.0 for a in range(b + 1)] for b in range(len(symbols))],
        "coverage_level": 0.9,
        "universes": {"u5": reach},
    }


def reference(home: Path, bars: int, *, components: int = 5) -> dict[str, Any]:
    """What drift is measured against: the same walks as `benchmarks.installation` makes, over 200 sessions."""
    made = prepare(home, components=components, sessions=200, name="reference")
    recipe, lake = made.load(), Lake(made.lake)
    fs, context = features_of(recipe.features), universe_context(recipe, lake, component_slices(recipe, lake))
    tables = [lake.read(recipe.kind, symbol) for symbol in recipe.universe.symbols]
    x = [component_features(fs, table, recipe.session, context)[fs.warmup :] for table in tables]
    ts = [times(table)[fs.warmup :] for table in tables]
    rows = Reference(x=np.concatenate(x), ts=np.concatenate(ts), names=fs.outputs, bars=bars, level=0.05)
    fitted = detector("psi").fit(rows)
    assert not isinstance(fitted, str), fitted
    return fitted.state()


def registry() -> SimpleNamespace:
    """Stands in for one: two versions, of which the second came from a sweep."""
    at, figures = datetime(2025, 7, 1, tzinfo=UTC), {"metric": "macro_f1", "folds": [0.3], "trials": 4, "error": None}
    board = [
        {"family": "logistic", "baseline": False, "score": 0.3, "low": 0.28, "high": 0.32, **figures},
        {"family": "majority", "baseline": True, "score": 0.1, "low": None, "high": None, **figures},
    ]
    shared = {"family": "logistic", "created_at": at, "metric": "macro_f1", "passed": True}
    moves = [("promote", 6, None, "first"), ("promote", 7, 6, "better")]
    names = ("action", "version", "previous", "why")
    told = {"ts": at, "who": "ada", "name": "bench", "alias": "Production", "store": "here"}
    return SimpleNamespace(
        read=lambda name, version, file: json.dumps(board),
        versions=lambda name: [
            VersionInfo(version=7, aliases=("Production",), score=0.31, **shared),
            VersionInfo(version=6, aliases=(), score=float("nan"), **shared),
        ],
        ledger=SimpleNamespace(
            entries=lambda: tuple(Entry(**told, **dict(zip(names, move, strict=True))) for move in moves)
        ),
        store="here",
    )


class Served:
    """The app on a port of its own, with a lake that grows when told to."""

    def __init__(self, home: Path, safety: Safety | None = None) -> None:
        self.app, self.sessions = App(home, universes={"pair": ["S003", "S001"]}, history_bars=30), 30
        self.app.args = self.app.args.model_copy(update={"safety": safety or Safety()})
        drift = reference(home, self.app.recipe.serving.drift_window)
        made = artefact(self.app.recipe, self.app.lake, outlook=outlook(self.app.symbols), drift=drift)
        object.__setattr__(self.app.stores, "artefact", made)
        self.server: uvicorn.Server | None = None

    async def serve(self) -> None:
        """Serve until the server is told to stop."""
        async with self.app.running():
            self.app.ingress._about._registry = registry()
            api = self.app.ingress.__serve_build_asgi_app__()
            self.server = uvicorn.Server(uvicorn.Config(api, port=0, log_level="error", timeout_graceful_shutdown=1))
            await self.server.serve()

    @property
    def address(self) -> str:
        """Where it listens."""
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def grow(self, *, without: tuple[str, ...] = ()) -> None:
        """One more session of bars, of all components but some."""
        self.sessions += 1
        kept = tuple(s for s in self.app.symbols if s not in without)
        put_bars(self.app.lake, self.app.recipe, session_closes(self.sessions), kept)

    def get(self, path: str) -> Any:
        """The JSON of a GET."""
        return httpx.get(self.address + path, timeout=30).json()
