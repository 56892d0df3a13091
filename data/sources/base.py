"""What a source is: something that yields raw rows and says where each came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Session
from data.records import record_kind

RAW = record_kind("bars").raw
"""Bars as they come: anything may be missing or wrong, and each row knows where it is from."""


def one_feed(options: Any) -> str:
    """Say that all options of a source read the same series: files of one feed, whichever days they hold."""
    return ""


@dataclass(frozen=True, kw_only=True)
class SourceContext:
    """What a source needs to know about what it is read for.

    Parameters
    ----------
    root : Path
        Relative paths are below it.
    session : Session
        The market's hours.
    interval_ns : int
        Length of a bar, or of the interval a factor is about, in nanoseconds; 0 for events, which have none.
    record : str
        Which of the source's record kinds is wanted.
    """

    root: Path
    session: Session
    interval_ns: int
    record: str = "bars"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A place records come from.

    Parameters
    ----------
    kind : str
        Key in the source table and in recipes.
    options : type
        What a recipe may say about it.
    read : callable
        ``read(options, context)`` yields tables of schema ``record_kind(context.record).raw``, one after the other
        so that no source need fit into memory. ``ts_event`` of a bar is its close. A row that is wrong is yielded
        as it is: judging rows is `data.intake.quality`'s work. Nothing to read raises `bellwether.errors.EmptySource`.
    identity : callable
        ``identity(options)`` is equal for options whose records of a symbol belong to one series. A source that makes
        other records for other options tells them apart here; by default all its records go together.
    records : tuple of str
        The record kinds it can be read for, in the order they are ingested when none is asked for.
    sampled : tuple of str
        Those of them that are events, and that files may hold once an interval instead: snapshots of books.
    """

    kind: str
    options: type[Frozen]
    read: Callable[[Any, SourceContext], Iterator[pa.Table]]
    identity: Callable[[Any], str] = one_feed
    records: tuple[str, ...] = ("bars",)
    sampled: tuple[str, ...] = ()

    def named(self, options: Any) -> str:
        """Return what the lake notes of bars read with these options: the kind, and what the options make of it."""
        told = self.identity(options)
        return f"{self.kind}:{told}" if told else self.kind
