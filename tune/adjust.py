"""Last touches to a champion, chosen on out-of-fold answers: calibrated probabilities, and intervals that hold.

The untouched segment plays no part in the choice. What intervals are worth is then measured on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import numpy as np

from bellwether.calibration import calibrator
from bellwether.calibration.base import FittedCalibrator
from bellwether.calibration.choose import Choice, choose
from bellwether.calibration.conformal import band_scores, calibrated
from bellwether.calibration.coverage import Coverage, coverage
from bellwether.calibration.graph import calibrated_graph
from bellwether.config.recipe import Recipe
from bellwether.models.base import Bundled, Fitted, Floats, Ints, Sampled
from bellwether.models.training import Task
from bellwether.validation.metrics import macro_f1
from tune.out_of_fold import OutOfFold, bands
from tune.problem import Problem

KEEPS_THE_CHOICE = ("none", "temperature")
"""Calibrators that never change which class is the most probable."""

SLACK = 0.002
"""Macro-F1 that a calibrator may cost on out-of-fold rows."""


@dataclass(frozen=True, kw_only=True)
class Adjustment:
    """What was done, as the contract carries it: empty where nothing was."""

    calibration: Mapping[str, Any] = field(default_factory=dict)
    conformal: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A classifier whose probabilities pass through a calibrator, natively and in its graph."""

    model: Fitted
    calibrator: FittedCalibrator

    def predict(self, x: Floats) -> Floats:
        """Calibrated probabilities (n, classes)."""
        return self.calibrator.apply(self.model.predict(x))

    def graph(self) -> bytes:
        """The model's graph with the calibrator at its end."""
        return calibrated_graph(self.model.graph(), self.calibrator)


def adjusted(recipe: Recipe, problem: Problem, found: OutOfFold, model: Fitted) -> tuple[Fitted, Adjustment]:
    """The model as it is served, and what was done to it.

    Probabilities are calibrated as ``recipe.calibration`` says: by the calibrator it names, or, where it is ``auto``,
    by the one that does best on later out-of-fold rows, if any is better than none. A classifier that weighs classes
    alike is meant to choose rare ones; a calibrator that gives them back their frequency may undo that, so ``auto``
    takes one that changes choices only where out-of-fold macro-F1 stands it. Values get conformal intervals.
    """
    if problem.task is Task.REGRESS:
        return model, Adjustment(conformal=_conformal(recipe, problem, found, model))
    if recipe.calibration == "none" or isinstance(model, Bundled | Sampled):
        return model, Adjustment()
    choice = _choice(recipe.calibration, problem, found)
    if choice.name == "none":
        return model, Adjustment(calibration=choice.report())
    return Calibrated(model=model, calibrator=choice.fitted), Adjustment(calibration=choice.report())


def _choice(wanted: str, problem: Problem, found: OutOfFold) -> Choice:
    known, p, y = problem.inputs, found.answer, cast(Ints, found.y)
    best = partial(choose, p, y, ts=known.ts[found.rows], t1=known.t1[found.rows])
    if wanted != "auto":
        return replace(best(names=(wanted,)), name=wanted, fitted=calibrator(wanted).fit(p, y))
    choice = best()
    kept = choice.name in KEEPS_THE_CHOICE or not _costs(p, y, choice.fitted)
    return choice if kept else best(names=KEEPS_THE_CHOICE)


def _costs(p: Floats, y: Ints, calibrator: FittedCalibrator) -> bool:
    before, after = (macro_f1(y, q.argmax(axis=1), p.shape[1]) for q in (p, calibrator.apply(p)))
    return after < before - SLACK


def _conformal(recipe: Recipe, problem: Problem, found: OutOfFold, model: Fitted) -> dict[str, Any]:
    """A state of intervals for each step, and what they held on the untouched segment."""
    exam, params, known = problem.exam, found.params, problem.inputs
    answer = bands(model, problem.read(exam, found.family, params, exam.test))
    y, order = cast(Floats, found.y), np.argsort(known.t1[found.rows], kind="stable")
    steps = []
    for k in range(problem.steps):
        scores = band_scores(y[:, k], found.bands[:, k, 0], found.bands[:, k, 1])[order]
        state = calibrated(scores, alpha=round(1.0 - recipe.interval_coverage, 9), kind="tracking")
        held = coverage(
            state,
            cast(Floats, exam.labels[exam.test, k]),
            answer[:, k, 0],
            answer[:, k, 1],
            ts=known.ts[exam.test],
            t1=known.t1[exam.test],
            seed=problem.seed,
        )
        steps.append(held.state.state() | _measured(held))
    return {"steps": steps}


def _measured(held: Coverage) -> dict[str, Any]:
    found = held.measured
    interval = {"value": found.value, "low": found.low, "high": found.high}
    return {"promised": held.promised, "measured": interval, "width": held.width}
