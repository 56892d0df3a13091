"""What a sweep leaves to be looked at: a page, a table, and the figures behind them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.console import progress
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from tune.champion import Champion
    from tune.leaderboard import Row
    from tune.problem import Problem
    from tune.trial import TrialResult

PAGE, TABLE = "report.html", "model_summary.csv"


def write(
    workspace: Workspace,
    run_id: str,
    problem: Problem,
    trials: Sequence[TrialResult],
    rows: Sequence[Row],
    champion: Champion,
) -> Path:
    """Write ``report.html``, ``model_summary.csv`` and ``results/FAMILY.json`` of a sweep; returns their folder."""
    from tune.report import page

    place = Path(workspace.settings.reports) / workspace.recipe.name / run_id
    results = place / "results"
    results.mkdir(parents=True, exist_ok=True)
    found = [
        family_result(problem, trials, row, close) for row, close in zip(rows, _closeups(problem, rows), strict=True)
    ]
    for result in found:
        text = json.dumps(_plain(result), indent=1, allow_nan=False)
        (results / f"{result['family']}.json").write_text(text, encoding="utf-8")
    (place / TABLE).write_text(summary(found), encoding="utf-8")
    contract = json.loads(champion.artefact.contract.model_dump_json())
    (place / PAGE).write_text(page(workspace.recipe.name, run_id, found, contract), encoding="utf-8")
    return place


def family_result(
    problem: Problem, trials: Sequence[TrialResult], row: Row, closeup: Mapping[str, Any]
) -> dict[str, Any]:
    """All that is known of a family: its row, the scores of its best trial by fold, its closeup and its trials."""
    own = [trial for trial in trials if trial.family == row.family]
    best = next(trial for trial in own if trial.id == row.trial)
    tried = [{"id": t.id, "params": t.params, "scores": t.scores(problem.metric), "seconds": t.seconds} for t in own]
    return asdict(row) | {"scores": [asdict(score) for score in best.folds], "closeup": closeup, "tried": tried}


def summary(found: Sequence[Mapping[str, Any]]) -> str:
    """One line a family, as CSV."""
    metrics = list(dict.fromkeys(name for result in found for name in result["metrics"]))
    head = ["rank", "family", "baseline", "metric", "score", "low", "high", "trials", "failed", "stopped", "seconds"]
    cost = ["fit_seconds", "latency_us", "bytes"]
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow([*head, *metrics, *cost, "error"])
    for result in found:
        close = result["closeup"] or {}
        own = [result["metrics"].get(name) for name in metrics] + [close.get(name) for name in cost]
        lines.writerow([*(result[name] for name in head), *own, result["error"]])
    return out.getvalue()


def _closeups(problem: Problem, rows: Sequence[Row]) -> list[dict[str, Any]]:
    from tune.closeup import closeup

    found: list[dict[str, Any]] = []
    with progress("report") as advance:
        for done, row in enumerate(rows):
            advance(done, len(rows), row.family)
            found.append({} if row.error else asdict(closeup(problem, row)))
    return found


def _plain(value: Any) -> Any:
    """What JSON can say: NaN and infinity are null."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value
