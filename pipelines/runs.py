"""A training run under its name: the sweeps it is made of, what of it is done, and the command that goes on with it."""

from __future__ import annotations

import getpass
import shlex
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipelines.console import say
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from tune.problem import Problem


def own_run(run_id: str, symbol: str) -> str:
    """The name of a symbol's own sweep within a run: no two symbols share one, and a URI takes it.

    >>> own_run("20260102T030405-1a2b", "BRK/B")
    '20260102T030405-1a2b.BRK~2FB'
    """
    return f"{run_id}." + quote(symbol, safe="").replace("~", "%7E").replace("%", "~")


def started(workspace: Workspace, run_id: str) -> bool:
    """Whether a sweep has come far enough to go on; if not, it is started."""
    from tune import claim

    return claim.started(workspace.settings.runs, run_id)


def made_before(workspace: Workspace, problem: Problem, run_id: str) -> int | None:
    """The version that a sweep has registered, None if it has not come to that.

    The registry says so: a version carries its sweep from its first moment. One that passed becomes Staging if the run
    was killed before that; not if it or a later one ever was, which would undo what somebody did since.

    Raises
    ------
    ConfigError
        It was registered, but the sweep was started on something else than this problem, or its state is gone.
    """
    from tune.claim import check_same

    registry, recipe = workspace.registry, workspace.recipe
    made = registry.made_by(recipe.name, run_id)
    if made is None:
        return None
    check_same(recipe, problem, storage=workspace.settings.runs, run_id=run_id)
    late = made.passed and made.version > max(registry.given(recipe.name, "Staging"), default=0)
    if late:
        stage(workspace, made.version)
    say(f"[bold]made before[/bold] {recipe.name} version {made.version}" + (", now Staging" if late else ""))
    return made.version


def stage(workspace: Workspace, version: int) -> None:
    """Make a version that passed its gate Staging."""
    who, why = getpass.getuser(), "passed its gate"
    workspace.registry.promote(workspace.recipe.name, version, "Staging", who=who, why=why)


def command(workspace: Workspace, run_id: str) -> str:
    """The command that goes on with a run: the recipe, the options that make the same sweeps again, and its name."""
    return f"bellwether train {shlex.quote(workspace.source)} {_options(workspace)} --resume {run_id}"


def _options(workspace: Workspace) -> str:
    """The options that make the same sweep again."""
    recipe, search = workspace.recipe, workspace.recipe.search
    given = {"--trials": search.trials, "--time-budget": search.time_budget_s, "--concurrent": search.concurrent}
    told = [f"{flag} {value:g}" for flag, value in given.items() if value]
    told += [f"--symbol {shlex.quote(workspace.symbol)}"] if workspace.symbol else []
    return " ".join(["--families", ",".join(recipe.families), *told, *([] if search.optimize else ["--defaults"])])
