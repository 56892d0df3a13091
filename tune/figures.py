"""The figures of one model as its contract carries them: by fold, and on the untouched segment with intervals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from bellwether.validation.bootstrap import outcome_span
from bellwether.validation.scores import SCORES, Evaluation, intervals
from tune.leaderboard import Row
from tune.problem import Problem

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CONFIDENCE = 0.95

BOUNDED = (
    *("accuracy", "macro_f1", "weighted_f1", "log_loss", "brier", "directional", "ic"),
    *("rmse", "mae", "mape", "r2", "skill"),
)
"""Scores that come with an interval: those whose resamples are sums. The others would take minutes on a tick panel."""


def figures_of(problem: Problem, row: Row, exam: Evaluation) -> dict[str, Any]:
    """Fold and holdout scores of one model. A score that is not defined is left out."""
    found = intervals(
        problem.task,
        exam,
        names=[name for name in BOUNDED if problem.task in SCORES[name].tasks],
        confidence=CONFIDENCE,
        horizon=exam_span(problem),
        seed=problem.seed,
    )
    holdout = {
        name: {"value": i.value, "low": i.low, "high": i.high}
        for name, i in found.items()
        if np.isfinite([i.value, i.low, i.high]).all()
    }
    return {
        "metric": row.metric,
        "score": row.score,
        "folds": list(row.folds),
        "means": {name: value for name, value in row.metrics.items() if np.isfinite(value)},
        "holdout": {
            "scores": holdout,
            "confidence": CONFIDENCE,
            "rows": len(exam.ts),
            "start": moment(exam.ts.min()).isoformat(),
            "end": moment(exam.ts.max()).isoformat(),
        },
    }


def exam_span(problem: Problem) -> int:
    """Timestamps of the untouched segment that an outcome spans: blocks of its bootstraps are longer."""
    held, known = problem.exam.test, problem.inputs
    return outcome_span(known.ts[held], known.t1[held])


def moment(ns: np.int64) -> datetime:
    """A time in UTC nanoseconds, to the microsecond.

    >>> moment(np.int64(1_500)).isoformat()
    '1970-01-01T00:00:00.000001+00:00'
    """
    return EPOCH + timedelta(microseconds=int(ns) // 1000)  # in whole numbers: a float would round nanoseconds
