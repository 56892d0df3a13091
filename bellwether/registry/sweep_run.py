"""A sweep in MLflow: a run, and below it one nested run a trial."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bellwether.registry.backend import Backend, asking, quietly

SWEEP, TRIAL = "bellwether.sweep", "bellwether.trial"
"""Tags that find the run of a sweep, and of a trial, again."""

PARENT = "mlflow.parentRunId"
"""What MLflow calls the run that a nested one belongs to."""

LONGEST = 500
"""Characters of a parameter or tag that every MLflow store takes."""


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial as MLflow is told of it.

    Parameters
    ----------
    id, family : str
        Its name within the sweep, and its family.
    params : mapping
        What was fitted.
    folds : sequence of mapping
        The scores of each fold, by name; a figure that is not defined is left out.
    seconds : float
        What it took.
    failure, stopped : str, optional
        Why it failed; or why it was ended early, though nothing went wrong.
    files : mapping of str to bytes
        Pictures and texts, by file name.
    """

    id: str
    family: str
    params: Mapping[str, Any]
    folds: Sequence[Mapping[str, float]]
    seconds: float
    failure: str | None = None
    stopped: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


class SweepRun:
    """The MLflow run of one sweep. Opened again under the same name, it goes on: no trial is in it twice.

    Parameters
    ----------
    backend : Backend
    name, sweep : str
        The recipe, and the sweep's own name.

    Raises
    ------
    RegistryError
        MLflow cannot be reached, or refuses.
    """

    def __init__(self, backend: Backend, name: str, sweep: str) -> None:
        self._backend, self._what = backend, f"log the sweep {sweep}"
        with asking(self._what), quietly():
            found = self._search(f"tags.`{SWEEP}` = '{sweep}'")
            tags = {SWEEP: sweep, "recipe": name}
            self.id: str = found[0].info.run_id if found else self._begin(f"{name} sweep {sweep}", tags)
            self._logged = self._settled()

    def log(self, trial: TrialRecord) -> None:
        """Write a trial as a nested run: its parameters, each score by fold and on average, and its files."""
        if trial.id in self._logged:
            return
        client = self._backend.client
        with asking(self._what), quietly():
            tags = {PARENT: self.id, TRIAL: trial.id, "family": trial.family}
            run = self._begin(f"{trial.family} {trial.id}", tags | _why(trial))
            _fill(client, run, trial)
            client.set_terminated(run, _status(trial))
        self._logged.add(trial.id)

    def end(self, metrics: Mapping[str, float], files: Mapping[str, bytes], failed: bool = False) -> None:
        """Write the sweep's own figures and files, and close it."""
        from mlflow.entities import Metric

        client, now = self._backend.client, int(time.time() * 1000)
        with asking(self._what), quietly():
            client.log_batch(self.id, metrics=[Metric(key, value, now, 0) for key, value in metrics.items()])
            _upload(client, self.id, files)
            client.set_terminated(self.id, "FAILED" if failed else "FINISHED")

    def _begin(self, name: str, tags: Mapping[str, str]) -> str:
        return str(self._backend.client.create_run(self._backend.experiment, run_name=name, tags=tags).info.run_id)

    def _search(self, query: str) -> list[Any]:
        client, found, token = self._backend.client, [], None
        while True:
            page = client.search_runs([self._backend.experiment], query, page_token=token)
            found += page
            if not (token := page.token):
                return found

    def _settled(self) -> set[str]:
        """Trials that are logged whole. Removed are those that were being written when their process ended, and those
        that failed, which a resumed sweep tries again."""
        children = self._search(f"tags.`{PARENT}` = '{self.id}'")
        unsettled = {run.info.run_id for run in children if run.info.status in ("RUNNING", "FAILED")}
        for run_id in unsettled:
            self._backend.client.delete_run(run_id)
        return {run.data.tags[TRIAL] for run in children if run.info.run_id not in unsettled}


def _why(trial: TrialRecord) -> dict[str, str]:
    reasons = {"failure": trial.failure, "stopped": trial.stopped}
    return {name: reason[:LONGEST] for name, reason in reasons.items() if reason}


def _status(trial: TrialRecord) -> str:
    """MLflow's word for how a trial ended."""
    return "FAILED" if trial.failure else "KILLED" if trial.stopped else "FINISHED"


def _fill(client: Any, run: str, trial: TrialRecord) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    known = [(k, name, v) for k, fold in enumerate(trial.folds, 1) for name, v in fold.items() if v == v]
    by_name: dict[str, list[float]] = {}
    for _, name, value in known:
        by_name.setdefault(name, []).append(value)
    metrics = [Metric(f"fold.{name}", value, now, k) for k, name, value in known]
    metrics += [Metric(name, sum(values) / len(values), now, 0) for name, values in by_name.items()]
    metrics.append(Metric("seconds", trial.seconds, now, 0))
    params = {"family": trial.family} | dict(trial.params)
    client.log_batch(run, metrics=metrics, params=[Param(k, str(v)[:LONGEST]) for k, v in params.items()])
    _upload(client, run, trial.files)


def _upload(client: Any, run: str, files: Mapping[str, bytes]) -> None:
    if not files:
        return
    with TemporaryDirectory() as place:
        for name, content in files.items():
            Path(place, name).write_bytes(content)
        client.log_artifacts(run, place)
