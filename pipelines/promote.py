"""Move an alias forwards or back; every move is in the ledger."""

from __future__ import annotations

from rich.markup import escape

from bellwether.errors import NoChampion, ServiceError
from pipelines import served
from pipelines.console import say
from pipelines.workspace import Workspace

WHEN = "; a running server answers with it when it is told to: --reload URL"


def promote(
    workspace: Workspace, version: int | None, alias: str, *, who: str, why: str, reload: str | None = None
) -> int:
    """Give ``alias`` to ``version``, or to the newest that passed its gate; with ``reload``, tell the app there.

    Raises
    ------
    ServiceError
        The app cannot be told, or stays with what it has. The alias is moved.
    """
    name = workspace.recipe.name
    version = newest_passed(workspace) if version is None else version
    _check_url(reload)
    workspace.registry.promote(name, version, alias, who=who, why=why)
    say(f"[bold]promoted[/bold] {name} version {version} to {alias}{'' if reload else WHEN}")
    _tell(workspace, reload)
    return version


def rollback(workspace: Workspace, alias: str, *, who: str, why: str, reload: str | None = None) -> int:
    """Give ``alias`` back to the version that held it before; with ``reload``, tell the app there.

    Raises
    ------
    ServiceError
        As `promote`.
    """
    name = workspace.recipe.name
    _check_url(reload)
    version = workspace.registry.rollback(name, alias, who=who, why=why)
    say(f"[bold]rolled back[/bold] {name} {alias} to version {version}{'' if reload else WHEN}")
    _tell(workspace, reload)
    return version


def _tell(workspace: Workspace, url: str | None) -> None:
    """Let the app at ``url``, if any, answer by what carries its aliases now."""
    if url is None:
        return
    try:
        done = served.reload(url, workspace.settings.api_key)
    except ServiceError as error:
        raise ServiceError(f"the alias is moved, and the app at {url} was not told: {error}") from error
    if (name := workspace.recipe.name) not in done["after"]:
        answers = ", ".join(done["after"]) or "no model"
        raise ServiceError(f"the alias is moved, and {url} is another app: it answers by {answers}, not by {name}")
    for name, version in done["after"].items():
        say(f"[bold]reloaded[/bold] {escape(name)}: version {done['before'].get(name, '-')} before, {version} now")


def _check_url(url: str | None) -> None:
    """Refuse what is no address before anything is moved."""
    if url is not None and not url.startswith(("http://", "https://")):
        raise ServiceError(f"{url!r} is no address of an app: it begins with http:// or https://. Nothing was moved")


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
