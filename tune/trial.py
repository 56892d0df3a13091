"""One trial of the sweep: one configuration, walked through all folds, one fold a step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune

from tune.problem import Problem
from tune.score import Score, score_fold

PROGRESS = "scores.json"
"""What a checkpoint holds: the scores of the folds that are done."""


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """How one configuration did.

    Parameters
    ----------
    family, params, baseline
        What was fitted.
    macro_f1, accuracy : tuple of float
        One figure a fold, in time order; shorter than the folds where ``error`` says why.
    seconds : float
        Fitting and scoring, on all folds together.
    error : str, optional
        Why it did not finish; None if it did.
    """

    family: str
    params: dict[str, Any]
    baseline: bool
    macro_f1: tuple[float, ...]
    accuracy: tuple[float, ...]
    seconds: float
    error: str | None = None


class FoldTrial(tune.Trainable):
    """Fits one fold a step and reports the mean so far, so that a scheduler may stop it and a crash costs one fold.

    An actor outlives its trial (``reuse_actors``): `reset_config` starts the next one without a new process or a new
    look at the data, and nothing else is kept between trials.
    """

    def setup(self, config: dict[str, Any], *, problem: Problem) -> None:  # type: ignore[override]  # with_parameters
        """Take the shared data, a read-only view of the object store, and the first configuration."""
        self.problem = problem
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Forget the last trial and take the next configuration."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Fit and score the next fold; report the mean and all scores so far."""
        self.scores.append(score_fold(self.problem, self.family, self.params, len(self.scores)))
        return {
            "macro_f1": float(np.mean([s.macro_f1 for s in self.scores])),
            "scores": [asdict(s) for s in self.scores],
            "done": len(self.scores) == len(self.problem.folds),
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the scores of the folds done so far."""
        Path(checkpoint_dir, PROGRESS).write_text(json.dumps([asdict(s) for s in self.scores]), encoding="utf-8")

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]  # Tune hands what save got
        """Go on after the folds that are done."""
        kept = json.loads(Path(checkpoint_dir, PROGRESS).read_text(encoding="utf-8"))
        self.scores: list[Score] = [Score(**score) for score in kept]

    def _begin(self, config: dict[str, Any]) -> None:
        self.family: str = config["family"]
        self.params: dict[str, Any] = config["params"]
        self.scores = []
