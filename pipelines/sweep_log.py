"""Writes the trials of a sweep to MLflow while it runs, off its path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from bellwether.registry.sweep_run import SweepRun, TrialRecord
    from tune.trial import TrialResult


class SweepLog:
    """Hands trials to one thread, in their order; an error of it is raised when the log is closed."""

    def __init__(self, run: SweepRun, metric: str, classes: Sequence[str], pool: ThreadPoolExecutor) -> None:
        self.run, self.metric, self.classes, self._pool = run, metric, tuple(classes), pool
        self._given: dict[str, Future[None]] = {}

    def take(self, trial: TrialResult) -> None:
        """Log a trial, unless it was taken already."""
        if trial.id not in self._given:
            self._given[trial.id] = self._pool.submit(self._write, trial)

    def settle(self) -> None:
        """Wait until all that was taken is written; raises what went wrong first."""
        for future in self._given.values():
            future.result()

    def end(self, metrics: Mapping[str, float], files: Mapping[str, str]) -> None:
        """Write all that was taken, then the sweep's own figures and files, and close its run."""
        self.settle()
        self.run.end(metrics, {name: text.encode() for name, text in files.items()})

    def _write(self, trial: TrialResult) -> None:
        self.run.log(record(trial, self.metric, self.classes))


@contextmanager
def sweep_log(workspace: Workspace, run_id: str, metric: str, classes: Sequence[str]) -> Iterator[SweepLog]:
    """The log of a sweep; what was taken is written when the block ends, and a run whose block fails says so."""
    with ThreadPoolExecutor(1, thread_name_prefix="mlflow") as pool:
        log = SweepLog(workspace.registry.sweep_run(workspace.recipe.name, run_id), metric, classes, pool)
        try:
            yield log
            log.settle()
        except BaseException:
            log.run.end({}, {}, failed=True)
            raise


def record(trial: TrialResult, metric: str, classes: Sequence[str]) -> TrialRecord:
    """A trial as MLflow is told of it."""
    from bellwether.registry.sweep_run import TrialRecord
    from tune.pictures import trial_picture

    return TrialRecord(
        id=trial.id,
        family=trial.family,
        params=trial.params,
        folds=[score.metrics for score in trial.folds],
        seconds=trial.seconds,
        failure=trial.error,
        stopped=trial.stopped,
        files={"trial.png": trial_picture(trial, metric, classes)} if trial.folds else {},
    )
