"""What the ledger says of one alias in one store: where it is and was, and where a rollback would take it."""

from __future__ import annotations

from collections.abc import Iterable

from bellwether.registry.ledger import Entry


def told(entries: Iterable[Entry], store: str, name: str, alias: str) -> int | None:
    """The version that the last line for an alias gives it; None if there is no line or it holds nothing."""
    mine = [e.version for e in entries if (e.store, e.name, e.alias) == (store, name, alias)]
    return mine[-1] if mine else None


def given(entries: Iterable[Entry], store: str, name: str, alias: str) -> tuple[int, ...]:
    """Every version that a line gives an alias to, oldest line first, what was rolled back included."""
    mine = (e.version for e in entries if (e.store, e.name, e.alias) == (store, name, alias))
    return tuple(version for version in mine if version is not None)


def trail(entries: Iterable[Entry], store: str, name: str, alias: str) -> tuple[int, ...]:
    """The versions an alias has held, oldest first; its last is the one it holds, the one before is the way back.

    A promotion goes a step forward, a rollback a step back, so that two rollbacks undo two promotions. Settling on a
    version of the trail undoes what came after it; on any other, it is a step forward. Lines of other stores count for
    nothing: their versions are other models.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> def line(action, version):
    ...     return Entry(ts=datetime.now(UTC), who="ada", action=action, name="m", alias="Production",
    ...                  version=version, previous=None, why="…", store="s")
    >>> moves = [line("promote", 1), line("promote", 2), line("promote", 3), line("rollback", 2)]
    >>> trail(moves, "s", "m", "Production")
    (1, 2)
    >>> trail([*moves, line("promote", 5), line("settle", 2)], "s", "m", "Production")
    (1, 2)
    """
    held: list[int] = []
    for entry in entries:
        if (entry.store, entry.name, entry.alias) != (store, name, alias):
            continue
        if entry.action == "rollback":
            held = held[:-1]
        elif entry.version is None:
            held = []
        elif entry.action == "settle" and entry.version in held:
            held = held[: held.index(entry.version) + 1]
        else:
            held = [*held, entry.version]
    return tuple(held)
