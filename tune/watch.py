"""Tells a caller what a sweep is doing, trial by trial.

Tune pickles its callbacks with the run and, on resume, makes new ones from that. A caller's progress bar cannot be
pickled, so the callback holds nothing: it finds the watch of the sweep in progress in a context variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ray import tune

from tune.trial import TrialResult, trial_result

BEHIND = "behind"
"""In a report: the trial is ended here because it does worse than others of its family."""

_CURRENT: ContextVar[Watch] = ContextVar("sweep in progress")


class Watch:
    """Knows how much of one sweep is done, and passes each finished trial on."""

    def __init__(self, progress: Callable[[int, int, TrialResult | None], None] | None, total: int, folds: int):
        self.progress, self.total, self.folds = progress, total, folds
        self.baselines = 0
        self.behind: set[str] = set()

    def begin(self) -> None:
        """Say that nothing is done yet."""
        self._tell(0, None)

    def baseline(self, result: TrialResult) -> TrialResult:
        """Count a baseline, tell the caller, and give it back."""
        self.baselines += 1
        self._tell(self.baselines, result)
        return result

    def trial(self, finished: int, result: TrialResult) -> None:
        """Tell the caller of a trial; ``finished`` counts those of an earlier run that is resumed, too."""
        self._tell(self.baselines + finished, result)

    def _tell(self, done: int, result: TrialResult | None) -> None:
        if self.progress is not None:
            self.progress(done, self.total, result)


@contextmanager
def watching(
    progress: Callable[[int, int, TrialResult | None], None] | None, *, total: int, folds: int
) -> Iterator[Watch]:
    """The watch that callbacks find while the block runs."""
    watch = Watch(progress, total, folds)
    token = _CURRENT.set(watch)
    try:
        watch.begin()
        yield watch
    finally:
        _CURRENT.reset(token)


class ProgressCallback(tune.Callback):
    """Passes trials to the current watch when they finish or fail for good."""

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Write into the last report of a trial why it was ended: a driver that resumes reads it there."""
        result[BEHIND] = trial.trial_id in _CURRENT.get().behind

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial walked through its folds, or the time budget ended it."""
        self._tell(trials, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial failed for good."""
        self._tell(trials, trial)

    def _tell(self, trials: list[Any], trial: Any) -> None:
        watch = _CURRENT.get()
        finished = 1 + sum(other.is_finished() for other in trials if other is not trial)
        error = trial.get_pickled_error() or trial.get_error()
        watch.trial(finished, result_of(trial.trial_id, trial.config, trial.last_result, error))


def note_behind(trial: str) -> None:
    """Remember that a trial was ended because it did worse than others of its family."""
    _CURRENT.get().behind.add(trial)


def result_of(
    trial: str, config: Mapping[str, Any], metrics: Mapping[str, Any] | None, error: Exception | None
) -> TrialResult:
    """What Tune knows of a trial, as ours."""
    known, folds = metrics or {}, _CURRENT.get().folds
    scores = known.get("scores", [])
    why = _first_cause(error) if error is not None else None
    early = None
    if why is None and len(scores) < folds:
        reason = "it did worse than others of its family" if known.get(BEHIND) else "there was no more time"
        early = f"ended after {len(scores)} of {folds} folds: {reason}"
    return trial_result(config, scores, id=trial, error=why, stopped=early)


def _first_cause(error: Exception) -> str:
    """The error a model raised, without the remote traceback Ray wraps it in."""
    cause = getattr(error, "cause", None)
    shown = cause if isinstance(cause, Exception) else error
    lines = str(shown).strip().splitlines() or [""]
    return f"{type(shown).__name__}: {lines[-1]}"
