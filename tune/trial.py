"""One trial of the sweep: one configuration, walked through all folds, one epoch or one fold a step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ray import tune
from ray.tune.result import SHOULD_CHECKPOINT

from bellwether.validation.scores import SCORES
from tune.problem import Problem
from tune.score import Score, Scoring, scoring

PROGRESS = "scores.json"
"""What a checkpoint holds: the scores of the folds that are done."""

NEARLY = 0.99
"""The last epoch is not yet the end of the fold."""


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """How one configuration did.

    Parameters
    ----------
    family, params, baseline
        What was fitted.
    folds : tuple of Score
        One a fold, in order; fewer than there are folds where ``error`` or ``stopped`` says why.
    error : str, optional
        Why it failed.
    stopped : str, optional
        Why it was ended early, though nothing went wrong.
    id : str
        Its name within the sweep.
    """

    family: str
    params: dict[str, Any]
    baseline: bool
    folds: tuple[Score, ...]
    error: str | None = None
    stopped: str | None = None
    id: str = ""

    @property
    def complete(self) -> bool:
        """It walked through all folds."""
        return self.error is None and self.stopped is None

    @property
    def seconds(self) -> float:
        """Fitting and scoring, on all folds together."""
        return sum(score.seconds for score in self.folds)

    def scores(self, metric: str) -> tuple[float, ...]:
        """One figure a fold."""
        return tuple(score.metrics[metric] for score in self.folds)


class FoldTrial(tune.Trainable):
    """Fits one fold after the other and reports at each of its epochs and at its end.

    A scheduler may so stop a trial early, and a crash costs one fold. Of what it reports, the greater is the better:

    - ``progress``: the share done, in percent;
    - ``score``: the mean metric of the folds that are done, negated where less is better; minus infinity before the
      first, and where the metric is not defined;
    - ``merit``, what trials of a family are compared by at the same progress: the mean of the lowest validation losses
      so far, negated; the score of families that report no epochs.

    An actor outlives its trial (``reuse_actors``): `reset_config` starts the next one without a new process or a new
    look at the data, and nothing else is kept between trials.
    """

    scores: list[Score]
    walk: Scoring | None
    losses: list[float]

    def setup(self, config: dict[str, Any], *, problem: Problem) -> None:  # type: ignore[override]  # with_parameters
        """Take the shared data, a read-only view of the object store, and the first configuration."""
        self.problem = problem
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Forget the last trial and take the next configuration."""
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Go on to the next epoch or, where there is none, to the end of the fold."""
        if self.walk is None:
            self.walk, self.losses = scoring(self.problem, self.family, self.params, len(self.scores)), []
        try:
            epoch = next(self.walk)
        except StopIteration as end:
            self.scores.append(end.value)
            self.walk = None
            return self._report(0.0)
        self.losses.append(epoch.validation)
        return self._report(epoch.done)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the scores of the folds done so far."""
        Path(checkpoint_dir, PROGRESS).write_text(json.dumps([asdict(s) for s in self.scores]), encoding="utf-8")

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]  # Tune hands what save got
        """Go on after the folds that are done."""
        kept = json.loads(Path(checkpoint_dir, PROGRESS).read_text(encoding="utf-8"))
        self.scores = [Score(**score) for score in kept]

    def _begin(self, config: dict[str, Any]) -> None:
        self.family: str = config["family"]
        self.params: dict[str, Any] = config["params"]
        self.scores, self.walk, self.losses = [], None, []

    def _report(self, begun: float) -> dict[str, Any]:
        folds, done, score = len(self.problem.folds), len(self.scores), self._score()
        return {
            "score": score,
            "merit": self._merit(score),
            "progress": 100.0 * (done + min(begun, NEARLY) * (done < folds)) / folds,
            "scores": [asdict(s) for s in self.scores],
            "reports": bool(self.losses) or any(s.epochs for s in self.scores),
            "done": done == folds,
            SHOULD_CHECKPOINT: self.walk is None and done < folds,  # what a checkpoint holds has changed
        }

    def _score(self) -> float:
        sign = 1.0 if SCORES[self.problem.metric].greater_is_better else -1.0
        score = sign * float(np.mean([s.metrics[self.problem.metric] for s in self.scores] or [math.nan]))
        return -math.inf if math.isnan(score) else score  # a sampler wants a number

    def _merit(self, score: float) -> float:
        lowest = [min(epoch[2] for epoch in s.epochs) for s in self.scores if s.epochs]
        lowest += [min(self.losses)] if self.losses and self.walk is not None else []
        return -float(np.mean(lowest)) if lowest else score


def trial_result(config: Mapping[str, Any], scores: list[dict[str, Any]], **how: Any) -> TrialResult:
    """What a trial reported, read back."""
    return TrialResult(
        family=config["family"],
        params=dict(config["params"]),
        baseline=False,
        folds=tuple(Score(**score) for score in scores),
        **how,
    )
