"""Ends trials early that do worse than most of their own family at the same point.

Families are not compared with each other half way: a network after a tenth of its epochs says nothing about a forest
that is done. So each family that reports epochs has an ASHA of its own (Li et al., "A system for massively parallel
hyperparameter tuning", MLSys 2020), and trials of families that only report whole folds are left alone. A sweep that is
resumed compares the trials that are left.
"""

from __future__ import annotations

import math
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from tune.watch import note_behind

FIRST = 12
"""Percent of the work after which a trial may be ended for the first time; then at three times as much."""

LOSSES = ("balanced", "loss")
"""Choices that change what a validation loss measures: trials that differ in them are not compared either."""

KEPT = 3
"""Of this many trials at one point, the best goes on."""


class PerFamily(FIFOScheduler):
    """One ASHA a family, over ``progress`` and ``merit``."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._families: dict[str, AsyncHyperBandScheduler] = {}

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Trials are compared by merit, whatever the search goes by."""
        return True

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Put the trial among its family's."""
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Let the trial go on or end it."""
        if not _comparable(result):
            return TrialScheduler.CONTINUE
        action = self._of(trial).on_trial_result(tune_controller, trial, result)
        if action == TrialScheduler.STOP and not result["done"]:
            note_behind(trial.trial_id)
        return str(action)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Count a finished trial among those to be compared with."""
        if _comparable(result):
            self._of(trial).on_trial_complete(tune_controller, trial, result)

    def _of(self, trial: Any) -> AsyncHyperBandScheduler:
        params = trial.config["params"]
        kinds = [value for key in LOSSES if isinstance(value := params.get(key), str | bool)]
        name = repr((trial.config["family"], *kinds))
        if name not in self._families:
            self._families[name] = AsyncHyperBandScheduler(
                time_attr="progress", metric="merit", mode="max", max_t=100, grace_period=FIRST, reduction_factor=KEPT
            )
        return self._families[name]


def _comparable(result: dict[str, Any]) -> bool:
    """A trial that never reported has an empty result, and one whose loss is not a number is no measure of others."""
    return bool(result.get("reports")) and math.isfinite(result["merit"])
