"""Files of a lake that nobody can be reading any more."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from data.lake.lake import MANIFEST, Lake
from data.lake.pinned import PinnedLake
from data.lake.storage import StoredFile

GRACE_S = 24 * 3600.0
"""Seconds a file stays after it was written or was last named: readers of an older manifest may be at it."""

_PARTITION = r"symbol=[^/]+/(?:date=[^/]+/)?"
_TABLE = re.compile(rf"(?P<kind>.+?)/{_PARTITION}[0-9a-f]{{64}}\.parquet")
_DRAFT = re.compile(rf"(?P<kind>.+?)/(?:{_PARTITION})?\.[^/]+\.[0-9a-f]{{32}}\.tmp")


@dataclass(frozen=True, kw_only=True)
class Vacuumed:
    """What a vacuum removed, or would remove.

    Parameters
    ----------
    files : dict of str to tuple of str
        Their paths below the lake's root, by kind.
    size : int
        Bytes in all.
    """

    files: dict[str, tuple[str, ...]]
    size: int


def vacuum(
    lake: Lake, kind: str | None = None, *, grace_s: float = GRACE_S, dry_run: bool = True, now: float | None = None
) -> Vacuumed:
    """Remove tables that no manifest names, and drafts of writers that were killed, once they are old enough.

    A table is as old as the time since it was staged or, where the storage can note that, since a manifest named it
    last. An object store cannot, so there a kind is left alone until its manifest is as old as ``grace_s`` too; let
    no process commit the kind meanwhile. Files that are neither are never touched, nor is one a manifest names.

    Parameters
    ----------
    lake : Lake
        The lake.
    kind : str, optional
        Only this kind.
    grace_s : float
        Least age in seconds. It must be longer than any reader holds a manifest and any writer takes from staging
        to committing.
    dry_run : bool
        Remove nothing, only say what would go.
    now : float, optional
        The clock, seconds since 1970.
    """
    if isinstance(lake, PinnedLake):  # by one that stands still, what was committed since would look out of use
        lake = Lake(lake.uri)
    before = (time.time() if now is None else now) - grace_s
    listed = list(lake.storage.files())
    files, size = dict[str, tuple[str, ...]](), 0
    for name, candidates in sorted(out_of_use(lake, listed, before).items()):
        if kind in (None, name):
            gone = candidates if dry_run else _removed(lake, name, candidates, before)
            files[name] = tuple(sorted(file.name for file in gone))
            size += sum(file.size for file in gone)
    return Vacuumed(files={name: gone for name, gone in files.items() if gone}, size=size)


def unnamed(lake: Lake, files: Iterable[StoredFile]) -> dict[str, list[StoredFile]]:
    """Return by kind the tables and drafts among some files that its manifest does not name."""
    found: dict[str, list[StoredFile]] = {}
    for file in files:
        if match := _TABLE.fullmatch(file.name) or _DRAFT.fullmatch(file.name):
            found.setdefault(unquote(match["kind"]), []).append(file)
    return {kind: _unnamed(lake, kind, candidates) for kind, candidates in found.items()}


def out_of_use(lake: Lake, files: Collection[StoredFile], before: float) -> dict[str, list[StoredFile]]:
    """Return those of `unnamed` that a vacuum removes: unused since before a time, seconds since 1970."""
    manifests = {unquote(f.name.removesuffix(f"/{MANIFEST}")): f for f in files if f.name.endswith(f"/{MANIFEST}")}
    return {
        kind: [file for file in candidates if _old(file, before)]
        for kind, candidates in unnamed(lake, files).items()
        if lake.storage.local or kind not in manifests or _old(manifests[kind], before)
    }


def _removed(lake: Lake, kind: str, files: Iterable[StoredFile], before: float) -> list[StoredFile]:
    """Remove what is out of use still, while nobody commits."""
    with lake.lock(kind):
        now = lake.storage.find(file.name for file in files)
        gone = [file for file in _unnamed(lake, kind, now.values()) if _old(file, before)]
        for file in gone:
            lake.storage.remove(file.name)
    return gone


def _unnamed(lake: Lake, kind: str, files: Iterable[StoredFile]) -> list[StoredFile]:
    named = {entry.path for entry in lake.entries(kind).values()}
    return [file for file in files if file.name not in named]


def _old(file: StoredFile, before: float) -> bool:
    """Tell if a file was last changed before a time; one of unknown age was not."""
    return file.changed is not None and file.changed <= before
