"""Ask a served app for the index signal, and show it: ``bellwether signal RECIPE``."""

from __future__ import annotations

from typing import Any

import httpx

from bellwether.errors import ServiceError
from pipelines.console import console, grid, say
from pipelines.workspace import Workspace

NUMBERS = ("confidence", "weight", "contribution")
COLOURS = {"BUY": "green", "SELL": "red", "HOLD": "yellow"}


def run(workspace: Workspace, url: str) -> None:
    """Fetch the signal of the recipe's universe and print it."""
    show(fetch(url, workspace.recipe.universe.name))


def fetch(url: str, universe: str) -> dict[str, Any]:
    """``GET /signal/index`` as a dictionary."""
    try:
        reply = httpx.get(f"{url.rstrip('/')}/signal/index", params={"universe": universe}, timeout=10.0)
    except httpx.TransportError as error:
        raise ServiceError(f"nothing answers at {url} ({error}): start it with `bellwether serve RECIPE`") from error
    if reply.is_error:
        raise ServiceError(f"{url} answered {reply.status_code}: {reply.text[:300]}")
    answer: dict[str, Any] = reply.json()
    return answer


def show(answer: dict[str, Any]) -> None:
    """Print a signal with its component table."""
    colour = COLOURS[answer["signal"]]
    say(
        f"\n[bold {colour}]{answer['signal']}[/bold {colour}] {answer['universe']}  "
        f"WSS {answer['wss']:+.3f}  probability-weighted {answer['wss_probability']:+.3f}  "
        f"coverage {answer['coverage']:.0%}  bar {answer['bar_time']}"
    )
    if answer.get("reason"):
        say(f"  {answer['reason']}")
    table = grid()
    for column in ("symbol", "action", "confidence", "weight", "contribution", "status", "bar"):
        table.add_column(column, justify="right" if column in NUMBERS else "left", no_wrap=True)
    for c in answer["components"]:
        table.add_row(*_cells(c))
    console.print(table)


def _cells(c: dict[str, Any]) -> tuple[str, ...]:
    if c["action"] is None:
        return c["symbol"], "-", "-", _number(c["weight"]), "-", c["status"], _short(c["ts_event"])
    confidence = c["probabilities"][c["action"]]
    return (
        c["symbol"],
        c["action"],
        f"{confidence:.0%}",
        _number(c["weight"]),
        f"{c['contribution']:+.3f}",
        c["status"],
        _short(c["ts_event"]),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _short(time: str | None) -> str:
    """``2025-06-30T20:00:00Z`` as ``06-30 20:00``: the whole of it stands above the table."""
    return "-" if time is None else time[5:16].replace("T", " ")
