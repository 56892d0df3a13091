"""Score an index signal over the untouched last segment: ``python -m pipelines.score RECIPE``."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from bellwether.errors import NoChampion
from bellwether.models.artefact import Artefact
from bellwether.models.predictor import Predictor
from bellwether.signal_series import SignalSeries, signal_series
from bellwether.validation.bootstrap import Interval
from bellwether.validation.index_score import IndexScore, score_index
from data.panel import load_panel
from data.targets import target_kind
from data.weights.table import load_weights
from pipelines.console import console, grid
from pipelines.workspace import Workspace

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def run(workspace: Workspace, version: int | None = None) -> tuple[IndexScore, ...]:
    """Score the version's signal, both its forms, beside the baselines; print and return the scores."""
    name = workspace.recipe.name
    found = [v.version for v in workspace.registry.versions(name)]
    if not found:
        raise NoChampion(f"{name} has no version yet: run `bellwether train {name}`")
    version, artefact = workspace.registry.load(name, max(found) if version is None else version)
    scores = score(workspace, artefact)
    console.print(render(scores, f"{name} version {version} ({artefact.contract.family}) against the index"))
    return scores


def score(workspace: Workspace, artefact: Artefact) -> tuple[IndexScore, ...]:
    """Scores of the signal (by action and by probability) and of its baselines, on bars after training ended."""
    contract = artefact.contract
    series = series_after_training(workspace, artefact)
    moved, last = index_moves(workspace, series.ts)
    known = np.isfinite(moved) & np.isfinite(last) & np.isfinite(series.wss)
    step = np.nextafter(0.0, 1.0)
    rows = (
        ("WSS", series.wss, contract.buy, contract.sell),
        ("WSS by probability", series.wss_probability, contract.buy, contract.sell),
        ("always hold (base)", np.zeros_like(moved), np.inf, -np.inf),
        ("last return (base)", last, step, -step),
    )
    return tuple(score_index(name, signal[known], moved[known], buy=buy, sell=sell) for name, signal, buy, sell in rows)


def series_after_training(workspace: Workspace, artefact: Artefact) -> SignalSeries:
    """The version's signal on every bar that closed after its training ended."""
    recipe, lake = workspace.recipe, workspace.lake
    panel = load_panel(recipe, lake)
    after = panel.ts > int(artefact.contract.train_end.timestamp() * 1e9)
    ts, who = panel.ts[after], panel.who[after]
    probabilities = Predictor(artefact).predict(panel.x[after]).astype(np.float64)
    weights = load_weights(lake, recipe.universe).matrix(np.unique(ts), panel.symbols)
    return signal_series(ts, who, probabilities, weights)


def index_moves(workspace: Workspace, ts: Ints) -> tuple[Floats, Floats]:
    """Simple return of the index over the horizon after, and over the bar before, each of ``ts``; NaN if unknown."""
    recipe = workspace.recipe
    times, close = workspace.index_closes()
    moved, _ = target_kind(recipe.target.kind).outcome(times, close, recipe.session, recipe.target)
    last = np.concatenate([[np.nan], close[1:] / close[:-1] - 1.0])
    at = np.minimum(np.searchsorted(times, ts), len(times) - 1)
    here = times[at] == ts
    return np.where(here, moved[at], np.nan), np.where(here, last[at], np.nan)


def render(scores: tuple[IndexScore, ...], title: str) -> Table:
    """The scores with their 95 % intervals: share of calls that were right, correlation, and what they captured."""
    table = grid(f"{title}\n{scores[0].bars:,} bars; 95 % intervals")
    for column in ("", "calls", "hit rate", "IC", "bp a bar"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for s in scores:
        table.add_row(s.name, f"{s.calls:,}", _text(s.hit_rate, 2), _text(s.ic, 2), _text(s.captured, 1))
    return table


def _text(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return "-"
    value, low, high = (f"{v:.{digits}f}" for v in (interval.value, interval.low, interval.high))
    return escape(f"{value} [{low}, {high}]")


if __name__ == "__main__":
    from pipelines.cli import main

    main(["score", *sys.argv[1:]])
