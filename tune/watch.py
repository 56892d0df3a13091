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

from tune.trial import TrialResult

_CURRENT: ContextVar[Watch] = ContextVar("sweep in progress")


class Watch:
    """Knows how much of one sweep is done, and passes each finished trial on."""

    def __init__(self, progress: Callable[[int, int, TrialResult | None], None] | None, total: int, folds: int):
        self.progress, self.total, self.folds = progress, total, folds
        self.baselines = 0

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
        watch.trial(finished, result_of(trial.config, trial.last_result, error, watch.folds))


def result_of(
    config: Mapping[str, Any], metrics: Mapping[str, Any] | None, error: Exception | None, folds: int
) -> TrialResult:
    """What Tune knows of a trial, as ours. One that ended early without an error ran out of time."""
    scores = (metrics or {}).get("scores", [])
    why = _first_cause(error) if error is not None else None
    if why is None and len(scores) < folds:
        why = f"the time budget ended it after {len(scores)} of {folds} folds"
    return TrialResult(
        family=config["family"],
        params=dict(config["params"]),
        baseline=False,
        macro_f1=tuple(s["macro_f1"] for s in scores),
        accuracy=tuple(s["accuracy"] for s in scores),
        seconds=sum(s["seconds"] for s in scores),
        error=why,
    )


def _first_cause(error: Exception) -> str:
    """The error a model raised, without the remote traceback Ray wraps it in."""
    cause = getattr(error, "cause", None)
    shown = cause if isinstance(cause, Exception) else error
    lines = str(shown).strip().splitlines() or [""]
    return f"{type(shown).__name__}: {lines[-1]}"
