"""Ask a served app for the index signal, and show it: ``bellwether signal RECIPE``."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from rich.console import Console, Group
from rich.markup import escape
from rich.terminal_theme import MONOKAI
from rich.text import Text

from bellwether.errors import ServiceError
from pipelines.console import console, grid, say
from pipelines.served import ask, checked, wait_ready
from pipelines.workspace import Workspace

NUMBERS = ("confidence", "share", "contribution")
COLOURS = {"BUY": "green", "SELL": "red", "HOLD": "yellow"}
PICTURE_WIDTH = 92


def run(workspace: Workspace, url: str, picture: Path | None = None) -> None:
    """Fetch the signal of the recipe's universe and print it; with ``picture``, draw it there as SVG too."""
    key = workspace.settings.api_key
    for lacking in wait_ready(url, key):
        say(f"[yellow]not ready[/yellow] {escape(lacking)}")
    answer = fetch(url, workspace.recipe.universe.name, key)
    console.print(view(answer))
    if picture:
        draw(answer, picture)


def fetch(url: str, universe: str, key: SecretStr | None = None) -> dict[str, Any]:
    """``GET /signal/index`` as a dictionary; ``key`` is an API key, where the app asks for one."""
    reply = ask("GET", url, "/signal/index", key, params={"universe": universe})
    if reply.status_code == httpx.codes.NOT_FOUND and '"known"' not in reply.text:
        raise ServiceError(f"{url} serves no index signal: it may still be starting")
    return checked(reply, url)


def view(answer: dict[str, Any]) -> Group:
    """A signal with what it rests on: its figures, the reason of a HOLD, the components, and why some do not count."""
    colour, limits = COLOURS[answer["signal"]], answer["thresholds"]
    head = Text.from_markup(
        f"\n[bold {colour}]{answer['signal']}[/bold {colour}] {escape(answer['universe'])}   "
        f"WSS {answer['wss']:+.3f} (buy {limits['buy']:+.2f}, sell {limits['sell']:+.2f})\n"
        f"by probability {answer['wss_probability']:+.3f}   coverage {answer['coverage']:.0%}   "
        f"bar {answer['bar_time']}\n"
        f"{escape(answer['model']['name'])} version {answer['model']['version']}"
    )
    reason = [Text(answer["reason"], style="yellow")] if answer["reason"] else []
    table = grid()
    for column in ("symbol", "action", *NUMBERS, "status", "bar"):
        table.add_column(column, justify="right" if column in NUMBERS else "left", no_wrap=True)
    for component in answer["components"]:
        table.add_row(*_cells(component))
    reasons = [Text(f"{c['symbol']} {c['status']}: {c['reason']}") for c in answer["components"] if c["reason"]]
    return Group(head, *reason, table, *reasons)


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
    bar = c["ts_event"][5:16].replace("T", " ") if c["ts_event"] else "-"  # the whole of it stands above the table
    return c["symbol"], action, confidence, f"{c['share']:.3f}", f"{c['contribution']:+.3f}", c["status"], bar
