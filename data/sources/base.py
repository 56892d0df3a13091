"""What a source is: something that yields raw rows and says where each came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from pydantic import ValidationError

from bellwether.config.recipe import Frozen, Session
from bellwether.errors import ConfigError
from data.records import BARS

RAW: pa.Schema = pa.schema(
    [
        *(field.with_nullable(True) for field in BARS),
        pa.field("source", pa.string(), metadata={"is": "file the row was read from"}),
        pa.field("row", pa.int64(), metadata={"is": "number of the record in it, from 1; a header is no record"}),
    ]
)
"""Bars as they come: anything may be missing or wrong, and each row knows where it is from."""

Options = TypeVar("Options", bound=Frozen)


def one_feed(options: Any) -> str:
    """Say that all options of a source read the same series: files of one feed, whichever days they hold."""
    return ""


@dataclass(frozen=True, kw_only=True)
class SourceContext:
    """What a source needs to know about the recipe it is read for.

    Parameters
    ----------
    root : Path
        Relative paths are below it.
    session : Session
        The market's hours.
    interval_ns : int
        Length of a bar in nanoseconds.
    """

    root: Path
    session: Session
    interval_ns: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """A place bars come from.

    Parameters
    ----------
    kind : str
        Key in the source table and in recipes.
    options : type
        What a recipe may say about it.
    read : callable
        ``read(options, context)`` yields tables of schema `RAW`, one after the other so that no source need fit
        into memory. ``ts_event`` is the close of the bar in UTC. A row that is wrong is yielded as it is: judging
        rows is `data.quality.screen`'s work. Nothing to read raises `bellwether.errors.EmptySource`.
    identity : callable
        ``identity(options)`` is equal for options whose bars of a symbol belong to one series. A source that makes
        other bars for other options tells them apart here; by default all its bars go together.
    """

    kind: str
    options: type[Frozen]
    read: Callable[[Any, SourceContext], Iterator[pa.Table]]
    identity: Callable[[Any], str] = one_feed

    def named(self, options: Any) -> str:
        """Return what the lake notes of bars read with these options: the kind, and what the options make of it."""
        told = self.identity(options)
        return f"{self.kind}:{told}" if told else self.kind


def checked(what: str, options: type[Options], given: Mapping[str, Any]) -> Options:
    """Return a recipe's options as the type an entry of a table declares.

    Raises
    ------
    ConfigError
        The message names each wrong option.

    >>> class Seed(Frozen):
    ...     seed: int
    >>> checked("source 'dice'", Seed, {"sed": 1})
    Traceback (most recent call last):
    ...
    bellwether.errors.ConfigError: options of source 'dice': seed: Field required; sed: Extra inputs are not permitted
    """
    try:
        return options.model_validate(dict(given))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'together'}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"options of {what}: {wrong}") from error
