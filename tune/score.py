"""One fit and its score: the same function for a trial on the cluster and for a baseline in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.models.base import Fitted, Params, Sampled
from bellwether.validation.metrics import accuracy, macro_f1
from tune.problem import Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Score:
    """How one configuration does on one fold, and what fitting and scoring it took."""

    macro_f1: float
    accuracy: float
    seconds: float


def labels(fitted: Fitted, x: Floats, seed: int) -> Ints:
    """Class positions (n,) a fitted model stands for: the most probable, or a draw where the model says so.

    The stratified baseline gives all rows the same probabilities: its most probable class would be the majority
    baseline once more, so it draws (`Sampled`).
    """
    if isinstance(fitted, Sampled):
        return fitted.labels(x, seed)
    return np.asarray(np.argmax(fitted.predict(x), axis=1), np.int64)


def score_fold(problem: Problem, family: str, params: Params, number: int) -> Score:
    """Fit a configuration on the training rows of fold ``number`` (from 0) and score its test rows."""
    fold, started = problem.folds[number], time.perf_counter()
    fit = problem.families[family].fit
    fitted = fit(problem.x[fold.train], fold.y_train, params, problem.classes, problem.seed)
    predicted = labels(fitted, problem.x[fold.test], problem.seed)
    return Score(
        macro_f1=macro_f1(fold.y_test, predicted, problem.classes),
        accuracy=accuracy(fold.y_test, predicted),
        seconds=time.perf_counter() - started,
    )
