"""A family from near: its best configuration on the last fold, with what it looks at and what it costs.

Everything here is measured on the test rows of the last fold, which the model was not fitted on. The untouched segment
is left alone: a report that showed every family there would make it one more selection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.models.base import Bundled, Fitted, Reads
from bellwether.models.explained import Explained
from bellwether.models.graph import INPUT, OUTPUT, VALUES
from bellwether.models.predictor import session
from bellwether.models.rows import singles
from bellwether.models.training import Task
from bellwether.validation.scores import SCORES
from tune.leaderboard import Row
from tune.problem import LabelledFold, Problem
from tune.score import evaluate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PERMUTED, REPEATS = 1500, 3
"""Test rows, drawn at random, on which a feature is shuffled, and how often."""

SHOWN = 400
"""Of those, how many are kept as predictions beside truth, and have contributions computed."""

BINS = 10
CALLS = 200


@dataclass(frozen=True, kw_only=True)
class Closeup:
    """What there is to see of one fitted model. Plain data: it is kept as JSON.

    Parameters
    ----------
    fit_seconds, latency_us, bytes : float, float, int
        Of a fit on the training rows of the last fold, of one row as it is served (median), and of the saved model.
    permutation : mapping of str to (float, float)
        By how much the metric gets worse when a feature is shuffled between rows: mean and standard deviation.
    gain, shap : mapping of str to float
        Share of the gain of all splits, and mean absolute contribution, of trees only.
    calibration : list of (float, float, int)
        Mean probability of the chosen class, how often it was right, and rows, in bins of equal width.
    truth : list of (int, str, float, float)
        Time (UTC ns), symbol, what came and what was predicted: class positions, or values of the first step.
    """

    fit_seconds: float
    latency_us: float
    bytes: int
    permutation: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    shap: Mapping[str, float] = field(default_factory=dict)
    calibration: list[tuple[float, float, int]] = field(default_factory=list)
    truth: list[tuple[int, str, float, float]] = field(default_factory=list)


def closeup(problem: Problem, row: Row) -> Closeup:
    """Fit a family's best configuration on the last fold and look at it."""
    fold, started = problem.folds[-1], time.perf_counter()
    training = problem.training(fold, row.family, row.params)
    fitted = problem.families[row.family].train(training, row.params)
    seconds = time.perf_counter() - started
    rows = fold.test[_some(len(fold.test), PERMUTED, problem.seed)]
    thin = replace(fold, test=rows)
    x = problem.read(fold, row.family, row.params, rows)
    few = _some(len(rows), SHOWN, problem.seed)
    by_feature = problem.families[row.family].reads is Reads.FEATURES
    explained = fitted if by_feature and isinstance(fitted, Explained) else None
    return Closeup(
        fit_seconds=seconds,
        latency_us=_latency(fitted, x[:1]),
        bytes=len(fitted.bundle().serialise() if isinstance(fitted, Bundled) else fitted.graph()),
        permutation=_permutation(problem, thin, _served(problem, fitted), x) if by_feature and not row.baseline else {},
        gain=_by_feature(problem, explained.gain()) if explained else {},
        shap=_shap(problem, explained, x[few]) if explained else {},
        calibration=_calibration(fitted.predict(x), fold.labels[rows]) if problem.classes else [],
        truth=_truth(problem, replace(fold, test=rows[few]), fitted, x[few]),
    )


def _some(n: int, most: int, seed: int) -> Ints:
    """Positions of at most ``most`` of ``n`` rows, ascending: a panel's symbols take turns, so no even steps."""
    return np.sort(np.random.default_rng(seed).choice(n, min(n, most), replace=False))


@dataclass(frozen=True)
class _Served:
    """A model as its graph answers: many times faster than some libraries do, and the same."""

    session: Any
    output: str
    model: Fitted

    def predict(self, x: Floats) -> Floats:
        return np.asarray(self.session.run([self.output], {INPUT: singles(x)})[0], np.float64)

    def graph(self) -> bytes:
        return self.model.graph()


def _served(problem: Problem, fitted: Fitted) -> Fitted:
    if isinstance(fitted, Bundled):
        return fitted
    return _Served(session(fitted.graph()), OUTPUT if problem.classes else VALUES, fitted)


def _permutation(
    problem: Problem, fold: LabelledFold, fitted: Fitted, x: NDArray[Any]
) -> dict[str, tuple[float, float]]:
    """Permutation importance (Breiman, "Random forests", Machine Learning 45, 2001), all ages of a feature together."""
    score, names = SCORES[problem.metric], problem.inputs.names
    sign, rng = 1.0 if score.greater_is_better else -1.0, np.random.default_rng(problem.seed)
    whole = score.of(evaluate(problem, fold, fitted, x))
    found = {}
    for k, name in enumerate(names):
        drops = []
        for _ in range(REPEATS):
            shuffled = x.copy()
            shuffled[:, k :: len(names)] = x[rng.permutation(len(x))][:, k :: len(names)]
            drops.append(sign * (whole - score.of(evaluate(problem, fold, fitted, shuffled))))
        found[name] = (float(np.mean(drops)), float(np.std(drops)))
    return found


def _by_feature(problem: Problem, columns: Floats) -> dict[str, float]:
    """Sum over the ages of each feature."""
    names = problem.inputs.names
    return dict(zip(names, columns.reshape(-1, len(names)).sum(axis=0).tolist(), strict=True))


def _shap(problem: Problem, fitted: Explained, x: NDArray[Any]) -> dict[str, float]:
    contributions = np.abs(fitted.contributions(x)).mean(axis=(0, 2))
    return _by_feature(problem, contributions)


def _calibration(p: Floats, y: NDArray[Any]) -> list[tuple[float, float, int]]:
    top, right = p.max(axis=1), p.argmax(axis=1) == y
    place = np.minimum((top * BINS).astype(int), BINS - 1)
    return [
        (float(top[place == k].mean()), float(right[place == k].mean()), int((place == k).sum()))
        for k in range(BINS)
        if (place == k).any()
    ]


def _truth(
    problem: Problem, fold: LabelledFold, fitted: Fitted, x: NDArray[Any]
) -> list[tuple[int, str, float, float]]:
    found = evaluate(problem, fold, fitted, x)
    regression = problem.task is Task.REGRESS
    y, predicted = (found.y[:, 0], found.values[:, 0]) if regression else (found.y, found.predicted)
    who = [problem.inputs.symbols[k] for k in found.who.tolist()]
    columns = found.ts.tolist(), who, y.astype(float).tolist(), predicted.astype(float).tolist()
    return list(zip(*columns, strict=True))


def _latency(fitted: Fitted, row: NDArray[Any]) -> float:
    if isinstance(fitted, Bundled):
        return latency(fitted.predict, row)
    served = session(fitted.graph())
    return latency(lambda x: served.run(None, {INPUT: x}), singles(row))


def latency(predict: Callable[[NDArray[Any]], object], x: NDArray[Any]) -> float:
    """Median microseconds of one row.

    >>> latency(lambda row: row.sum(), np.zeros((1, 3))) > 0.0
    True
    """
    taken = []
    for _ in range(CALLS):
        started = time.perf_counter_ns()
        predict(x)
        taken.append(time.perf_counter_ns() - started)
    return float(np.median(taken)) / 1000.0
