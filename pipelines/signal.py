"""Ask a served app for the index signal, and show it: ``bellwether signal RECIPE``."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console, Group
from rich.markup import escape
from rich.terminal_theme import MONOKAI
from rich.text import Text

from bellwether.errors import ServiceError
from pipelines.console import console, grid
from pipelines.workspace import Workspace

NUMBERS = ("confidence", "share", "contribution")
COLOURS = {"BUY": "green", "SELL": "red", "HOLD": "yellow"}
PICTURE_WIDTH = 92


def run(workspace: Workspace, url: str, picture: Path | None = None) -> None:
    """Fetch the signal of the recipe's universe and print it; with ``picture``, draw it there as SVG too."""
    answer = fetch(url, workspace.recipe.universe.name)
    console.print(view(answer))
    if picture:
        draw(answer, picture)


def fetch(url: str, universe: str) -> dict[str, Any]:
    """``GET /signal/index`` as a dictionary."""
    try:
        reply = httpx.get(f"{url.rstrip('/')}/signal/index", params={"universe": universe}, timeout=10.0)
    except httpx.TransportError as error:
        raise ServiceError(f"nothing answers at {url} ({error}): start it with `bellwether serve RECIPE`") from error
    if reply.status_code == httpx.codes.NOT_FOUND and "Path" in reply.text:
        raise ServiceError(f"{url} serves no index signal: it may still be starting")
    if reply.is_error:
        raise ServiceError(f"{url} answered {reply.status_code}: {reply.text[:300]}")
    answer: dict[str, Any] = reply.json()
    return answer


def view(answer: dict[str, Any]) -> Group:
    """A signal with what it rests on: a line of figures, the reason of a HOLD, and the component table."""
    colour, limits = COLOURS[answer["signal"]], answer["thresholds"]
    head = Text.from_markup(
        f"\n[bold {colour}]{answer['signal']}[/bold {colour}] {escape(answer['universe'])}   "
        f"WSS {answer['wss']:+.3f} (buy {limits['buy']:+.2f}, sell {limits['sell']:+.2f})   "
        f"by probability {answer['wss_probability']:+.3f}\n"
        f"coverage {answer['coverage']:.0%}   bar {answer['bar_time']}   "
        f"{escape(answer['model']['name'])} version {answer['model']['version']}"
    )
    reason = [Text(answer["reason"], style="yellow")] if answer["reason"] else []
    table = grid()
    for column in ("symbol", "action", *NUMBERS, "status", "bar"):
        table.add_column(column, justify="right" if column in NUMBERS else "left", no_wrap=True)
    for component in answer["components"]:
        table.add_row(*_cells(component))
    return Group(head, *reason, table)


def draw(answer: dict[str, Any], path: Path) -> None:
    """The same as a picture (SVG)."""
    recorder = Console(record=True, width=PICTURE_WIDTH, file=StringIO(), highlight=False)
    recorder.print(view(answer))
    svg = recorder.export_svg(title="bellwether signal", theme=MONOKAI)
    # Rich names fonts on another host; the viewer's own monospace serves
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


def _cells(c: dict[str, Any]) -> tuple[str, ...]:
    action = c["action"] or "-"
    confidence = f"{c['probabilities'][action]:.0%}" if c["probabilities"] else "-"
    status = c["status"] if c["reason"] is None else f"{c['status']}: {c['reason']}"
    bar = c["ts_event"][5:16].replace("T", " ") if c["ts_event"] else "-"  # the whole of it stands above the table
    return c["symbol"], action, confidence, f"{c['share']:.3f}", f"{c['contribution']:+.3f}", escape(status), bar
