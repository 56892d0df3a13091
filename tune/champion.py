"""From a finished sweep to a served artefact: refit the best, hold it against the baselines, write it down.

The served model is the one fitted on the selection rows: the holdout figures in its contract describe exactly that
model. Fitting it again with the holdout included would use the newest rows, but would put a model into service
that nothing untouched has ever judged, under figures that belong to another one. Newer rows enter with the next
sweep, whose holdout moves on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from bellwether.errors import ModelError
from bellwether.models.artefact import Artefact
from bellwether.models.base import Fitted
from bellwether.models.training import Task
from bellwether.validation.gate import Candidate, judge
from bellwether.validation.scores import Evaluation
from bellwether.validation.verdict import Verdict
from data.panel import Panel
from data.weights.table import WeightTable
from tune.adjust import adjusted
from tune.calibrate import Calibration, calibrate
from tune.contracts import artefact_of
from tune.drift import drift
from tune.figures import exam_span, figures_of
from tune.leaderboard import Row, leaderboard
from tune.out_of_fold import OutOfFold, out_of_fold
from tune.outlook import outlook
from tune.problem import METRIC, Problem, pose
from tune.rounding import rounded
from tune.score import evaluate
from tune.trial import TrialResult

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Champion:
    """What a sweep found: the artefact to register, and whether it may be promoted."""

    artefact: Artefact
    verdict: Verdict


def crown(
    recipe: Recipe,
    panel: Panel,
    trials: Sequence[TrialResult],
    *,
    weights: WeightTable | None = None,
    index: tuple[Ints, Floats] | None = None,
) -> Champion:
    """Refit the best configuration on the selection rows and judge it on the holdout, once.

    Parameters
    ----------
    trials : sequence of TrialResult
        All trials of the sweep, baselines included.
    weights, index
        Needed where ``serving.thresholds`` is ``calibrated`` (see `tune.calibrate.calibrate`); weights also for the
        expected return of the index (see `tune.outlook.outlook`).

    Returns
    -------
    Champion
        Its contract carries the figures of the champion (folds and holdout) and of every baseline, the verdict, the
        class edges of the selection rows, the thresholds and the library versions.

    Raises
    ------
    ModelError
        No trial of a searched family finished; the message has the first reason.
    ConfigError
        No baseline was run, or calibration lacks weights or index bars.
    """
    problem = pose(recipe, panel)
    rows = leaderboard(trials, problem.metric, recipe.validation)
    best = _best(rows)
    rivals = [row for row in rows if row.baseline and row.error is None]
    found = out_of_fold(problem, best.family, best.params)
    fitted, quantisation = rounded(recipe, problem, best, _refit(problem, best))
    model, adjustment = adjusted(recipe, problem, found, fitted)
    models = {best.family: model} | {row.family: _refit(problem, row) for row in rivals}
    exams = {row.family: _examined(problem, row, models[row.family]) for row in (best, *rivals)}
    by_id = {trial.id: trial for trial in trials}
    candidates = [_candidate(problem, exams[row.family], by_id[row.trial]) for row in (best, *rivals)]
    verdict = _judged(recipe, problem, exams[best.family], candidates)
    figures = {row.family: figures_of(problem, row, exams[row.family]) for row in (best, *rivals)}
    artefact = artefact_of(
        recipe,
        panel,
        problem,
        best,
        model,
        figures,
        verdict,
        adjustment=adjustment,
        quantisation=quantisation,
        thresholds=_thresholds(recipe, problem, found, weights, index),
        outlook=outlook(recipe, problem, found, model, weights),
        drift=drift(recipe, panel, problem, best.family),
    )
    return Champion(artefact=artefact, verdict=verdict)


def _judged(recipe: Recipe, problem: Problem, exam: Evaluation, candidates: Sequence[Candidate]) -> Verdict:
    """The gate's verdict on the first candidate against the others."""
    return judge(
        candidates[0],
        candidates[1:],
        ts=exam.ts,
        y=exam.y,
        n_classes=problem.classes,
        gate=recipe.gate,
        families=len(problem.searched),
        horizon=exam_span(problem),
        seed=problem.seed,
        directional=recipe.gate.directional,
        plan=recipe.validation,
    )


def _best(rows: Sequence[Row]) -> Row:
    searched = [row for row in rows if not row.baseline]
    if finished := [row for row in searched if row.error is None]:
        return finished[0]
    why = searched[0].error if searched else "no family was searched"
    raise ModelError(f"no trial finished ({why}): look at the leaderboard, or give the sweep more time")


def _refit(problem: Problem, row: Row) -> Fitted:
    training = problem.training(problem.exam, row.family, row.params)
    return problem.families[row.family].train(training, row.params)


def _examined(problem: Problem, row: Row, model: Fitted) -> Evaluation:
    x = problem.read(problem.exam, row.family, row.params, problem.exam.test)
    return evaluate(problem, problem.exam, model, x)


def _candidate(problem: Problem, exam: Evaluation, trial: TrialResult) -> Candidate:
    classify = problem.task is Task.CLASSIFY
    return Candidate(
        family=trial.family,
        predicted=exam.predicted if classify else exam.values,
        folds=trial.scores(METRIC[problem.task]),
        probabilities=exam.probabilities if classify else None,
    )


def _thresholds(
    recipe: Recipe,
    problem: Problem,
    found: OutOfFold,
    weights: WeightTable | None,
    index: tuple[Ints, Floats] | None,
) -> Calibration | None:
    if recipe.serving.thresholds != "calibrated":
        return None
    return calibrate(recipe, problem, found, weights=weights, index=index)
