"""The sweep: all families over one conditional space on Ray Tune, with Optuna's TPE, beside their baselines."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import ray
from optuna.samplers import TPESampler
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from bellwether.config.recipe import Recipe
from bellwether.errors import ConfigError
from data.panel import Panel
from tune.claim import claim, place_of
from tune.problem import Problem, pose
from tune.scheduler import PerFamily
from tune.score import score_fold
from tune.space import Space, first_points
from tune.trial import FoldTrial, TrialResult
from tune.watch import ProgressCallback, result_of, watching

Progress = Callable[[int, int, TrialResult | None], None]

RETRIES = 2
"""How often a trial goes on from its last fold after its worker is lost; a wrong configuration fails this often too."""

ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files for every trial
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are in the results
    "TUNE_GLOBAL_CHECKPOINT_S": "1",  # what finished more than a second or so before a crash is not run again
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer reporter prints a table of the experiment even when told to be silent
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C raises KeyboardInterrupt instead of returning half a sweep
}


def sweep(
    recipe: Recipe,
    panel: Panel,
    *,
    storage: str,
    run_id: str,
    resume: bool = False,
    progress: Progress | None = None,
) -> tuple[TrialResult, ...]:
    """Run the recipe's search and return every trial, baselines first.

    Ray must be running. Labels of a fold are cut at the edges of its own training outcomes. The panel goes to the
    object store once. A trial that fails is returned with its error, and the others go on.

    Parameters
    ----------
    recipe : Recipe
        Families, budget, validation and seed. ``search.concurrent`` of 0 runs one trial a CPU the cluster has now.
    panel : Panel
        Model-ready rows.
    storage : str
        Where the run keeps its state: an absolute path or a URI; all nodes must reach it.
    run_id : str
        Name of the run below ``storage``.
    resume : bool
        Go on with that run after its driver ended: trials that finished are not run again, those under way go on
        from their last fold, and those that failed are tried once more. Snapshots are a second apart, so a trial
        that finished in the last moment may be run again. Recipe and panel must be the same as before.
    progress : callable, optional
        ``progress(done, total, trial)`` at the start (None) and after each trial. Baselines count.

    Raises
    ------
    ConfigError
        Ray is not running, ``storage`` is relative, the run exists already (or, to resume, does not, or was started
        on another recipe or other rows), or the search has fewer trials than families.
    """
    place = place_of(storage, run_id)
    if not ray.is_initialized():
        raise ConfigError("Ray is not running: start it, or connect with ray.init(address='auto'), before a sweep")
    problem = pose(recipe, panel)
    points = first_points(problem.searched, problem.task, trials_of(recipe, problem))
    claim(recipe, problem, storage=storage, run_id=run_id, resume=resume)
    total = len(problem.baselines) + trials_of(recipe, problem)
    with _quiet(), watching(progress, total=total, folds=len(problem.folds)) as watch:
        baselines = [watch.baseline(run_baseline(problem, name)) for name in problem.baselines]
        trainable = tune.with_resources(tune.with_parameters(FoldTrial, problem=problem), trial_resources(problem))
        if resume:
            tuner = tune.Tuner.restore(place, trainable, resume_errored=True)
        else:
            tuner = _tuner(recipe, problem, points, trainable, storage, run_id)
        grid = tuner.fit()
        found = [grid[position] for position in range(len(grid))]
        return (*baselines, *(_result(r) for r in found if r.config))  # without: it was drawn and never begun


def run_baseline(problem: Problem, name: str) -> TrialResult:
    """Score a baseline on every fold, in this process: it costs less than sending it anywhere."""
    params = problem.families[name].standard(problem.task)
    scores = tuple(score_fold(problem, name, params, number) for number in range(len(problem.folds)))
    return TrialResult(family=name, params=params, baseline=True, folds=scores, id=name)


def _result(found: tune.Result) -> TrialResult:
    metrics = found.metrics or {}
    return result_of(str(metrics.get("trial_id", "")), found.config or {}, metrics, found.error)


def trials_of(recipe: Recipe, problem: Problem) -> int:
    """Trials of the sweep: the budget, or one a family where there is nothing to optimise."""
    return recipe.search.trials if recipe.search.optimize else len(problem.searched)


def _tuner(
    recipe: Recipe, problem: Problem, points: list[dict[str, Any]], trainable: Any, storage: str, run_id: str
) -> tune.Tuner:
    search = OptunaSearch(
        Space(problem.searched, problem.task, problem.alone),
        metric="score",
        mode="max",
        points_to_evaluate=points,
        sampler=TPESampler(seed=recipe.search.seed),
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=PerFamily() if recipe.search.stop else None,
            num_samples=trials_of(recipe, problem),
            max_concurrent_trials=recipe.search.concurrent or _cpus(),
            time_budget_s=recipe.search.time_budget_s,
            reuse_actors=True,
            trial_dirname_creator=_directory,
        ),
        run_config=tune.RunConfig(
            name=run_id,
            storage_path=storage,
            verbose=0,
            callbacks=[ProgressCallback()],
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # a trial asks for one after each fold
        ),
    )


def trial_resources(problem: Problem) -> Callable[[dict[str, Any]], tune.PlacementGroupFactory]:
    """What a trial takes: a CPU, and the share of a GPU its family asks for where the cluster has one."""
    there = ray.cluster_resources().get("GPU", 0.0) > 0.0  # type: ignore[no-untyped-call]
    shares = {name: kind.gpu if there else 0.0 for name, kind in problem.families.items()}

    def of(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        gpu = shares[config["family"]]
        return tune.PlacementGroupFactory([{"CPU": 1.0} | ({"GPU": gpu} if gpu else {})])

    return of


def _cpus() -> int:
    return max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]


def _directory(trial: Any) -> str:
    return f"{trial.config['family']}_{trial.trial_id}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Tune takes these settings from the environment only; put back what was there."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    logger = logging.getLogger("ray.tune")
    levels = logger.level, optuna.logging.get_verbosity()
    os.environ.update(ENVIRONMENT)
    logger.setLevel(logging.CRITICAL)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():  # a trial that goes on after a crash reports its last fold again
            warnings.filterwarnings("ignore", message="The reported value is ignored because this `step")
            yield
    finally:
        logger.setLevel(levels[0])
        optuna.logging.set_verbosity(levels[1])
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
