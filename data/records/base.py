"""What a record kind is: a schema, what makes two rows the same record, and the rules a row must meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.sections import Session

TIME = pa.timestamp("ns", tz="UTC")

NO_NUMBER = -(2**63)
"""The ``seq`` of a raw row that should have one, of a feed that numbers its records, and whose cell cannot be read."""

Columns = Mapping[str, NDArray[Any]]
"""Raw rows by column: numbers as float64 (NaN for null), times as int64 nanoseconds (0 for null), text as object."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RuleContext:
    """What a rule may know besides the rows.

    Parameters
    ----------
    session : Session
        The market's hours.
    now : int
        The clock, UTC nanoseconds: a record that becomes visible later is not to be believed yet.
    """

    session: Session
    now: int


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A reason to reject a row.

    Parameters
    ----------
    reason : str
        What quarantine says, e.g. ``"non_positive_price"``.
    broken : callable
        ``broken(columns, context)`` returns a flag a row. NaN in a nullable column is no fault by itself.
    """

    reason: str
    broken: Callable[[Columns, RuleContext], Flags]


@dataclass(frozen=True, kw_only=True)
class RecordKind:
    """A kind of market record.

    Parameters
    ----------
    name : str
        Key in the table, and first part of the kind's name in the lake.
    schema : pyarrow.Schema
        Of records from the lake onwards; starts with ``symbol`` and ``ts_event``. What is not nullable must be there.
    key : tuple of str
        Columns that, with the symbol, say which record a row is. A second row with a key is a ``duplicate``, or a
        ``conflicting_duplicate`` where it says something else. Where it is ``ts_event`` and ``seq``, a source that has
        no numbers may leave ``seq`` null: see `numbers`.
    order : tuple of str
        Columns that records of a symbol are sorted by in the lake: those of the key, ``ts_event`` first.
    rules : tuple of Rule
        Tried in this order after the check for missing values: a row is rejected for the first it breaks.
    dated : bool
        The lake keeps one partition a symbol and UTC date of ``ts_event`` (events); else one a symbol (intervals).
    facts : tuple of tuple of str
        Columns that say something together, and of which a row may say nothing: null, or 0 in a side. Where a record
        is revised by a row that says nothing of them, they stay as they were; other columns are the new row's.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...] = ("ts_event",)
    order: tuple[str, ...] = ("ts_event",)
    rules: tuple[Rule, ...] = ()
    dated: bool = False
    facts: tuple[tuple[str, ...], ...] = ()

    @property
    def numbers(self) -> bool:
        """Whether records without a ``seq`` are told apart by what they say.

        Rows of a symbol and instant that say the same are then one record; those that differ are different ones, and
        the lake numbers them in the order they come. A source numbers all its records of a symbol, or none; of one
        that does, a row whose number is missing or cannot be read has `NO_NUMBER`, and is rejected.
        """
        return self.key == ("ts_event", "seq")

    def sampled(self) -> RecordKind:
        """Return the kind of its records that are taken once an interval: one a time, whatever their number."""
        return replace(self, key=("ts_event",), order=("ts_event",)) if self.numbers else self

    @cached_property
    def raw(self) -> pa.Schema:
        """Rows as they come: anything may be missing or wrong, and each knows which file and row it is from."""
        fields = [field.with_nullable(True) for field in self.schema]
        return pa.schema(
            [
                *fields,
                pa.field("file", pa.string(), metadata={"is": "file the row was read from"}),
                pa.field("row", pa.int64(), metadata={"is": "number of the record in it, from 1; a header is none"}),
            ]
        )
