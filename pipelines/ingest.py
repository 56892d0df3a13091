"""Read a recipe's sources into the lake: ``python -m pipelines.ingest RECIPE``."""

from __future__ import annotations

import sys

from rich.markup import escape

from data.ingest import IngestReport, ingest
from pipelines.console import progress, say
from pipelines.workspace import Workspace


def run(workspace: Workspace) -> IngestReport:
    """Ingest, and report what came of every row."""
    recipe = workspace.recipe
    with progress("ingest") as advance:
        report = ingest(
            recipe,
            workspace.lake,
            workspace.settings.market_data,
            lambda stage, rows: advance(rows, 0, f"{stage} rows"),
        )
    say(
        f"[bold]ingest[/bold] {recipe.kind}: {report.rows_in:,} rows in, {report.kept:,} kept "
        f"({report.added:,} new, {report.revised:,} revised, {report.unchanged:,} unchanged), "
        f"{sum(report.quarantined.values()):,} quarantined, {report.gaps:,} gaps, {len(report.symbols)} symbols"
    )
    for reason, count in sorted(report.quarantined.items()):
        say(f"  quarantined {count:,}: {escape(reason)}")
    if report.absent:
        say(f"  no new bars of {escape(', '.join(report.absent))}: the lake's earlier ones stay")
    return report


if __name__ == "__main__":
    from pipelines.cli import main

    main(["ingest", *sys.argv[1:]])
