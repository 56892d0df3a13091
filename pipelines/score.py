"""Score an index signal over the untouched last segment: ``python -m pipelines.score RECIPE``."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
from rich.markup import escape
from rich.table import Table

from bellwether.errors import ConfigError, NoChampion
from bellwether.models.artefact import Artefact
from bellwether.signal_policy import SignalPolicy
from bellwether.signal_series import SignalSeries, signal_series
from bellwether.validation.bootstrap import Interval
from bellwether.validation.index_score import IndexScore, score_index
from data.weights.table import load_weights
from pipelines import score_returns
from pipelines.console import console, grid
from pipelines.holdout import untouched
from pipelines.workspace import Workspace
from tune.calibrate import index_moves

BASELINES = ("always hold", "last return")


def run(workspace: Workspace, version: int | None = None) -> tuple[IndexScore, ...]:
    """Score the version's signal, both its forms, beside the baselines; print and return the scores.

    Raises
    ------
    ConfigError
        The recipe makes no index signal.
    """
    name = workspace.recipe.name
    if workspace.recipe.serving.app != "index_signal":
        see = f"`bellwether leaderboard {workspace.source}`"
        raise ConfigError(f"{name} makes no index signal to score; {see} has its figures")
    found = [v.version for v in workspace.registry.versions(name)]
    if not found:
        raise NoChampion(f"{name} has no version yet: run `bellwether train {name}`")
    version, artefact = workspace.registry.load(name, max(found) if version is None else version)
    scores = score(workspace, artefact)
    console.print(render(scores, f"{name} version {version} ({artefact.contract.family}) against the index"))
    returns = score_returns.return_scores(workspace, artefact)
    title = "expected return"
    console.print(f"{title}: {escape(returns)}" if isinstance(returns, str) else score_returns.render(returns, title))
    return scores


def score(workspace: Workspace, artefact: Artefact) -> tuple[IndexScore, ...]:
    """Scores of the signal (by action and by probability) and of its baselines, on the version's untouched bars."""
    recipe, contract = workspace.recipe, artefact.contract
    series = untouched_series(workspace, artefact)
    moved, last = index_moves(recipe, series.ts, *workspace.index_closes())
    known = np.isfinite(moved) & np.isfinite(last)
    policy = SignalPolicy.of(recipe, (contract.buy, contract.sell))
    step = np.nextafter(0.0, 1.0)
    rows = (
        ("WSS", series.wss, policy.buy, policy.sell),
        ("by probability", series.wss_probability, policy.buy, policy.sell),
        (BASELINES[0], np.zeros_like(moved), np.inf, -np.inf),
        (BASELINES[1], last, step, -step),
    )
    return tuple(
        score_index(name, signal[known], moved[known], buy=buy, sell=sell, horizon=workspace.recipe.target.horizon)
        for name, signal, buy, sell in rows
    )


def untouched_series(workspace: Workspace, artefact: Artefact) -> SignalSeries:
    """The version's signal on its untouched bars; 0, which is HOLD, where coverage is below the recipe's floor."""
    recipe, rows = workspace.recipe, untouched(workspace, artefact)
    weights = load_weights(workspace.lake, recipe.universe).matrix(np.unique(rows.ts), rows.symbols)
    series = signal_series(rows.ts, rows.who, rows.probabilities, weights)
    enough = series.coverage >= recipe.serving.coverage_floor
    return replace(
        series,
        wss=np.where(enough, series.wss, 0.0),
        wss_probability=np.where(enough, series.wss_probability, 0.0),
    )


def render(scores: tuple[IndexScore, ...], title: str) -> Table:
    """The scores with their 95 % intervals: share of calls that were right, correlation, and what they captured."""
    table = grid(f"{title}\n{scores[0].bars:,} bars; 95 % intervals")
    for column in ("", "calls", "hit rate", "IC", "bp a bar"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for s in scores:
        cells = s.name, f"{s.calls:,}", _text(s.hit_rate, 2), _text(s.ic, 2), _text(s.captured, 1)
        table.add_row(*cells, style="dim" if s.name in BASELINES else None)
    return table


def _text(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return "-"
    value, low, high = (f"{v:.{digits}f}" for v in (interval.value, interval.low, interval.high))
    return escape(f"{value} [{low} {high}]")


if __name__ == "__main__":
    from pipelines.cli import main

    main(["score", *sys.argv[1:]])
