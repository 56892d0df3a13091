"""Score the expected returns of an index signal over its untouched bars; `pipelines.score` prints it."""

from __future__ import annotations

import numpy as np
from rich.markup import escape
from rich.table import Table

from bellwether.expected_return import Outlook, basket_series, expected_series
from bellwether.models.artefact import Artefact
from bellwether.validation.bootstrap import Interval
from bellwether.validation.return_score import ReturnScore, score_returns
from data.weights.table import load_weights
from pipelines.console import grid
from pipelines.holdout import untouched
from pipelines.workspace import Workspace
from tune.calibrate import index_moves


def return_scores(workspace: Workspace, artefact: Artefact) -> tuple[ReturnScore, ...] | str:
    """Intervals and means against the basket they are about, and against the index itself; or why there are none.

    Bars whose covered weight is below the recipe's floor, for which serving says nothing, are left out.
    """
    recipe, outlook = workspace.recipe, Outlook.restore(artefact.contract.outlook)
    if isinstance(outlook, str):
        return outlook
    rows, reach = untouched(workspace, artefact), outlook.reaches[recipe.universe.name]
    weights = load_weights(workspace.lake, recipe.universe).matrix(np.unique(rows.ts), rows.symbols)
    series = expected_series(outlook, rows.ts, rows.who, rows.probabilities @ outlook.class_means, weights)
    basket, _ = basket_series(rows.ts, rows.who, rows.outcome, np.where(outlook.known, weights, np.nan))
    moved, _ = index_moves(recipe, series.ts, *workspace.index_closes())
    said = np.isfinite(series.mean) & (series.covers >= recipe.serving.coverage_floor)
    return tuple(
        score_returns(
            name,
            series.mean[usable],
            reach.multiplier * series.sd[usable],
            realised[usable],
            promised=outlook.coverage_level,
            horizon=recipe.target.horizon,
        )
        for name, realised in (("basket", basket), ("index", moved))
        if (usable := said & np.isfinite(realised)).any()
    )


def render(scores: tuple[ReturnScore, ...], title: str) -> Table:
    """The scores, with 95 % intervals: share of returns inside, width of intervals, and errors beside those of 0."""
    promised = scores[0].promised
    table = grid(f"{title}\n{scores[0].bars:,} bars; what intervals that promise {promised:.0%} held; basis points")
    for column in ("", "held", "width", "RMSE", "of 0", "skill"):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    for s in scores:
        figures = f"{s.width:.0f}", f"{s.rmse:.1f}", f"{s.rmse_zero:.1f}"
        table.add_row(s.name, _text(s.held, 2), *figures, _text(s.skill, 2))
    return table


def _text(interval: Interval, digits: int) -> str:
    value, low, high = (f"{v:.{digits}f}" for v in (interval.value, interval.low, interval.high))
    return escape(f"{value} [{low} {high}]")
