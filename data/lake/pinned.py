"""A lake that stands still: for a job that reads it more than once and must see the same each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from data.lake.lake import Lake
from data.lake.manifest import Parts


class PinnedLake(Lake):
    """A lake in which each kind stays as it is when it is first looked at, whatever others commit afterwards.

    What is committed through it goes into the lake, on top of what others have committed, and is seen from then on.

    Files of the lake never change, and what a manifest names no more stays for the grace period of a vacuum. So
    compaction, revisions and replacements do not disturb it; a vacuum does once the files it reads have been out of
    use for longer than that, and reading one of those says that it is gone.

    Parameters
    ----------
    uri : str
        As of `data.lake.Lake`.
    held : mapping of str to bytes, optional
        Manifests of kinds that have been looked at; they travel with it to other processes.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from tempfile import mkdtemp
    >>> lake = Lake(mkdtemp())
    >>> def post(*close: float) -> None:
    ...     _ = lake.commit("bars/1h", [lake.stage("bars/1h", "A", pa.table({"close": close}))])
    >>> post(1.0)
    >>> pinned = PinnedLake(lake.uri)
    >>> pinned.read("bars/1h", "A").num_rows
    1
    >>> post(1.0, 2.0)
    >>> pinned.read("bars/1h", "A").num_rows, lake.read("bars/1h", "A").num_rows
    (1, 2)
    """

    def __init__(self, uri: str, held: Mapping[str, bytes | None] | None = None) -> None:
        super().__init__(uri)
        self._held = dict(held or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return PinnedLake, (self.uri, self._held)

    def _content(self, kind: str) -> bytes | None:
        if kind not in self._held:
            self._held[kind] = super()._content(kind)
        return self._held[kind]

    def _updated(self, kind: str, change: Callable[[Parts], None]) -> bytes | None:
        content = self._held[kind] = super()._updated(kind, change)
        return content
