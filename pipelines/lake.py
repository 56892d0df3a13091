"""Look after the lake: ``python -m pipelines.lake stats|compact|vacuum|views``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.filesize import decimal
from rich.markup import escape

from bellwether.errors import NotInLake
from data.lake import Lake
from data.lake.compaction import compact
from data.lake.stats import KindStats, lake_stats
from data.lake.vacuum import vacuum
from data.lake.views import write_views
from pipelines.console import console, grid, progress, say


def show_stats(lake: Lake) -> None:
    """Print what the lake holds, kind by kind, what was rejected, and what a vacuum would free."""
    stats = lake_stats(lake)
    if not stats:
        raise NotInLake(f"{lake.shown} is empty; ingest something first: bellwether ingest RECIPE")
    say(f"[bold]lake[/bold] {escape(lake.shown)}")
    _print(("symbols", "partitions", "files", "rows", "size"), {kind.kind: _counts(kind) for kind in stats})
    _print(("from", "to", "holes", "unused"), {kind.kind: _times(kind) for kind in stats})
    for kind in stats:
        for reason, count in kind.quarantined.items():
            say(f"{escape(kind.kind)}: quarantined {count:,}: {escape(reason)}")
    unused, freed = sum(kind.unused_size for kind in stats), sum(kind.freed_size for kind in stats)
    if unused:
        say(f"{decimal(unused)} are in use no more; `bellwether lake vacuum --remove` frees {decimal(freed)} now")


def run_compact(lake: Lake, kind: str | None = None) -> None:
    """Merge the parts of every partition of a kind, or of all kinds."""
    kinds = _chosen(lake, kind)
    with progress("compact") as advance:
        for n, name in enumerate(kinds):
            advance(n, len(kinds), name)
            done = compact(lake, name)
            say(
                f"[bold]compact[/bold] {escape(name)}: {done.parts:,} files made {len(done.partitions):,}, "
                f"{done.rows:,} rows"
            )
            if done.overtaken:
                say(f"  left as they are, written anew meanwhile: {escape(', '.join(done.overtaken))}")


def run_vacuum(lake: Lake, kind: str | None = None, *, hours: float = 24.0, remove: bool = False) -> None:
    """Remove files that no manifest names, or say which would go."""
    if kind is not None:
        _chosen(lake, kind)
    gone = vacuum(lake, kind, grace_s=hours * 3600, dry_run=not remove)
    for name, files in gone.files.items():
        for file in files:
            say(escape(file))
        say(f"[bold]vacuum[/bold] {escape(name)}: {len(files):,} files {'removed' if remove else 'would go'}")
    if not gone.files:
        say(f"[bold]vacuum[/bold]: nothing has been out of use for {hours:g} hours")
    elif remove:
        say(f"{decimal(gone.size)} freed")
    else:
        say(f"{decimal(gone.size)} would be freed; nothing is removed without --remove")


def run_views(lake: Lake, path: Path) -> None:
    """Write the DuckDB file."""
    names = write_views(lake, path)
    say(f"[bold]views[/bold] {escape(str(path))}: {escape(', '.join(name for name in names if name.isidentifier()))}")


def _chosen(lake: Lake, kind: str | None) -> tuple[str, ...]:
    kinds = lake.kinds()
    if kind is None:
        return kinds
    if kind not in kinds:
        raise NotInLake(f"{lake.shown} has no {kind}; it has: {', '.join(kinds) or 'nothing yet'}")
    return (kind,)


def _print(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    table = grid()
    table.add_column("kind", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for kind, values in rows.items():
        table.add_row(escape(kind), *values)
    console.print(table)


def _counts(kind: KindStats) -> tuple[str, ...]:
    counts = (kind.symbols, kind.partitions, kind.parts, kind.rows)
    return (*(f"{count:,}" for count in counts), decimal(kind.size))


def _times(kind: KindStats) -> tuple[str, ...]:
    return _day(kind.first), _day(kind.last), f"{kind.holes:,}", decimal(kind.unused_size)


def _day(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // 1_000_000_000, UTC):%Y-%m-%d}" if ts else ""


if __name__ == "__main__":
    from pipelines.cli import main

    main(["lake", *sys.argv[1:]])
