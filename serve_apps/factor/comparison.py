"""A picture of how the families of a sweep compare with the baselines."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEADERBOARD = "leaderboard.json"
"""What training keeps beside a version: a row a family, best first (`tune.leaderboard`)."""

WIDTH, ROW = 5.5, 0.32
"""Inches of a panel, and of a family in it."""

COLOURS = {False: "#0b5cad", True: "#8a6d3b"}
"""Of families, and of baselines, which have another marker as well."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG, and what tells one content of it from another."""

    png: bytes
    etag: str


def draw(boards: Mapping[str, str]) -> Picture:
    """A panel a model: the mean of each family's folds with its interval, families and baselines apart.

    Parameters
    ----------
    boards : mapping of str to str
        Leaderboards as JSON, by what stands above each panel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # no pyplot: nothing global, and no window

    tables = {title: [row for row in json.loads(text) if row["error"] is None] for title, text in boards.items()}
    tall = 1.4 + ROW * max(map(len, tables.values()))
    figure = Figure(figsize=(WIDTH * len(tables), tall), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, (title, rows) in zip(panels, tables.items(), strict=True):
        _panel(axes, title, rows)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=100)
    png = out.getvalue()
    return Picture(png=png, etag=f'"{hashlib.sha256(png).hexdigest()[:32]}"')


def _panel(axes: Any, title: str, rows: list[dict[str, Any]]) -> None:
    for baseline, what in ((False, "family"), (True, "baseline")):
        own = [(k, row) for k, row in enumerate(rows) if row["baseline"] is baseline and row["score"] is not None]
        known = [(k, row) for k, row in own if row["low"] is not None]
        colour = COLOURS[baseline]
        axes.hlines([k for k, _ in known], [r["low"] for _, r in known], [r["high"] for _, r in known], color=colour)
        axes.scatter(
            [r["score"] for _, r in own], [k for k, _ in own], color=colour, marker="s" if baseline else "o", label=what
        )
    metric = rows[0]["metric"] if rows else "score"
    axes.set(title=title, xlabel=f"{metric}, mean of the folds with its 95 % interval")
    axes.set_yticks(range(len(rows)), [row["family"] for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small")
