"""Where a sweep keeps its state, and on what it was started: runs are never mixed."""

from __future__ import annotations

from pathlib import Path

from pyarrow.fs import FileSystem
from ray import tune

from bellwether.config.recipe import Recipe
from bellwether.errors import ConfigError
from tune.problem import Problem, digest

DIGEST = "problem.sha256"
"""Written beside the run's state: what the run was started on."""


def place_of(storage: str, run_id: str) -> str:
    """The folder of a run; raises `ConfigError` for a relative ``storage`` or a ``run_id`` that is no plain name."""
    if "://" not in storage and not Path(storage).is_absolute():
        raise ConfigError(f"storage is {storage!r}: give an absolute path or a URI, for workers start elsewhere")
    if not run_id or "/" in run_id:
        raise ConfigError(f"run_id is {run_id!r}: give a name without '/'")
    return f"{storage.rstrip('/')}/{run_id}"


def started(storage: str, run_id: str) -> bool:
    """Whether a run has come far enough to go on."""
    return bool(tune.Tuner.can_restore(place_of(storage, run_id)))


def claim(recipe: Recipe, problem: Problem, *, storage: str, run_id: str, resume: bool) -> None:
    """Refuse to mix runs: a new one goes where there is none, an old one goes on with what it was started on.

    Raises
    ------
    ConfigError
        The run exists already; or, to resume, does not, or was started on something else: see `digest`.
    """
    place = place_of(storage, run_id)
    if resume:
        check_same(recipe, problem, storage=storage, run_id=run_id)
        return
    if started(storage, run_id):
        raise ConfigError(f"there is a run at {place} already: resume it, or choose another run id")
    files, path = FileSystem.from_uri(place)
    files.create_dir(path)
    with files.open_output_stream(f"{path}/{DIGEST}") as stream:
        stream.write(digest(recipe, problem).encode())


def check_same(recipe: Recipe, problem: Problem, *, storage: str, run_id: str) -> None:
    """Raise `ConfigError` unless there is a run, and it was started on what decides its results, as it is now."""
    place = place_of(storage, run_id)
    if not started(storage, run_id):
        raise ConfigError(f"there is no run to resume at {place}: start a new one, without resume")
    files, path = FileSystem.from_uri(place)
    with files.open_input_stream(f"{path}/{DIGEST}") as stream:
        if stream.read().decode() != digest(recipe, problem):
            raise ConfigError(
                f"the run at {place} was started on other families, options, gate, symbols or rows: give the same "
                "ones, or start a new run"
            )
