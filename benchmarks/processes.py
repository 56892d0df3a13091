"""Serve's processes below this one, as the kernel tells of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process: its number, what Ray calls it (``ray::ServeReplica:app:deployment``), and resident memory in MB."""

    pid: int
    title: str
    rss_mb: float


def serving(*apps: str) -> list[Process]:
    """Replicas of apps, and what runs beside them: proxy and controller."""
    mine = descendants(os.getpid())
    found = [p for pid in mine if (p := _process(pid)) is not None]
    wanted = (*(f"ray::ServeReplica:{app}:" for app in apps), "ray::ProxyActor", "ray::ServeController")
    return [p for p in found if p.title.startswith(wanted)]


def replicas(*apps: str) -> list[Process]:
    """Replicas of apps."""
    return [p for p in serving(*apps) if p.title.startswith("ray::ServeReplica:")]


def _process(pid: int) -> Process | None:
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return None  # it has just ended
    return Process(pid=pid, title=title.split(".")[0].strip(), rss_mb=resident * PAGE / 1e6)


def descendants(pid: int) -> list[int]:
    """Processes below this one, at any depth."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(after_name[1]), []).append(int(entry.name))
    found, pending = [], [pid]
    while pending:
        below = children.get(pending.pop(), [])
        found += below
        pending += below
    return found
