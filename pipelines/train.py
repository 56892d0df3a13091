"""Sweep, judge and register: ``python -m pipelines.train RECIPE``.

The job is complete in itself, so that it can be submitted to a fresh cluster: records that the lake does not
hold yet are ingested, and features that are missing or out of date are made.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from bellwether.config import Recipe
from bellwether.errors import ConfigError, DataError, ModelError
from bellwether.models import family
from data.targets import target_kind
from pipelines import features, ingest, report
from pipelines.console import console, progress, say
from pipelines.own_models import own
from pipelines.runs import command, made_before, own_run, stage, started
from pipelines.sweep_log import SweepLog, sweep_log
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from bellwether.models.artefact import Contract
    from data.panel import Panel
    from tune.champion import Champion
    from tune.problem import Problem
    from tune.trial import TrialResult


def with_budget(
    workspace: Workspace,
    families: str | None = None,
    trials: int | None = None,
    time_budget: float | None = None,
    concurrent: int | None = None,
    optimize: bool | None = None,
) -> Workspace:
    """The workspace with the recipe's search budget replaced by what is given."""
    recipe = workspace.recipe
    search = {"trials": trials, "time_budget_s": time_budget, "concurrent": concurrent, "optimize": optimize}
    changes = {
        "search": recipe.search.model_dump() | {name: value for name, value in search.items() if value is not None},
        "families": families.split(",") if families else recipe.families,
    }
    changed = Recipe.model_validate(recipe.model_dump() | changes)
    task = target_kind(changed.target.kind).task
    for name in changed.families:
        family(name).check(task)  # refuses one that is unknown, or cannot do it, before anything is started
    return replace(workspace, recipe=changed)


def run(workspace: Workspace, resume: str | None = None, symbol: str | None = None) -> int:
    """Train the recipe from whatever state the lake is in; returns the registered version.

    Everything is made of one state of the lake: what is posted meanwhile is for the next run. With ``symbol`` that
    symbol's own model is made and nothing else.
    """
    from cluster.local import local_ray

    own(workspace, symbol)  # refuses a symbol that cannot have one before anything is started
    with local_ray():
        return sweep_and_register(prepare(workspace), resume, symbol)


def prepare(workspace: Workspace) -> Workspace:
    """Ingest if the lake has no records of this recipe's source yet; make the features that are missing.

    Returns the workspace on the lake as the features were made of it.
    """
    from data.intake.ingest import SOURCE, source_identity

    recipe = workspace.recipe
    noted = {entry.symbol: entry.note.get(SOURCE) for entry in workspace.lake.entries(recipe.kind).values()}
    watched = [symbol for symbol in (*recipe.universe.symbols, recipe.universe.index) if symbol]
    if {noted.get(symbol) for symbol in watched} != {source_identity(recipe)}:
        ingest.run(workspace)
    pinned = workspace.pinned()
    features.run(pinned)
    return pinned


def sweep_and_register(workspace: Workspace, resume: str | None = None, symbol: str | None = None) -> int:
    """Sweep on the running Ray, judge the best on the untouched segment, register it; returns its version.

    Then the same for each symbol, where the recipe lets symbols have models of their own; or for ``symbol`` alone.
    A run that is resumed goes on with the model it was at: one that it has registered is not made again.
    """
    from data.panel import load_panel

    panel = load_panel(workspace.recipe, workspace.lake)
    run_id, again = resume or _new_run(), resume is not None
    try:
        if symbol is None:
            return _all(workspace, panel, run_id, again)
        return _trained(own(workspace, symbol), panel.of(symbol), {}, run_id, again)
    except KeyboardInterrupt:
        if started(workspace, run_id):
            say(f"stopped; `{escape(command(own(workspace, symbol), run_id))}` goes on where it was")
        raise


def _all(workspace: Workspace, panel: Panel, run_id: str, again: bool) -> int:
    """Make the pooled model, then those of the symbols that have their own; returns the version of the pooled one."""
    recipe = workspace.recipe
    symbols = recipe.universe.symbols if recipe.serving.models == "per_symbol" else ()
    if symbols:
        say(f"[bold]run[/bold] {run_id}: the pooled model, then those of {len(symbols)} symbols")
    version = _trained(workspace, panel, _market(workspace), run_id, again)
    for symbol in symbols:
        _try(workspace, symbol, panel, own_run(run_id, symbol), again)
    return version


def _try(workspace: Workspace, symbol: str, panel: Panel, run_id: str, again: bool) -> None:
    """Make a symbol's own model, if it can have one; the pooled one answers for it otherwise."""
    try:
        _trained(own(workspace, symbol), panel.of(symbol), {}, run_id, again and started(workspace, run_id))
    except (ConfigError, DataError, ModelError) as error:
        say(f"[yellow]no model made of {escape(symbol)} alone[/yellow]: {escape(str(error))}")


def _trained(workspace: Workspace, panel: Panel, market: Mapping[str, Any], run_id: str, resume: bool) -> int:
    """Make and register one model, of a panel, unless its sweep did so before; returns its version."""
    from tune.champion import crown
    from tune.leaderboard import leaderboard, to_json
    from tune.leaderboard_table import render
    from tune.problem import pose

    problem = pose(workspace.recipe, panel)
    if (version := made_before(workspace, problem, run_id)) is not None:
        return version
    classes = target_kind(workspace.recipe.target.kind).classes
    with sweep_log(workspace, run_id, problem.metric, classes) as log:
        trials = _sweep(workspace, panel, problem, run_id, log, resume=resume)
        rows = leaderboard(trials, problem.metric, workspace.recipe.validation)
        console.print(render(rows))
        champion = crown(workspace.recipe, panel, trials, **market)
        place = report.write(workspace, run_id, problem, trials, rows, champion)
        page, table = ((place / name).read_text(encoding="utf-8") for name in (report.PAGE, report.TABLE))
        figures = {champion.verdict.metric: champion.verdict.champion, "lift": champion.verdict.lift}
        files = {"leaderboard.json": to_json(rows), report.TABLE: table}
        log.end(figures, files | {report.PAGE: page})
    version = _register(workspace, champion, run_id, files, figures)  # last: what has a version is not made again
    _report(workspace, champion, version)
    say(f"[bold]report[/bold] {place / report.PAGE}")
    return version


def _register(
    workspace: Workspace, champion: Champion, run_id: str, files: Mapping[str, str], figures: Mapping[str, float]
) -> int:
    """Register a champion, as Staging if it passed."""
    name, artefact = workspace.recipe.name, champion.artefact
    version = workspace.registry.register(name, artefact, files=files, metrics=figures, sweep=run_id)
    if champion.verdict.passed:
        stage(workspace, version)
    return version


def _new_run() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def _sweep(
    workspace: Workspace, panel: Panel, problem: Problem, run_id: str, log: SweepLog, *, resume: bool
) -> tuple[TrialResult, ...]:
    from tune.sweep import sweep, trials_of

    recipe = workspace.recipe
    say(f"[bold]sweep[/bold] {run_id}: {trials_of(recipe, problem)} trials of {', '.join(recipe.families)}")
    with progress("sweep") as advance:

        def tell(done: int, total: int, trial: TrialResult | None) -> None:
            advance(done, total, trial.family if trial else "")
            if trial is not None:
                log.take(trial)

        trials = sweep(recipe, panel, storage=workspace.settings.runs, run_id=run_id, resume=resume, progress=tell)
        for trial in trials:  # a run that is resumed brings those that were done before
            log.take(trial)
    return trials


def _market(workspace: Workspace) -> dict[str, Any]:
    """What a champion is judged beside: the weights, and the index's closes, None where the universe has none.

    Read before the sweep, which may outlast the time for which a vacuum leaves files that are out of use.
    """
    from data.weights.table import load_weights

    universe = workspace.recipe.universe
    return {
        "weights": load_weights(workspace.lake, universe) if universe.weights else None,
        "index": workspace.index_closes() if universe.index else None,
    }


def _report(workspace: Workspace, champion: Champion, version: int) -> None:
    verdict, name = champion.verdict, workspace.recipe.name
    contract = champion.artefact.contract
    chosen = ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in contract.params.items())
    say(f"[bold]champion[/bold] {contract.family}: {chosen or 'nothing to tune'}")
    colour, word = ("green", "passed") if verdict.passed else ("yellow", "refused")
    say(f"[bold]gate[/bold] [{colour}]{word}[/{colour}]: {verdict.reason}")
    say(f"[bold]registered[/bold] {name} version {version}" + (", now Staging" if verdict.passed else ""))
    looks = _looks(workspace, contract)
    if looks > 1:
        say(f"  this untouched segment has now judged {looks} versions: the more it has, the less a pass means")


def _looks(workspace: Workspace, contract: Contract) -> int:
    """How many versions of the recipe were judged on the untouched segment this one was judged on."""
    registry, name = workspace.registry, workspace.recipe.name
    starts = [registry.contract(name, v.version).metrics["holdout"]["start"] for v in registry.versions(name)]
    return starts.count(contract.metrics["holdout"]["start"])


if __name__ == "__main__":
    from pipelines.cli import main

    main(["train", *sys.argv[1:]])
