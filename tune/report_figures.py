"""Charts that set families side by side: dots with intervals, cost, trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tune.report_html import Figure
from tune.report_sweep import (
    BASELINE,
    CHAMPION,
    SEARCHED,
    Result,
    Sweep,
    closeup_of,
    known,
    listed,
    number,
    numbers,
    shown,
    word,
)

NAMED = 8
"""Points up to which each is named in the chart."""

MARKS = {CHAMPION: "diamond", SEARCHED: "circle", BASELINE: "square-open"}
SIZES = {CHAMPION: 13, SEARCHED: 9, BASELINE: 9}
ROLES = {CHAMPION: "champion", SEARCHED: "searched family", BASELINE: "baseline"}

ROW = 26
"""Pixels of a row of names."""


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A score with its interval, where it has one."""

    name: str
    role: str
    value: float | None
    low: float | None = None
    high: float | None = None


def dots(sweep: Sweep, found: Sequence[Dot], metric: str, label: str) -> tuple[Figure | None, int]:
    """Scores with their intervals, one row each, and a dotted line at each baseline; and how many are off the scale."""
    there = [dot for dot in found if dot.value is not None]
    reach, outside = sweep.reach([dot.value for dot in there], [dot.value for dot in there if dot.role != SEARCHED])
    if reach is None:
        return None, 0
    lines = [
        _upright(dot.value) for dot in there if dot.role == BASELINE and reach[0] <= (dot.value or 0.0) <= reach[1]
    ]
    layout = {
        "xaxis": {"title": {"text": metric}, "range": _with_intervals(reach, there)},
        "yaxis": names_axis([dot.name for dot in there]),
        "shapes": lines,
        "showlegend": True,
        "margin": {"t": 40},
    }
    traces = [_dot_trace(role, [dot for dot in there if dot.role == role]) for role in MARKS]
    return Figure(
        traces=[t for t in traces if t["x"]], layout=layout, height=110 + ROW * len(there), label=label
    ), outside


def _dot_trace(role: str, found: Sequence[Dot]) -> dict[str, Any]:
    up = [(dot.high or 0.0) - (dot.value or 0.0) if dot.high is not None else None for dot in found]
    down = [(dot.value or 0.0) - (dot.low or 0.0) if dot.low is not None else None for dot in found]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": ROLES[role],
        "x": [dot.value for dot in found],
        "y": [dot.name for dot in found],
        "error_x": {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.5, "width": 4}
        | {"color": f"@{role}"},
        "marker": {
            "color": f"@{role}",
            "symbol": MARKS[role],
            "size": SIZES[role],
            "line": {"width": 2, "color": f"@{role}"},
        },
        "customdata": [[shown(dot.low), shown(dot.high)] for dot in found],
        "hovertemplate": "%{y}<br>%{x:.4g} (%{customdata[0]} to %{customdata[1]})<extra></extra>",
    }


def _with_intervals(reach: Sequence[float], found: Sequence[Dot]) -> list[float]:
    """Room for intervals, though one that is very wide may not push the dots together."""
    low, high = reach
    spread = high - low
    ends = known([end for dot in found if low <= (dot.value or 0.0) <= high for end in (dot.low, dot.high)])
    return [
        max(min([low, *ends]), low - spread) - 0.02 * spread,
        min(max([high, *ends]), high + spread) + 0.02 * spread,
    ]


def _upright(at: float | None) -> dict[str, Any]:
    line = {"color": "@baseline", "width": 1, "dash": "dot"}
    return {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "below"}


def names_axis(names: Sequence[str], **more: Any) -> dict[str, Any]:
    """An axis of names, the first on top. Without a type, symbols such as 600519 would be numbers."""
    order = {"categoryorder": "array", "categoryarray": list(names), "range": [len(names) - 0.5, -0.5]}
    return {"type": "category", "showgrid": False, "dtick": 1, **order, **more}


def cost(sweep: Sweep, key: str, title: str) -> tuple[Figure | None, int]:
    """Score over one kind of cost; and how many are off the scale."""
    costs = {sweep.label(f): number(closeup_of(f).get(key)) for f in sweep.families}
    there = [f for f in sweep.families if (costs[sweep.label(f)] or 0.0) > 0.0 and sweep.score(f) is not None]
    reach, outside = sweep.reach(
        [sweep.score(family) for family in there], [sweep.score(f) for f in there if sweep.role(f) != SEARCHED]
    )
    if reach is None:
        return None, 0
    spent = [np.log10(found) for family in there if (found := costs[sweep.label(family)])]
    ends = min(spent), max(spent)
    pad = 0.15 * float(ends[1] - ends[0]) + 0.2  # room for names at both ends
    traces = [_points(sweep, [f for f in there if sweep.role(f) == role], costs, len(there) <= NAMED) for role in MARKS]
    layout = {
        "xaxis": {
            "type": "log",
            "title": {"text": title},
            "range": [ends[0] - pad, ends[1] + pad],
            "exponentformat": "SI",
        },
        "yaxis": {"title": {"text": sweep.metric}, "range": reach},
        "showlegend": False,
    }
    told = f"Score of {len(there)} families over {title}."
    return Figure(traces=[trace for trace in traces if trace["x"]], layout=layout, height=300, label=told), outside


def _points(sweep: Sweep, found: Sequence[Result], costs: Mapping[str, float | None], named: bool) -> dict[str, Any]:
    role = sweep.role(found[0]) if found else SEARCHED
    names = [sweep.label(family) for family in found]
    return {
        "type": "scatter",
        "mode": "markers+text" if role == CHAMPION or (named and role == SEARCHED) else "markers",
        "x": [costs[name] for name in names],
        "y": [sweep.score(family) for family in found],
        "text": names,
        "textposition": ["top center" if _even(costs, name) else "bottom center" for name in names],
        "textfont": {"size": 10, "color": "@muted"},
        "cliponaxis": False,
        "marker": {
            "color": f"@{role}",
            "symbol": MARKS[role],
            "size": SIZES[role],
            "line": {"width": 2, "color": f"@{role}"},
        },
        "hovertemplate": "%{text}<br>%{x:.3g}, score %{y:.4g}<extra></extra>",
    }


def _even(costs: Mapping[str, float | None], name: str) -> bool:
    """Neighbours are named above and below by turns, or their names would run into each other."""
    return sorted(costs, key=lambda other: (costs[other] or 0.0, other)).index(name) % 2 == 0


def trials(sweep: Sweep, tried: Sequence[Result], label: str) -> tuple[Figure | None, int]:
    """Mean score of each trial over its number, and the best so far; and how many trials are off the scale."""
    folds = max((len(listed(trial.get("scores"))) for trial in tried), default=0)
    means: list[tuple[int, float, bool, str]] = []
    for k, trial in enumerate(tried, start=1):
        if scores := known(numbers(trial.get("scores"))):
            means.append((k, float(np.mean(scores)), len(scores) == folds, word(trial.get("id"))))
    reach, outside = sweep.reach([mean for _, mean, _, _ in means])
    if reach is None:
        return None, 0
    done = [(k, mean) for k, mean, whole, _ in means if whole]
    best = (np.maximum if sweep.greater_is_better else np.minimum).accumulate([mean for _, mean in done])
    line = {"type": "scatter", "mode": "lines", "name": "best so far", "x": [k for k, _ in done], "y": best.tolist()}
    line |= {"line": {"color": "@champion", "shape": "hv", "width": 2}, "hoverinfo": "skip"}
    traces = [line, *(_tried(means, whole) for whole in (True, False))]
    layout = {
        "xaxis": {"title": {"text": "trial, in the order they were drawn"}, "range": [0.5, len(tried) + 0.5]},
        "yaxis": {"title": {"text": f"mean {sweep.metric}"}, "range": reach},
        "showlegend": True,
        "margin": {"t": 40},
    }
    return Figure(traces=[trace for trace in traces if trace["x"]], layout=layout, label=label), outside


def _tried(means: Sequence[tuple[int, float, bool, str]], whole: bool) -> dict[str, Any]:
    found = [mean for mean in means if mean[2] == whole]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "all folds" if whole else "ended early: some folds",
        "x": [k for k, _, _, _ in found],
        "y": [mean for _, mean, _, _ in found],
        "text": [name for _, _, _, name in found],
        "marker": {
            "color": "@family" if whole else "@baseline",
            "symbol": "circle" if whole else "circle-open",
            "size": 7,
        },
        "hovertemplate": "trial %{x} (%{text})<br>%{y:.4g}<extra></extra>",
    }
