"""Show how the families of a version's sweep ranked, and which versions there are."""

from __future__ import annotations

from bellwether.errors import NoChampion
from pipelines.console import console, grid, say
from pipelines.workspace import Workspace


def run(workspace: Workspace, version: int | None = None) -> None:
    """Print the leaderboard of ``version`` (if left out, the newest) and the versions; warn of aliases out of step."""
    from tune.leaderboard import from_json
    from tune.leaderboard_table import render

    name, registry = workspace.recipe.name, workspace.registry
    versions = sorted(registry.versions(name), key=lambda v: v.version)
    if not versions:
        raise NoChampion(f"{name} has no version yet: run `bellwether train {name}`")
    chosen = versions[-1].version if version is None else version
    console.print(render(from_json(registry.read(name, chosen, "leaderboard.json"))))
    table = grid(f"{name}: versions")
    for column in ("version", "family", "holdout", "gate", "alias", "made"):
        table.add_column(column)
    for v in versions:
        gate = "passed" if v.passed else "refused"
        made = f"{v.created_at:%Y-%m-%d %H:%M}"
        table.add_row(str(v.version), v.family, f"{v.metric} {v.score:.3f}", gate, ", ".join(v.aliases), made)
    console.print(table)
    for line in registry.unsettled(name):
        say(f"[yellow]warning:[/] {line}")
