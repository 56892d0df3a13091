"""The promotion ledger: an append-only file that shows when a line before its last was changed.

One JSON object a line; ``follows`` is the sha256 of the line before (64 zeros in the first), over its bytes without
the newline. Changing, removing or inserting a line breaks the chain at the next one, which `Ledger.entries` names.
No chain shows that lines were cut off at the end, or that the last one was changed: the registry compares the last
line of an alias with the alias itself.

A line is written by one ``write`` on an ``O_APPEND`` descriptor under an exclusive ``flock`` and synced before the
call returns. The file must be on a filesystem that all who promote share.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field, ValidationError

from bellwether.config.frozen import Frozen
from bellwether.errors import ConfigError, RegistryError

GENESIS = "0" * 64


class Entry(Frozen):
    """One move of an alias.

    Parameters
    ----------
    action : str
        ``promote``, ``rollback``, or ``settle``: the alias was found elsewhere than the ledger's last line for it
        says, and that is where it is now (see `bellwether.registry.store`).
    version, previous : int or None
        Where the alias points from now on, and where it pointed before; None is nowhere.
    gate : dict
        The verdict of the version's gate, as in its contract.
    store : str
        Where the model is, `Backend.identity`: one ledger may serve several stores, whose moves are told apart by it.
        A line that names none belongs to none of them.
    """

    ts: AwareDatetime
    who: str
    action: Literal["promote", "rollback", "settle"]
    name: str
    alias: str
    version: int | None
    previous: int | None
    why: str
    gate: dict[str, Any] = Field(default_factory=dict)
    store: str = ""


class Book:
    """The open ledger: its entries so far, and the right to add to them. Only `Ledger.writing` makes one."""

    def __init__(self, ledger: Path, descriptor: int, content: bytes) -> None:
        self._ledger, self._descriptor = ledger, descriptor
        self._entries, self._head = _read(ledger, content)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All lines, this holder's own included."""
        return tuple(self._entries)

    def append(self, entry: Entry) -> None:
        """Write a line and wait until it is on disk."""
        line = json.dumps(entry.model_dump(mode="json") | {"follows": self._head}, allow_nan=False).encode()
        if os.write(self._descriptor, line + b"\n") != len(line) + 1:
            raise RegistryError(f"{self._ledger}: the disk took only a part of a line: make room and try again")
        os.fsync(self._descriptor)
        if self._head == GENESIS:
            _sync(self._ledger.parent)
        self._entries.append(entry)
        self._head = hashlib.sha256(line).hexdigest()


class Ledger:
    """The promotion ledger at ``path``; the file is made by the first append.

    Raises
    ------
    ConfigError
        ``path`` is a URI: object stores cannot append.
    """

    def __init__(self, path: str) -> None:
        if "://" in path:
            raise ConfigError(f"the ledger must be a file, got {path!r}: set BELLWETHER_LEDGER to a path")
        self.path = Path(path)

    def append(self, entry: Entry) -> None:
        """Add one line; see `writing` for the errors."""
        with self.writing() as book:
            book.append(entry)

    def entries(self) -> tuple[Entry, ...]:
        """All lines, after checking the chain; empty if there is no file yet.

        Raises
        ------
        RegistryError
            A line was changed, removed, inserted or only half written; the message has the first such line.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return ()
        with _locked(descriptor, fcntl.LOCK_SH) as content:
            return tuple(_read(self.path, content)[0])

    @contextmanager
    def writing(self) -> Iterator[Book]:
        """Hold the ledger alone, waiting for whoever holds it: read it, decide, add to it.

        Raises
        ------
        RegistryError
            As `entries`: nothing is added to a broken ledger.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        with _locked(descriptor, fcntl.LOCK_EX) as content:
            yield Book(self.path, descriptor, content)


@contextmanager
def _locked(descriptor: int, kind: int) -> Iterator[bytes]:
    """Hold a lock on an open file, give its content, and close it."""
    try:
        fcntl.flock(descriptor, kind)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            content = file.read()
        yield content
    finally:
        os.close(descriptor)


def _read(path: Path, content: bytes) -> tuple[list[Entry], str]:
    """The entries and the hash that the next line follows."""
    *lines, torn = content.split(b"\n")
    if torn:
        raise RegistryError(
            f"{path}: line {len(lines) + 1} is incomplete: a crash cut it off before its move was made. "
            f"Remove it with `truncate --size={len(content) - len(torn)} {path}` and repeat the move"
        )
    entries, head = [], GENESIS
    for number, line in enumerate(lines, start=1):
        entries.append(_entry(path, number, line, head))
        head = hashlib.sha256(line).hexdigest()
    return entries, head


def _entry(path: Path, number: int, line: bytes, head: str) -> Entry:
    try:
        found: Mapping[str, Any] = json.loads(line)
        follows = found["follows"]
        entry = Entry.model_validate({name: value for name, value in found.items() if name != "follows"})
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise RegistryError(f"{path}: line {number} is not a ledger entry ({error}): restore the file") from error
    if follows != head:
        blame = f"line {number - 1} was changed, or lines between them removed" if number > 1 else "lines are missing"
        raise RegistryError(f"{path}: line {number} does not follow what is before it: {blame}. Restore it from a copy")
    return entry


def _sync(directory: Path) -> None:
    """Make a new file's name survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
