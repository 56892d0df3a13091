"""What a champion knows of the returns it foretells: class means, and how its errors move together.

Class means of the served model are those of the selection rows; each fold's errors are made with those of its own
training rows. The untouched segment is not read. Two things are a little too good: a calibrator of probabilities was
fitted on the same out-of-fold rows, and the deviation that an error is divided by knows that error, too.
`bellwether score` measures what intervals hold on the untouched segment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

from bellwether.calibration.conformal import finite_sample_quantile
from bellwether.config.recipe import Recipe
from bellwether.expected_return import Outlook, Reach, basket_series, expected_series
from bellwether.models.base import Fitted
from bellwether.models.training import Task
from data.weights.table import WeightTable
from tune.adjust import Calibrated
from tune.out_of_fold import OutOfFold
from tune.problem import LabelledFold, Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST = 30
"""Out-of-fold errors of a component without which nothing is said of it."""


def outlook(
    recipe: Recipe, problem: Problem, found: OutOfFold, model: Fitted, weights: WeightTable | None
) -> dict[str, Any]:
    """The contract's ``outlook`` (`bellwether.expected_return.Outlook.state`), or ``{"reason": …}`` why there is none.

    Parameters
    ----------
    found : OutOfFold
        Answers of the champion's configuration.
    model : Fitted
        The champion as it is served: if its probabilities are calibrated, so are the answers.
    weights : WeightTable, optional
        Point-in-time weights of the components.
    """
    if recipe.serving.app != "index_signal":
        return {}
    if problem.task is not Task.CLASSIFY or weights is None:
        return {"reason": "expected returns need a model of classes, and the weights of the components in the lake"}
    answers = model.calibrator.apply(found.answer) if isinstance(model, Calibrated) else found.answer
    if (means := class_means(problem, problem.exam)) is None:
        return {"reason": "a class has no training rows: its mean return is not known"}
    expected = _expected(problem, found, answers)
    rows, known = found.rows[np.isfinite(expected)], problem.inputs
    expected = expected[np.isfinite(expected)]
    errors = np.full((len(np.unique(known.ts[rows])), len(known.symbols)), np.nan)
    errors[np.unique(known.ts[rows], return_inverse=True)[1], known.who[rows]] = known.changes[rows] - expected
    covariance, shrinkage = error_covariance(errors)
    made = Outlook(
        symbols=known.symbols,
        class_means=means,
        covariance=covariance,
        coverage_level=recipe.interval_coverage,
        reaches={},
    )
    reaches = _reaches(recipe, problem, made, rows, expected, weights)
    if isinstance(reaches, str):
        return {"reason": reaches}
    state = replace(made, reaches=reaches).state()
    return state | {"shrinkage": shrinkage, "errors": [int(n) for n in np.isfinite(errors).sum(axis=0)]}


def class_means(problem: Problem, fold: LabelledFold) -> Floats | None:
    """Mean outcome (classes,) of each class on the training rows of a fold; None where a class has none."""
    labels, outcome = fold.labels[fold.train], problem.inputs.changes[fold.train]
    count = np.bincount(labels, minlength=problem.classes)
    if not count.all():
        return None
    found: Floats = np.bincount(labels, outcome, problem.classes) / count
    return found


def error_covariance(errors: Floats) -> tuple[Floats, float]:
    """Covariance of forecast errors, shrunk, and by how much.

    Second moments about zero, so that a bias counts as error. Correlations of a pair are of the timestamps that both
    have. They are shrunk towards none by Ledoit and Wolf's intensity for the standardised errors, gaps counting as
    zeros in it, so that it shrinks more where less is known; deviations are not shrunk. Pairs on different timestamps
    may contradict each other: negative eigenvalues then become 0.

    Parameters
    ----------
    errors : float64 array of shape (timestamps, components)
        NaN where there is none.

    Returns
    -------
    tuple of float64 array of shape (components, components) and float
        NaN in rows and columns of components with fewer than `LEAST` errors, or whose errors are all 0.

    Source: Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
    Multivariate Analysis 88 (2004).
    """
    there = np.isfinite(errors)
    filled = np.where(there, errors, 0.0)
    deviation = np.sqrt((filled * filled).sum(axis=0) / np.maximum(there.sum(axis=0), 1))
    usable = (there.sum(axis=0) >= LEAST) & (deviation > 0.0)
    covariance = np.full((errors.shape[1],) * 2, np.nan)
    if not usable.any():
        return covariance, 1.0
    z, both = filled[:, usable] / deviation[usable], there[:, usable].astype(np.float64)
    shared = both.T @ both
    correlation = np.clip(z.T @ z / np.maximum(shared, 1.0), -1.0, 1.0)
    shrinkage = float(ledoit_wolf_shrinkage(z, assume_centered=True)) if usable.sum() > 1 else 0.0
    shrunk = _possible((1.0 - shrinkage) * correlation + shrinkage * np.eye(len(z.T)))
    covariance[np.ix_(usable, usable)] = shrunk * np.outer(deviation[usable], deviation[usable])
    return covariance, shrinkage


def _possible(correlation: Floats) -> Floats:
    """The matrix, if it is one of correlations; otherwise without its negative eigenvalues."""
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    if values[0] >= 0.0:
        return correlation
    kept = (vectors * np.maximum(values, 0.0)) @ vectors.T
    scale = np.sqrt(np.diagonal(kept))
    return np.asarray(kept / np.outer(scale, scale), np.float64)


def _expected(problem: Problem, found: OutOfFold, answers: Floats) -> Floats:
    """Expected return (n,) of out-of-fold rows by the class means of the folds they were tested in; NaN if unknown."""
    total, times = np.zeros(len(found.rows)), np.zeros(len(found.rows))
    for fold in problem.folds:
        place = np.searchsorted(found.rows, fold.test)
        if (means := class_means(problem, fold)) is not None:
            total[place] += answers[place] @ means
            times[place] += 1
    return np.where(times > 0.0, total / np.maximum(times, 1.0), np.nan)


def _reaches(
    recipe: Recipe, problem: Problem, made: Outlook, rows: Ints, expected: Floats, weights: WeightTable
) -> Mapping[str, Reach] | str:
    """How far off each universe was; or why that of the recipe cannot be said."""
    known, own = problem.inputs, recipe.universe
    ts, who = known.ts[rows], known.who[rows]
    in_force, reaches = weights.matrix(np.unique(ts), known.symbols), {}
    for name, symbols in {own.name: own.symbols, **recipe.serving.universes}.items():
        part = np.where(np.isin(known.symbols, symbols), in_force, np.nan)
        scores = _scores(made, ts, who, expected, known.changes[rows], part, recipe.serving.coverage_floor)
        multiplier = finite_sample_quantile(scores, round(1.0 - recipe.interval_coverage, 9))
        if np.isfinite(multiplier):
            reaches[name] = Reach(symbols=tuple(symbols), multiplier=multiplier, n=len(scores))
        elif name == own.name:
            return f"{len(scores)} out-of-fold timestamps with weights and errors are too few for an interval"
    return reaches


def _scores(
    made: Outlook, ts: Ints, who: Ints, expected: Floats, outcome: Floats, weights: Floats, floor: float
) -> Floats:
    """|error| over deviation of a basket, at each timestamp that has both and enough of its weight."""
    series = expected_series(made, ts, who, expected, weights)
    realised, _ = basket_series(ts, who, outcome, np.where(made.known, weights, np.nan))
    usable = np.isfinite(realised) & (series.sd > 0.0) & (series.covers >= floor)
    return np.abs(realised - series.mean)[usable] / series.sd[usable]
