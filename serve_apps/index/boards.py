"""What the registry knows of the models behind the signal: how families did, which versions exist, who moved what."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from bellwether.errors import RegistryError
from bellwether.models.artefact import Contract
from bellwether.registry import Registry
from serve_apps.index.wire import Json

FILE = "leaderboard.json"
"""What `pipelines.train` keeps of the sweep beside a version."""

SHOWN = ("score", "low", "high", "folds", "trials", "error")


def leaderboard(registry: Registry, model: Json, contract: Contract) -> Json:
    """The body of GET /leaderboard: of the version's sweep; or, where that was not kept, what its contract says.

    Parameters
    ----------
    model : dict
        Name, version and alias of the version that answers.
    """
    figures = {contract.family: contract.metrics, **contract.baselines}
    metric = str(contract.verdict.get("metric") or contract.metrics.get("metric") or "macro_f1")
    try:
        kept = json.loads(registry.read(model["name"], model["version"], FILE))
        source, rows = "sweep", [{"family": row["family"], "baseline": row["baseline"]} | _scores(row) for row in kept]
        metric = str(kept[0]["metric"]) if kept else metric
    except (RegistryError, ValueError, KeyError, TypeError):
        source, rows = "contract", _of_contract(contract)
    for rank, row in enumerate(rows, start=1):
        own = figures.get(row["family"], {})
        row |= {"rank": rank, "champion": row["family"] == contract.family, "holdout": _holdout(own, metric)}
    return {"model": model, "metric": metric, "source": source, "verdict": contract.verdict, "rows": rows}


def versions(registry: Registry, name: str, answering: int) -> Json:
    """The body of GET /versions: versions, and moves of their aliases in this store, newest first."""
    moves = [e for e in registry.ledger.entries() if (e.store, e.name) == (registry.store, name)]
    kept = ("who", "action", "alias", "version", "previous", "why")
    return {
        "name": name,
        "answering": answering,
        "versions": [
            {
                "version": v.version,
                "aliases": list(v.aliases),
                "family": v.family,
                "created_at": _utc(v.created_at.isoformat()),
                "metric": v.metric,
                "score": v.score if math.isfinite(v.score) else None,
                "passed": v.passed,
                "answering": v.version == answering,
            }
            for v in registry.versions(name)
        ],
        "moves": [
            {"ts": _utc(e.ts.isoformat())} | {field: getattr(e, field) for field in kept} for e in reversed(moves)
        ],
    }


def _of_contract(contract: Contract) -> list[Json]:
    """Rows of the champion and the baselines, best first; those without a score last."""
    found = [(contract.family, contract.metrics, False), *((n, f, True) for n, f in contract.baselines.items())]
    rows = [{"family": name, "baseline": baseline} | _scores(figures) for name, figures, baseline in found]
    return sorted(rows, key=lambda row: math.inf if row["score"] is None else -row["score"])


def _scores(row: Mapping[str, Any]) -> Json:
    return {name: row.get(name, [] if name == "folds" else None) for name in SHOWN}


def _holdout(figures: Mapping[str, Any], metric: str) -> Json | None:
    found: Json | None = figures.get("holdout", {}).get("scores", {}).get(metric)
    return found


def _utc(text: str) -> str:
    return text.replace("+00:00", "Z")
