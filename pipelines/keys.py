"""API keys of the served apps: ``bellwether keys add | list | remove``."""

from __future__ import annotations

from rich.markup import escape

from bellwether.config.keys import KeyFile
from pipelines.console import console, grid, say


def add(path: str, name: str, scopes: str) -> None:
    """Make a key and print it, alone on its line, this once."""
    secret = KeyFile(path).add(name, [scope.strip() for scope in scopes.split(",") if scope.strip()])
    say(f"key [bold]{escape(name)}[/bold] of {escape(path)}; it is shown this once and kept as a hash only:")
    say(secret)


def show(path: str) -> None:
    """Print a table of the keys there are."""
    keys = KeyFile(path).read().keys
    if not keys:
        say(f"no keys in {escape(path)}: `bellwether keys add NAME` makes one")
        return
    table = grid()
    for column in ("name", "scopes", "created"):
        table.add_column(column, no_wrap=True)
    for key in keys:
        table.add_row(key.name, ",".join(key.scopes), key.created.isoformat())
    console.print(table)


def remove(path: str, name: str) -> None:
    """Remove a key; apps that run refuse it from the next request on."""
    KeyFile(path).remove(name)
    say(f"removed {escape(name)} from {escape(path)}")
