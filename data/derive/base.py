"""What a derivation is: one kind of record made of another, such as a book of the messages that changed it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Session


@dataclass(frozen=True, kw_only=True)
class DeriveContext:
    """What a derivation may know besides the records.

    Parameters
    ----------
    symbol : str
        Whose records they are.
    session : Session
        The market's hours.
    interval_ns : int
        Length of the interval of what it makes, nanoseconds; 0 where that has none.
    """

    symbol: str
    session: Session
    interval_ns: int


@dataclass(frozen=True, kw_only=True)
class Derivation:
    """One kind of record made of another.

    Parameters
    ----------
    kind : str
        Key in the table and in recipes.
    takes, gives : str
        Record kinds.
    options : type
        What a recipe may say about it; all have defaults.
    make : callable
        ``make(parts, options, context)``: ``parts`` yields the records of one symbol, partition by partition in the
        order of time; it yields tables of the schema of ``gives``. A record it makes is stamped no earlier than the
        last record it is made of, and depends on no later one. Records are made again when its source changes, or that
        of functions and constants it uses (`data.features.compiled.source_of`).
    uses : tuple of type
        Classes it uses: they have methods, whose source counts too.
    """

    kind: str
    takes: str
    gives: str
    options: type[Frozen]
    make: Callable[[Iterator[pa.Table], Any, DeriveContext], Iterator[pa.Table]]
    uses: tuple[type, ...] = ()

    @property
    def definition(self) -> str:
        """Source text of everything its records are computed by."""
        from data.features.compiled import source_of

        methods: list[Any] = [m for used in self.uses for _, m in inspect.getmembers(used, inspect.isfunction)]
        return "\n".join(source_of(function) for function in (self.make, *methods))
