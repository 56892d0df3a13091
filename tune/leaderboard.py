"""The leaderboard: the best trial of each family, beside the baselines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from tune.trial import TrialResult


@dataclass(frozen=True, kw_only=True)
class Row:
    """A family by its best trial. Scores are means over folds; NaN where no trial finished, and ``error`` says why.

    ``stderr`` is the standard error of ``macro_f1`` over the folds. ``trials``, ``failed`` and ``seconds`` count all
    trials of the family.
    """

    rank: int
    family: str
    params: dict[str, Any]
    baseline: bool
    macro_f1: float
    stderr: float
    accuracy: float
    folds: tuple[float, ...]
    folds_accuracy: tuple[float, ...]
    trials: int
    failed: int
    seconds: float
    error: str | None


def leaderboard(trials: Iterable[TrialResult]) -> tuple[Row, ...]:
    """Order families by the mean macro-F1 of their best trial; accuracy breaks ties, then the name.

    Examples
    --------
    >>> score = {"params": {}, "accuracy": (0.5, 0.5), "seconds": 1.0}
    >>> rows = leaderboard([
    ...     TrialResult(family="a", baseline=False, macro_f1=(0.30, 0.34), **score),
    ...     TrialResult(family="b", baseline=True, macro_f1=(0.20, 0.20), **score),
    ...     TrialResult(family="a", baseline=False, macro_f1=(0.10, 0.12), **score),
    ... ])
    >>> [(r.rank, r.family, round(r.macro_f1, 2), round(r.stderr, 2), r.trials) for r in rows]
    [(1, 'a', 0.32, 0.02, 2), (2, 'b', 0.2, 0.0, 1)]
    """
    by_family: dict[str, list[TrialResult]] = {}
    for trial in trials:
        by_family.setdefault(trial.family, []).append(trial)
    groups = sorted((sorted(group, key=_order) for group in by_family.values()), key=lambda group: _order(group[0]))
    return tuple(_row(rank, group) for rank, group in enumerate(groups, start=1))


def render(rows: Sequence[Row]) -> Table:
    """A table for the terminal: baselines dimmed, each row with its lift over the best baseline."""
    table = Table(
        title="Mean over walk-forward folds",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name, where in (("#", "right"), ("family", "left"), ("macro-F1", "right"), ("± s.e.", "right")):
        table.add_column(name, justify=where, no_wrap=True)  # type: ignore[arg-type]
    for name in ("lift", "accuracy", "trials", "fit s"):
        table.add_column(name, justify="right")
    if any(row.error for row in rows):
        table.add_column("failed because", overflow="fold")
    bar = max((r.macro_f1 for r in rows if r.baseline), default=math.nan)
    for row in rows:
        table.add_row(*_cells(row, bar), style="dim" if row.baseline else None)
    return table


def to_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON array; a score that is not known is null."""
    plain = [{k: None if v != v else v for k, v in asdict(row).items()} for row in rows]
    return json.dumps(plain, indent=2, allow_nan=False)


def from_json(text: str) -> tuple[Row, ...]:
    """Read back what `to_json` wrote.

    >>> rows = leaderboard([TrialResult(family="a", params={"C": 1.0}, baseline=False, macro_f1=(0.2, 0.3),
    ...                                 accuracy=(0.5, 0.5), seconds=1.0)])
    >>> from_json(to_json(rows)) == rows
    True
    """
    return tuple(Row(**{**row, **_typed(row)}) for row in json.loads(text))


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """What JSON cannot say: tuples, and NaN for a score that is not known."""
    scores = {name: math.nan for name in ("macro_f1", "stderr", "accuracy") if row[name] is None}
    return scores | {name: tuple(row[name]) for name in ("folds", "folds_accuracy")}


def _order(trial: TrialResult) -> tuple[bool, float, float, str]:
    if trial.error is not None:
        return True, 0.0, 0.0, trial.family
    return False, -float(np.mean(trial.macro_f1)), -float(np.mean(trial.accuracy)), trial.family


def _row(rank: int, group: Sequence[TrialResult]) -> Row:
    best = group[0]
    folds = np.array(best.macro_f1 if best.error is None else [math.nan])
    return Row(
        rank=rank,
        family=best.family,
        params=best.params,
        baseline=best.baseline,
        macro_f1=float(folds.mean()),
        stderr=float(folds.std(ddof=1) / np.sqrt(len(folds))) if len(folds) > 1 else math.nan,
        accuracy=float(np.mean(best.accuracy)) if best.error is None else math.nan,
        folds=best.macro_f1,
        folds_accuracy=best.accuracy,
        trials=len(group),
        failed=sum(t.error is not None for t in group),
        seconds=sum(t.seconds for t in group),
        error=best.error,
    )


def _cells(row: Row, bar: float) -> tuple[str, ...]:
    name = f"{row.family} (base)" if row.baseline else row.family
    tried = f"{row.trials} ({row.failed} failed)" if row.failed else str(row.trials)
    if row.error is not None:
        return str(row.rank), name, "–", "–", "–", "–", tried, f"{row.seconds:.1f}", escape(row.error)
    return (
        str(row.rank),
        name,
        f"{row.macro_f1:.4f}",
        f"{row.stderr:.4f}",
        f"{row.macro_f1 - bar:+.4f}",
        f"{row.accuracy:.4f}",
        tried,
        f"{row.seconds:.1f}",
    )
