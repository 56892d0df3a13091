"""Charts of one family: what it takes for what, how sure it is, how it learns, what it looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tune.report_html import Figure
from tune.report_sweep import Result, known, listed, mapping, number, numbers, records

FEATURES_SHOWN = 20
"""Bars of an importance chart."""

IMPORTANCE = {
    "permutation": ("Permutation", "score lost", "how much worse the score is when the feature is shuffled"),
    "gain": ("Gain", "share", "share of the gain of all splits of the trees"),
    "shap": ("SHAP", "mean size", "mean absolute contribution of the feature to a prediction"),
}
"""By kind: its name, the title of its axis, and what it is."""


def confusion_counts(family: Result) -> NDArray[np.float64] | None:
    """Counts of (true class, predicted class), summed over the folds of the best trial."""
    counts = [
        [known(numbers(row)) for row in listed(score.get("confusion"))] for score in records(family.get("scores"))
    ]
    square = [np.array(rows) for rows in counts if rows and all(len(row) == len(rows) for row in rows)]
    alike = [count for count in square if count.shape == square[0].shape]
    return np.sum(alike, axis=0, dtype=np.float64) if alike else None


def confusion_map(counts: NDArray[np.float64], names: Sequence[str], label: str) -> Figure:
    """Share of each true class that is taken for each class."""
    share = confusion_share(counts)
    trace = {
        "type": "heatmap",
        "x": list(names),
        "y": list(names),
        "z": share,
        "zmin": 0.0,
        "zmax": 1.0,
        "colorscale": "@sequential",
        "showscale": False,
        "texttemplate": "%{z:.0%}",
        "customdata": counts,
        "hovertemplate": "true %{y}, predicted %{x}<br>%{z:.1%}, %{customdata:.0f} rows<extra></extra>",
        "xgap": 1,
        "ygap": 1,
    }
    across = {"type": "category", "title": {"text": "predicted class"}, "showgrid": False}
    down = {"type": "category", "title": {"text": "true class"}, "showgrid": False, "autorange": "reversed"}
    height = 120 + 46 * len(names)
    return Figure(traces=[trace], layout={"xaxis": across, "yaxis": down}, height=height, label=label)


def confusion_share(counts: NDArray[np.float64]) -> list[list[float | None]]:
    """Of each row, its share; unknown for a class that never came."""
    totals = counts.sum(axis=1)
    return [[c / total if total else None for c in row] for row, total in zip(counts.tolist(), totals, strict=True)]


def class_names(count: int, names: Sequence[str]) -> list[str]:
    """Names of the classes, or their positions where the contract has others."""
    return list(names) if len(set(names)) == len(names) == count else [str(k) for k in range(count)]


def calibration(bins: Sequence[Any], label: str) -> Figure | None:
    """How often the likeliest class is right, over the probability it was given."""
    triples = [known(numbers(found)) for found in bins]
    points = [(found[0], found[1], found[2]) for found in triples if len(found) == 3 and found[2] > 0]
    if not points:
        return None
    p, right, rows = (list(column) for column in zip(*points, strict=True))
    diagonal = {"type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "hoverinfo": "skip"}
    curve = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": p,
        "y": right,
        "customdata": rows,
        "line": {"color": "@family"},
        "marker": {"color": "@family", "size": (6 + 16 * np.sqrt(np.array(rows) / max(rows))).tolist()},
        "hovertemplate": "sure to %{x:.0%}, right %{y:.0%}<br>%{customdata} rows<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "probability of the likeliest class"}, "range": [0, 1], "tickformat": ".0%"},
        "yaxis": {"title": {"text": "share that was right"}, "range": [-0.02, 1.02], "tickformat": ".0%"},
        "showlegend": False,
    }
    line = {"line": {"color": "@baseline", "dash": "dot", "width": 1}}
    return Figure(traces=[diagonal | line, curve], layout=layout, height=360, label=label)


def learning(family: Result, *, rate: bool, label: str) -> Figure | None:
    """Losses, or learning rates, over the share of a fit that is done: a line a fold, the newest fold the strongest."""
    fits = [_epochs(score) for score in records(family.get("scores"))]
    fits = [fit for fit in fits if fit]
    kinds = [(3, "learning rate", "@family", "solid")] if rate else [(1, "training", "@baseline", "dot")]
    kinds += [] if rate else [(2, "validation", "@family", "solid")]
    traces = [
        _line([e[0] for e in fit], [e[column] for e in fit], k + 1, k + 1 == len(fits), name, colour, dash)
        for column, name, colour, dash in kinds
        for k, fit in enumerate(fits)
    ]
    traces = [trace for trace in traces if known(trace["y"])]
    if not traces:
        return None
    layout = {
        "xaxis": {"title": {"text": "share of the fit that is done"}, "tickformat": ".0%", "range": [0, 1.02]},
        "yaxis": {"title": {"text": "learning rate" if rate else "loss"}},
        "showlegend": not rate,
        "margin": {"t": 40},
    }
    return Figure(traces=traces, layout=layout, label=label)


def _epochs(score: Result) -> list[list[float | None]]:
    """Epochs of a fit: share done, training loss, validation loss, learning rate."""
    rows = [numbers(epoch) for epoch in listed(score.get("epochs"))]
    return [[*row, *[None] * (4 - len(row))] for row in rows if row and row[0] is not None]


def _line(x: Any, y: Any, fold: int, newest: bool, name: str, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "showlegend": newest,
        "x": x,
        "y": y,
        "opacity": 1.0 if newest else 0.35,
        "line": {"color": colour, "dash": dash, "width": 2.5 if newest else 1},
        "hovertemplate": f"fold {fold}, {name}<br>%{{x:.0%}} done: %{{y:.4g}}<extra></extra>",
    }


def ranked(close: Result, kind: str) -> list[tuple[str, float, float | None]]:
    """Features by importance, the greatest first: name, figure, and its standard deviation where it has one."""
    found = []
    for name, value in mapping(close.get(kind)).items():
        mean, spread = [*numbers(value), None, None][:2] if listed(value) else (number(value), None)
        if mean is not None:
            found.append((str(name), mean, spread))
    return sorted(found, key=lambda row: (-row[1], row[0]))


def importance(found: Sequence[tuple[str, float, float | None]], title: str, label: str) -> Figure:
    """Bars of the features that matter most, with the spread of the shuffles where there is one."""
    top = list(found[:FEATURES_SHOWN])
    bars: dict[str, Any] = {
        "type": "bar",
        "orientation": "h",
        "x": [value for _, value, _ in top],
        "y": [name for name, _, _ in top],
        "marker": {"color": "@family"},
        "hovertemplate": "%{y}<br>%{x:.4g}<extra></extra>",
    }
    if any(spread is not None for _, _, spread in top):
        error: Mapping[str, Any] = {"type": "data", "array": [spread for _, _, spread in top], "color": "@ink"}
        bars["error_x"] = {**error, "thickness": 1.2, "width": 3}
    layout = {
        "xaxis": {"title": {"text": title}, "zeroline": True, "zerolinecolor": "@muted", "nticks": 5},
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False, "dtick": 1},
        "bargap": 0.35,
    }
    return Figure(traces=[bars], layout=layout, height=90 + 20 * len(top), label=label)
