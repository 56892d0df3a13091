"""The leaderboard in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from bellwether.validation.scores import SCORES
from tune.leaderboard import Row


def render(rows: Sequence[Row]) -> Group:
    """For the terminal: baselines dimmed, each row with its lift over the best baseline; below, why some have none."""
    why = [Text(f"{row.family}: {row.error}", style="dim") for row in rows if row.error]
    marked = any(row.failed or row.stopped for row in rows)
    legend = [Text("-1✗: one trial failed; -1■: one was ended early, behind others of its family", style="dim")]
    return Group(_table(rows), *(legend if marked else []), *why)


def _table(rows: Sequence[Row]) -> Table:
    metric = rows[0].metric if rows else "score"
    table = Table(
        title=f"Mean {metric} over folds, with its 95 % interval",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name, where in (("#", "right"), ("family", "left"), (metric, "right"), ("interval", "left")):
        table.add_column(name, justify=where, no_wrap=True)  # type: ignore[arg-type]
    for name in ("lift", "trials", "s"):
        table.add_column(name, justify="right", no_wrap=True)
    bar = best_baseline(rows)
    for row in rows:
        table.add_row(*_cells(row, bar), style="dim" if row.baseline else None)
    return table


def best_baseline(rows: Sequence[Row]) -> float:
    """The best score of a baseline; NaN if there is none."""
    scores = [r.score for r in rows if r.baseline and not math.isnan(r.score)]
    if not scores:
        return math.nan
    return max(scores) if SCORES[rows[0].metric].greater_is_better else min(scores)


def _cells(row: Row, bar: float) -> tuple[str, ...]:
    name = f"{row.family} (base)" if row.baseline else row.family
    asides = "".join(f" -{count}{what}" for count, what in ((row.failed, "✗"), (row.stopped, "■")) if count)
    tried = f"{row.trials}{asides}"
    if row.error is not None:
        return str(row.rank), name, "–", "–", "–", tried, _seconds(row.seconds)
    return (
        str(row.rank),
        name,
        f"{row.score:.4f}",
        f"{row.low:.3f} … {row.high:.3f}",
        f"{row.score - bar:+.3f}",
        tried,
        _seconds(row.seconds),
    )


def _seconds(taken: float) -> str:
    """Two digits or more, so that a column stays narrow.

    >>> _seconds(3.14), _seconds(314.1)
    ('3.1', '314')
    """
    return f"{taken:.1f}" if taken < 10.0 else f"{taken:.0f}"
