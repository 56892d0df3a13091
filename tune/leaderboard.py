"""The leaderboard: the best trial of each family, beside the baselines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from bellwether.config.sections import Validation
from bellwether.validation.folds import fold_stderr
from bellwether.validation.scores import SCORES
from tune.trial import TrialResult

CONFIDENCE = 0.95
"""Of the interval of a mean over folds, by Student's t. Few folds make it wide."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A family by its best trial. Scores are means over folds; NaN where no trial finished, and ``error`` says why.

    Parameters
    ----------
    metric : str
        What the sweep makes best; ``score`` is its mean, ``low`` and ``high`` the interval of that mean, ``folds`` one
        figure a fold.
    metrics : dict of str to float
        Means of all scores of the task.
    symbols : dict of str to float
        Mean of the metric on each symbol's rows.
    trials, failed, stopped, seconds
        Of all trials of the family.
    """

    rank: int
    family: str
    params: dict[str, Any]
    baseline: bool
    metric: str
    score: float
    low: float
    high: float
    folds: tuple[float, ...]
    metrics: dict[str, float]
    symbols: dict[str, float]
    trials: int
    failed: int
    stopped: int
    seconds: float
    error: str | None
    trial: str


def leaderboard(trials: Iterable[TrialResult], metric: str, plan: Validation | None = None) -> tuple[Row, ...]:
    """Order families by the mean of ``metric`` of their best trial, best first; then by name.

    ``plan`` says how the folds were cut; left out, they are taken as independent. The interval of the best of many
    trials does not know that it is the best.

    Examples
    --------
    >>> from tune.score import Score
    >>> def trial(name, baseline, *figures):
    ...     folds = tuple(Score(metrics={"macro_f1": figure}) for figure in figures)
    ...     return TrialResult(family=name, params={}, baseline=baseline, folds=folds)
    >>> rows = leaderboard([trial("a", False, 0.30, 0.34), trial("b", True, 0.2, 0.2), trial("a", False, 0.1, 0.1)],
    ...                    "macro_f1")
    >>> [(r.rank, r.family, round(r.score, 2), r.trials) for r in rows]
    [(1, 'a', 0.32, 2), (2, 'b', 0.2, 1)]
    """
    sign = -1.0 if SCORES[metric].greater_is_better else 1.0

    def order(trial: TrialResult) -> tuple[bool, float, str, str]:
        worth = sign * float(np.mean(trial.scores(metric))) if trial.complete else math.inf
        return not trial.complete, math.inf if math.isnan(worth) else worth, trial.family, trial.id

    by_family: dict[str, list[TrialResult]] = {}
    for trial in trials:
        by_family.setdefault(trial.family, []).append(trial)
    groups = sorted((sorted(group, key=order) for group in by_family.values()), key=lambda group: order(group[0]))
    return tuple(_row(rank, group, metric, plan) for rank, group in enumerate(groups, start=1))


def to_json(rows: Sequence[Row]) -> str:
    """The rows as a JSON array; a score that is not known is null."""
    return json.dumps([_plain(asdict(row)) for row in rows], indent=2, allow_nan=False)


def from_json(text: str) -> tuple[Row, ...]:
    """Read back what `to_json` wrote.

    >>> from tune.score import Score
    >>> folds = (Score(metrics={"macro_f1": 0.2}), Score(metrics={"macro_f1": 0.3}))
    >>> rows = leaderboard([TrialResult(family="a", params={"C": 1.0}, baseline=False, folds=folds)], "macro_f1")
    >>> from_json(to_json(rows)) == rows
    True
    """
    return tuple(Row(**{**row, **_typed(row)}) for row in json.loads(text))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    """What JSON cannot say: tuples, and NaN for a score that is not known."""

    def known(value: float | None) -> float:
        return math.nan if value is None else value

    scores = {name: known(row[name]) for name in ("score", "low", "high")}
    nested = {name: {k: known(v) for k, v in row[name].items()} for name in ("metrics", "symbols")}
    return scores | nested | {"folds": tuple(known(v) for v in row["folds"])}


def _row(rank: int, group: Sequence[TrialResult], metric: str, plan: Validation | None) -> Row:
    best = group[0]
    folds = best.scores(metric)
    score, low, high = mean_interval(folds if best.complete else (), plan)
    return Row(
        rank=rank,
        family=best.family,
        params=best.params,
        baseline=best.baseline,
        metric=metric,
        score=score,
        low=low,
        high=high,
        folds=folds,
        metrics=_means([s.metrics for s in best.folds]),
        symbols=_means([s.symbols for s in best.folds]),
        trials=len(group),
        failed=sum(t.error is not None for t in group),
        stopped=sum(t.stopped is not None for t in group),
        seconds=sum(t.seconds for t in group),
        error=best.error or best.stopped,
        trial=best.id,
    )


def mean_interval(figures: Sequence[float], plan: Validation | None = None) -> tuple[float, float, float]:
    """Mean of the folds' figures and its interval by Student's t; NaN where it is not known.

    Combinatorial folds overlap: there are as many independent stretches of time as groups (`fold_stderr`).

    >>> [round(v, 3) for v in mean_interval([0.30, 0.32, 0.34])]
    [0.32, 0.27, 0.37]
    """
    if not len(figures):
        return math.nan, math.nan, math.nan
    mean = float(np.mean(figures))
    if len(figures) < 2:
        return mean, math.nan, math.nan
    plan = plan or Validation(folds=len(figures))
    stretches = plan.groups if plan.kind == "combinatorial" else len(figures)
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, stretches - 1)) * fold_stderr(figures, plan)
    return mean, mean - reach, mean + reach


def _means(figures: Sequence[Any]) -> dict[str, float]:
    """Mean of each figure over the folds that have it."""
    names = dict.fromkeys(name for found in figures for name in found)
    return {name: _mean([found[name] for found in figures if name in found]) for name in names}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
