"""What a person sees while a job runs: one console, and a bar for anything that takes over a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(stderr=False, highlight=False)
errors = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print one line of a job's report; the terminal wraps it, so that it can be copied and searched whole."""
    console.print(text, soft_wrap=True)


def grid(title: str | None = None) -> Table:
    """An empty table in the style of all reports: a rule below the head, narrow enough for 80 columns."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


Advance = Callable[[int, int, str], None]
"""``advance(done, total, label)``; a total of 0 is one that is not known yet."""


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """A bar that goes when the work is done; without a terminal nothing is drawn."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int, label: str = "") -> None:
            bar.update(task, completed=done, total=total or None, description=f"{title} {label}".strip())

        yield advance
