"""What a configuration says of rows it was not fitted on: fitted anew on each fold, asked on the fold's test rows.

Thresholds of a signal, calibration of probabilities and widths of intervals are chosen on these. No row of the
untouched segment is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.models.base import Fitted, Floats, Ints, Params, Ranged
from tune.problem import Problem


@dataclass(frozen=True, kw_only=True)
class OutOfFold:
    """Answers on test rows, sorted by row.

    Parameters
    ----------
    family, params
        What was fitted.
    rows : int64 array of shape (n,)
        Positions in the panel, each once.
    y : array of shape (n,) or (n, steps)
        Class positions by the edges of the fold a row was tested in, or values.
    answer : float64 array of shape (n, classes) or (n, steps)
        The mean over folds, where a row is tested in several.
    bands : float64 array of shape (n, steps, 2)
        Lowest and highest quantile of values, or the value twice; empty for classes.
    """

    family: str
    params: Params
    rows: Ints
    y: NDArray[Any]
    answer: Floats
    bands: Floats


def out_of_fold(problem: Problem, name: str, params: Params) -> OutOfFold:
    """Fit a configuration on the training rows of every fold and collect its answers on the test rows."""
    n, size = len(problem.inputs.ts), problem.classes or problem.steps
    total, times, y = np.zeros((n, size)), np.zeros(n, np.int64), np.zeros_like(problem.exam.labels)
    ends = np.zeros((n, 0 if problem.classes else size, 2))
    for fold in problem.folds:
        fitted = problem.families[name].train(problem.training(fold, name, params), params)
        x = problem.read(fold, name, params, fold.test)
        total[fold.test] += fitted.predict(x)
        if not problem.classes:
            ends[fold.test] += bands(fitted, x)
        times[fold.test] += 1
        y[fold.test] = fold.labels[fold.test]
    rows = np.flatnonzero(times)
    share = 1.0 / times[rows]
    return OutOfFold(
        family=name,
        params=params,
        rows=rows,
        y=y[rows],
        answer=total[rows] * share[:, None],
        bands=ends[rows] * share[:, None, None],
    )


def bands(fitted: Fitted, x: Floats) -> Floats:
    """Lowest and highest quantile (n, steps, 2) of a model that gives them; of another, its value twice."""
    if isinstance(fitted, Ranged):
        return fitted.quantiles(x)[:, :, [0, -1]]
    return np.repeat(fitted.predict(x)[:, :, None], 2, axis=2)
