"""Make the features of every symbol on Ray Data: ``python -m pipelines.features RECIPE``."""

from __future__ import annotations

import itertools
import sys
from contextlib import nullcontext

from data.features_job import Cluster, FeaturesReport, build_features
from pipelines.console import progress, say
from pipelines.workspace import Workspace


def run(workspace: Workspace, cluster: Cluster = nullcontext) -> FeaturesReport:
    """Make what is missing or out of date; ``cluster`` has Ray running in its context, entered if there is work.

    They are made of the lake as it is at the start, or as the workspace has it pinned.
    """
    done = itertools.count(1)
    with progress("features") as advance:
        report = build_features(
            workspace.recipe,
            workspace.pinned().lake,
            lambda partition, rows, todo: advance(next(done), todo, partition),
            cluster,
        )
    say(
        f"[bold]features[/bold] {report.kind}: {report.rows:,} rows, {report.whole:,} of them whole; "
        f"{len(report.computed)} partitions made, "
        f"{len(report.skipped)} unchanged, {report.seconds:.1f} s"
    )
    return report


if __name__ == "__main__":
    from pipelines.cli import main

    main(["features", *sys.argv[1:]])
