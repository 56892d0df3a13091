"""What a champion's training rows look like, for those who serve it to measure drift against."""

from __future__ import annotations

from typing import Any

from bellwether.config.recipe import Recipe
from bellwether.drift import detector
from bellwether.drift.base import Reference
from bellwether.models.base import Reads
from data.panel import Panel
from tune.problem import Problem

DETECTOR, LEVEL = "psi", 0.05


def drift(recipe: Recipe, panel: Panel, problem: Problem, family: str) -> dict[str, Any]:
    """The contract's ``drift`` (`bellwether.drift.restored` reads it), or ``{"reason": …}`` why there is none.

    The reference is the rows the champion is fitted on, of all symbols together; the untouched segment is not read.
    """
    if recipe.serving.app != "index_signal":
        return {}
    if (reads := problem.families[family].reads) is not Reads.FEATURES:
        return {"reason": f"{family} reads {reads.value}, and drift is measured of features"}
    if recipe.target.overnight == "drop":  # a feature of the hour would always have moved
        return {
            "reason": "target.overnight is drop: training rows lack the end of each session, and the last bars do not"
        }
    rows = problem.exam.train
    made = detector(DETECTOR).fit(
        Reference(
            x=panel.x[rows],
            ts=panel.ts[rows],
            names=panel.features,
            bars=recipe.serving.drift_window,
            level=LEVEL,
        )
    )
    return {"reason": made} if isinstance(made, str) else made.state()
