"""Heat maps of scores: families by folds, and families by symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tune.report_figures import ROW, names_axis
from tune.report_html import Figure
from tune.report_sweep import Sweep, known, mapping, number, numbers, shown

SYMBOLS_SHOWN = 40
"""Columns of the heat map of symbols."""

NUMBERED = 12
"""Columns up to which cells of a heat map have their number written in."""


def folds_map(sweep: Sweep) -> Figure | None:
    """Families by folds; the colour is the lift over the best baseline of the sweep, in the same fold."""
    rows = {sweep.label(family): numbers(family.get("folds")) for family in sweep.families}
    bar = numbers(sweep.best_baseline.get("folds")) if sweep.best_baseline else []
    width = max((len(row) for row in rows.values()), default=0)
    columns = [f"{k + 1}" for k in range(width)]
    told = "Score of each family in each fold, coloured by how much better it is than the best baseline."
    return _map(sweep, rows, columns, bar, "fold, oldest first", told)


def symbols_map(sweep: Sweep) -> tuple[Figure | None, int]:
    """Families by symbols, coloured alike, and how many there are. Of many, those where families differ most."""
    scores = {sweep.label(family): mapping(family.get("symbols")) for family in sweep.families}
    symbols = list(dict.fromkeys(str(name) for found in scores.values() for name in found))
    chosen = sorted(symbols, key=lambda name: (-_spread(scores, name), name))[:SYMBOLS_SHOWN]
    columns = sorted(chosen)
    rows = {label: [number(found.get(name)) for name in columns] for label, found in scores.items()}
    best = sweep.best_baseline
    bar = rows[sweep.label(best)] if best else []
    told = "Score of each family on each symbol, coloured by how much better it is than the best baseline."
    return _map(sweep, rows, columns, bar, "symbol", told), len(symbols)


def _spread(scores: Mapping[str, Mapping[str, Any]], name: str) -> float:
    """The middle half: one family that fails everywhere says nothing about a symbol."""
    found = known([number(of.get(name)) for of in scores.values()])
    return float(np.subtract(*np.percentile(found, [75, 25]))) if found else 0.0


def _map(
    sweep: Sweep,
    rows: Mapping[str, Sequence[float | None]],
    columns: Sequence[str],
    bar: Sequence[float | None],
    across: str,
    label: str,
) -> Figure | None:
    width = len(columns)
    filled = {name: [*row, *[None] * (width - len(row))] for name, row in rows.items() if known(list(row))}
    if not filled:
        return None
    level = [*bar, *[None] * (width - len(bar))] if known(list(bar)) else _means(list(filled.values()))
    lifts = [[sweep.lift(score, level[k]) for k, score in enumerate(row)] for row in filled.values()]
    better = lifts[: (len(lifts) + 1) // 2]  # a family that diverged would leave no colour to the others
    sizes = [abs(lift) for row in better for lift in row if lift is not None]
    limit = (float(np.percentile(sizes, 98)) if sizes else 0.0) or 1.0
    colour = {"colorscale": "@diverging", "zmin": -limit, "zmax": limit}
    trace = {
        "type": "heatmap",
        "x": list(columns),
        "y": list(filled),
        "z": lifts,
        "customdata": [[shown(score) for score in row] for row in filled.values()],
        "hovertemplate": "%{y}<br>%{x}: %{customdata}<br>difference %{z:+.4g}<extra></extra>",
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"title": {"text": "better by", "side": "right"}, "thickness": 10, "outlinewidth": 0},
        **colour,
    }
    if width <= NUMBERED:
        decimals = int(np.clip(np.ceil(1 - np.log10(limit)), 2, 4))
        written = [[_brief(score, decimals) for score in row] for row in filled.values()]
        trace |= {"text": written, "texttemplate": "%{text}"}
    axis = {"type": "category", "title": {"text": across}, "showgrid": False}
    height = 110 + ROW * len(filled)
    return Figure(traces=[trace], layout={"xaxis": axis, "yaxis": names_axis(list(filled))}, height=height, label=label)


def _means(rows: Sequence[Sequence[float | None]]) -> list[float | None]:
    """What stands in for a baseline where there is none."""
    columns = [known(list(column)) for column in zip(*rows, strict=True)]
    return [float(np.mean(column)) if column else None for column in columns]


def _brief(score: float | None, decimals: int) -> str:
    """So many decimals that neighbours differ, or powers of ten where those are too many."""
    if score is None:
        return ""
    return f"{score:.1e}" if decimals == 4 and 0 < abs(score) < 1e-3 else f"{score:.{decimals}f}"
