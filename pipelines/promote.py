"""Move an alias forwards or back; every move is in the ledger."""

from __future__ import annotations

from bellwether.errors import NoChampion
from pipelines.console import say
from pipelines.workspace import Workspace

WHEN = "a running server answers with it after its next deployment"


def promote(workspace: Workspace, version: int | None, alias: str, *, who: str, why: str) -> int:
    """Give ``alias`` to ``version``, or to the newest that passed its gate."""
    name = workspace.recipe.name
    version = newest_passed(workspace) if version is None else version
    workspace.registry.promote(name, version, alias, who=who, why=why)
    say(f"[bold]promoted[/bold] {name} version {version} to {alias}; {WHEN}")
    return version


def rollback(workspace: Workspace, alias: str, *, who: str, why: str) -> int:
    """Give ``alias`` back to the version that held it before."""
    version = workspace.registry.rollback(workspace.recipe.name, alias, who=who, why=why)
    say(f"[bold]rolled back[/bold] {workspace.recipe.name} {alias} to version {version}; {WHEN}")
    return version


def newest_passed(workspace: Workspace) -> int:
    """The newest version whose gate passed."""
    name = workspace.recipe.name
    versions = workspace.registry.versions(name)
    passed = [v.version for v in versions if v.passed]
    if not passed:
        tried = f"{len(versions)} refused" if versions else "none trained yet"
        raise NoChampion(
            f"no version of {name} has passed its gate ({tried}): run `bellwether train {workspace.source}`"
        )
    return max(passed)
