"""Make the features of every symbol on Ray Data: ``python -m pipelines.features RECIPE``."""

from __future__ import annotations

import sys

from data.features_job import FeaturesReport, build_features
from pipelines.console import console, progress
from pipelines.workspace import Workspace


def run(workspace: Workspace) -> FeaturesReport:
    """Make what is missing or out of date. Ray must be running."""
    with progress("features") as advance:
        report = build_features(
            workspace.recipe, workspace.lake, progress=lambda done, total: advance(done, total, "symbols")
        )
    console.print(
        f"[bold]features[/bold] {report.kind}: {report.rows:,} rows; {len(report.computed)} symbols made, "
        f"{len(report.skipped)} unchanged, {report.seconds:.1f} s"
    )
    return report


if __name__ == "__main__":
    from pipelines.cli import main

    main(["features", *sys.argv[1:]])
