"""One fit and its scores: the same function for a trial on the cluster and for a baseline in this process."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.models.base import Epoch, Fitted, Params, Sampled
from bellwether.models.training import Task
from bellwether.validation.metrics import confusion
from bellwether.validation.scores import SCORES, Evaluation, score_all
from tune.problem import LabelledFold, Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Score:
    """How one configuration does on one fold. Plain data: it is kept as JSON.

    Parameters
    ----------
    metrics : mapping of str to float
        Every score of the task (`bellwether.validation.scores`); one that is not defined is NaN.
    symbols : mapping of str to float
        The selection metric on each symbol's own rows.
    confusion : list of list of int
        Counts of (true class, predicted class); empty for values.
    epochs : list of list of float
        (share done, training loss, validation loss, learning rate), of families that report.
    seconds : float
        Fitting and scoring.
    """

    metrics: Mapping[str, float]
    symbols: Mapping[str, float] = field(default_factory=dict)
    confusion: list[list[int]] = field(default_factory=list)
    epochs: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0


Scoring = Generator[Epoch, None, Score]
"""A fit and its scores; reports on the way."""


def scoring(problem: Problem, name: str, params: Params, number: int) -> Scoring:
    """Fit a configuration on the training rows of fold ``number`` (from 0) and score its test rows."""
    fold, started, epochs = problem.folds[number], time.perf_counter(), []
    walk = problem.families[name].walk(problem.training(fold, name, params), params)
    while True:
        try:
            epoch = next(walk)
        except StopIteration as end:
            fitted = end.value
            break
        epochs.append([epoch.done, epoch.loss, epoch.validation, epoch.rate])
        yield epoch
    found = evaluate(problem, fold, fitted, problem.read(fold, name, params, fold.test))
    return Score(
        metrics=score_all(problem.task, found),
        symbols=by_symbol(problem, found),
        confusion=confusion(found.y, found.predicted, problem.classes).tolist() if problem.classes else [],
        epochs=epochs,
        seconds=time.perf_counter() - started,
    )


def score_fold(problem: Problem, name: str, params: Params, number: int) -> Score:
    """`scoring`, to its end."""
    steps = scoring(problem, name, params, number)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            score: Score = end.value
            return score


def evaluate(problem: Problem, fold: LabelledFold, fitted: Fitted, x: NDArray[Any]) -> Evaluation:
    """What a model says of the test rows of a fold, beside what came."""
    rows, known = fold.test, problem.inputs
    answer = np.asarray(fitted.predict(x), np.float64)
    found = {"ts": known.ts[rows], "who": known.who[rows], "y": fold.labels[rows], "outcome": known.changes[rows]}
    if problem.task is Task.REGRESS:
        level = known.value[rows, None] + fold.labels[rows] if problem.level else None
        return Evaluation(**found, values=answer, level=level)
    return Evaluation(**found, probabilities=answer, predicted=labels(fitted, x, answer, problem.seed))


def labels(fitted: Fitted, x: Floats, answer: Floats, seed: int) -> Ints:
    """Class positions (n,) a fitted model stands for: the most probable, or a draw where the model says so.

    The stratified baseline gives all rows the same probabilities: its most probable class would be the majority
    baseline once more, so it draws (`Sampled`).
    """
    if isinstance(fitted, Sampled):
        return fitted.labels(x, seed)
    return np.asarray(np.argmax(answer, axis=1), np.int64)


def by_symbol(problem: Problem, found: Evaluation) -> dict[str, float]:
    """The selection metric on the rows of each symbol."""
    score = SCORES[problem.metric]
    return {
        symbol: score.of(found.at(found.who == k))
        for k, symbol in enumerate(problem.inputs.symbols)
        if (found.who == k).any()
    }
