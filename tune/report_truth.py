"""Charts of predictions beside truth: a scatter and a walk over time for values, a strip for classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tune.report_closeups import class_names
from tune.report_html import Figure
from tune.report_sweep import Result, listed, number, word

CELLS = 150
"""Columns of the strip of classes."""

ONE_SYMBOL = 30
"""Rows that one symbol must have to be drawn over time by itself."""

Truth = tuple[int, str, float, float]
"""Time (UTC ms), symbol, what came, what was predicted."""


def truths(close: Result) -> list[Truth]:
    """Rows of predictions beside truth: whole milliseconds, symbol, what came, what was predicted."""
    rows = [row for row in map(listed, listed(close.get("truth"))) if len(row) == 4]
    found = [(number(ts), word(who), number(came), number(told)) for ts, who, came, told in rows]
    return [
        (int(ts) // 1_000_000, who, came, told)
        for ts, who, came, told in found
        if ts is not None and came is not None and told is not None
    ]


def of_one_symbol(rows: Sequence[Truth]) -> tuple[list[Truth], str]:
    """Rows of the symbol that has most, and its name; all of them, and no name, where each has few."""
    (symbol, count), *_ = Counter(row[1] for row in rows).most_common(1) or [("", 0)]
    if count < ONE_SYMBOL:
        return sorted(rows), ""
    return sorted(row for row in rows if row[1] == symbol), symbol


def scatter(rows: Sequence[Truth], label: str) -> Figure:
    """Predicted values over those that came, the diagonal of a perfect model, and the flat line of 'no change'."""
    came, told = [row[2] for row in rows], [row[3] for row in rows]
    ends = [min([*came, 0.0]), max([*came, 0.0])]
    lines = [
        _reference("perfect", ends, ends, "@muted", "dash"),
        _reference("no change", ends, [0.0, 0.0], "@baseline", "dot"),
    ]
    points = {
        "type": "scatter",
        "mode": "markers",
        "name": "predictions",
        "x": came,
        "y": told,
        "text": [row[1] for row in rows],
        "marker": {"color": "@family", "size": 6, "opacity": 0.6},
        "hovertemplate": "%{text}<br>came %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "what came"}},
        "yaxis": {"title": {"text": "what was predicted"}},
        "showlegend": True,
        "margin": {"t": 40},
    }
    return Figure(traces=[*lines, points], layout=layout, height=400, label=label)


def _reference(name: str, x: Sequence[float], y: Sequence[float], colour: str, dash: str) -> dict[str, Any]:
    line = {"color": colour, "dash": dash, "width": 1.5}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line, "hoverinfo": "skip"}


def over_time(rows: Sequence[Truth], label: str) -> Figure:
    """Values that came and those predicted, over time (UTC)."""
    looks = (("came", 2, "@baseline", "circle-open"), ("predicted", 3, "@champion", "diamond"))
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [row[0] for row in rows],
            "y": [row[place] for row in rows],
            "text": [row[1] for row in rows],
            "marker": {"color": colour, "symbol": symbol, "size": 5},
            "hovertemplate": "%{text}, %{x}<br>%{y:.4g}<extra></extra>",
        }
        for name, place, colour, symbol in looks
    ]
    layout = {
        "xaxis": {"type": "date", "title": {"text": "time, UTC"}},
        "yaxis": {"title": {"text": "value"}, "zeroline": True, "zerolinecolor": "@line"},
        "showlegend": True,
        "margin": {"t": 40},
    }
    return Figure(traces=traces, layout=layout, label=label)


def strip(rows: Sequence[Truth], names: Sequence[str], label: str) -> Figure:
    """Classes that came above those predicted, a column a row, in time order."""
    rows = rows[-CELLS:]
    count = max([len(names), *(int(max(row[2], row[3])) + 1 for row in rows)])
    said = class_names(count, names)
    stamps = [str(np.datetime64(int(row[0]), "ms"))[:16].replace("T", " ") for row in rows]
    told = [[f"{row[1]}, {when}: {said[int(row[k])]}" for row, when in zip(rows, stamps, strict=True)] for k in (2, 3)]
    trace = {
        "type": "heatmap",
        "z": [[row[2] for row in rows], [row[3] for row in rows]],
        "y": ["came", "predicted"],
        "text": told,
        "hovertemplate": "%{y}: %{text}<extra></extra>",
        "zmin": 0,
        "zmax": max(count - 1, 1),
        "colorscale": "@diverging",
        "ygap": 4,
        "colorbar": {"tickvals": list(range(count)), "ticktext": said, "thickness": 10, "outlinewidth": 0},
    }
    across = {"title": {"text": "row, in time order"}, "showgrid": False}
    down = {"type": "category", "autorange": "reversed", "showgrid": False}
    return Figure(traces=[trace], layout={"xaxis": across, "yaxis": down}, height=240, label=label)
