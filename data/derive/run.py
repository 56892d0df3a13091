"""Running a recipe's derivations: records in the lake, made of other records in the lake."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from bellwether.config.interval import nanoseconds
from bellwether.config.recipe import Recipe, lake_kind
from bellwether.config.sections import Session
from bellwether.errors import ConfigError, DataError
from data.arrow import Column
from data.derive import derivation
from data.derive.base import Derivation, DeriveContext
from data.intake.batch import SOURCE, Batch, Progress, listed
from data.intake.report import DeriveReport
from data.intake.spool import Spool
from data.lake import Lake
from data.lake.slices import Slice, read_slice, slices
from data.options import checked
from data.records import RecordKind, record_kind

SERIES, INPUTS = "series", "inputs"
"""Keys in the note of a derived entry: the source and derivations without their options, and a digest of everything the
symbol's records are a function of."""

Slices = Mapping[str, Sequence[Slice]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One derivation of a recipe: what it makes of what, and how.

    Parameters
    ----------
    found : Derivation
        From the table.
    options : object
        Its options, checked.
    takes, gives : str
        Kinds in the lake.
    interval : str, optional
        Of what it gives.
    """

    found: Derivation
    options: Any
    takes: str
    gives: str
    interval: str | None

    def identity(self, source: str) -> str:
        """Return the identity of what is made of records of a source."""
        return f"{source} > {self.found.kind}:{_hash(self.options.model_dump_json())[:12]}"

    def series(self, series: str) -> str:
        """Return the part of the identity that stays the same when options change."""
        return f"{series} > {self.found.kind}"

    def make(self, parts: Iterator[pa.Table], symbol: str, session: Session) -> Iterator[pa.Table]:
        """Make the records of a symbol."""
        interval_ns = nanoseconds(self.interval) if self.interval else 0
        context = DeriveContext(symbol=symbol, session=session, interval_ns=interval_ns)
        return self.found.make(parts, self.options, context)


def taken(recipe: Recipe) -> tuple[str, str | None]:
    """Return the record kind and interval of what a recipe's source is read for.

    It is what the first derivation takes, or the recipe's own record where nothing is derived.
    """
    if not recipe.derive:
        return recipe.record, recipe.interval
    record = derivation(recipe.derive[0].kind).takes
    return record, recipe.interval if record in ("bars", "factors") else None


def steps(recipe: Recipe) -> tuple[Step, ...]:
    """Return a recipe's derivations in their order, checked.

    Raises
    ------
    ConfigError
        There is no such derivation, an option is wrong, one takes other records than the one before gives, the last
        gives others than the recipe's, or one would write what it is made of.
    """
    record, interval = taken(recipe)
    kinds, chain = [lake_kind(record, interval)], list[Step]()
    for number, part in enumerate(recipe.derive, 1):
        found = derivation(part.kind)
        where = f"recipe {recipe.name}: derivation {part.kind!r}"
        if found.takes != record:
            raise ConfigError(f"{where} takes {found.takes}, and the one before it gives {record}")
        record, interval = found.gives, recipe.interval if number == len(recipe.derive) else None
        kind = lake_kind(record, interval)
        if kind in kinds:
            raise ConfigError(f"{where} would write {kind}, which it is made of; say the recipe's `interval`")
        options = checked(f"derivation {part.kind!r}", found.options, part.options)
        chain.append(Step(found=found, options=options, takes=kinds[-1], gives=kind, interval=interval))
        kinds.append(kind)
    if record != recipe.record:
        raise ConfigError(f"recipe {recipe.name}: its derivations give {record}, and its record is {recipe.record}")
    return tuple(chain)


def derive(recipe: Recipe, source: str, lake: Lake, tell: Progress, now: int) -> tuple[DeriveReport, ...]:
    """Bring what a recipe derives of its source's records up to date in the lake, symbol by symbol.

    A symbol's records are made again, all of them, when any it is made of, the derivation (its code too), its options,
    the session or the interval has changed, or when some were not to be seen yet; else they are left alone. Memory
    holds a partition of a symbol at a time. Each kind is committed at once, when all of its symbols are made; what
    breaks a rule of the kind goes to quarantine, in the place of what of the symbol was there.

    Parameters
    ----------
    source : str
        Identity of the source: only its records are derived from.
    tell : callable
        Told ``(stage, rows)`` as rows are "derived", "screened" and "written".
    now : int
        The clock, UTC nanoseconds.

    Raises
    ------
    ConfigError
        See `steps`.
    DataError
        The lake has such records of a symbol from another source or derivation, or they changed meanwhile.
    """
    reports, identity, series = [], source, source
    for step in steps(recipe):
        inputs = _inputs(lake, step, identity)
        identity, series = step.identity(identity), step.series(series)
        reports.append(_run(step, inputs, identity, series, recipe, lake, tell, now))
    return tuple(reports)


def _inputs(lake: Lake, step: Step, source: str) -> Slices:
    entries = lake.entries(step.takes).values()
    return slices(entry for entry in entries if entry.note.get(SOURCE) == source)


def _run(
    step: Step, inputs: Slices, identity: str, series: str, recipe: Recipe, lake: Lake, tell: Progress, now: int
) -> DeriveReport:
    record = record_kind(step.found.gives)
    before = lake.parts(step.gives)
    there = slices(entry for entries in before.values() for entry in entries)
    _refuse_others(step, {symbol: there[symbol] for symbol in inputs if symbol in there}, series)
    made_by = f"{identity} {_hash(step.found.definition)}"
    digests = {symbol: _digest(parts, made_by, recipe.session) for symbol, parts in inputs.items()}
    todo = [symbol for symbol in inputs if not _up_to_date(there.get(symbol, ()), digests[symbol])]
    with TemporaryDirectory(prefix="bellwether-derive-") as folder:
        batch = Batch(
            record=record,
            kind=step.gives,
            timed=step.interval is not None,
            identity=identity,
            before=before,
            session=recipe.session,
            now=now,
            folder=Path(folder),
            notes=lambda symbol: {SERIES: series, INPUTS: "" if symbol in batch.early else digests[symbol]},
            instead=frozenset(todo),
        )
        made = Spool(Path(folder) / "made", dated=record.dated)
        for symbol in todo:
            for table in _made(step, inputs[symbol], recipe.session, lake):
                batch.gather(made, _raw(record, table, identity, batch.rows_in), tell, "derived")
        batch.judge_all(lake, made, tell)
        report = batch.report(lake, batch.write(lake, tell))
    return DeriveReport(**vars(report), up_to_date=tuple(symbol for symbol in inputs if symbol not in todo))


def _made(step: Step, parts: Sequence[Slice], session: Session, lake: Lake) -> Iterator[pa.Table]:
    order = record_kind(step.found.takes).order
    return step.make((read_slice(lake, part, order) for part in parts), parts[0].symbol, session)


def _raw(record: RecordKind, table: pa.Table, identity: str, before: int) -> pa.Table:
    """Return derived records as rows that are still to be judged; their file is what made them."""
    n = table.num_rows
    origin: list[Column] = [pa.repeat(identity, n), pa.array(np.arange(before + 1, before + n + 1))]
    return pa.table([*table.select(record.schema.names).columns, *origin], schema=record.raw)


def _refuse_others(step: Step, there: Slices, series: str) -> None:
    """Raise `DataError` if the lake has records of other making in the place of those to be made."""
    noted = {symbol: {e.note.get(SERIES) for part in parts for e in part.entries} for symbol, parts in there.items()}
    if others := [symbol for symbol, found in noted.items() if found != {series}]:
        raise DataError(
            f"the lake has {step.gives} of {listed(others)} that are not {series}; those would be lost. Ingest into "
            "another lake: say another --lake, or set another BELLWETHER_HOME"
        )


def _digest(parts: Sequence[Slice], made_by: str, session: Session) -> str:
    return _hash(json.dumps([made_by, session.model_dump_json(), *(part.digest for part in parts)]))


def _up_to_date(parts: Sequence[Slice], digest: str) -> bool:
    noted = {entry.note.get(INPUTS) for part in parts for entry in part.entries}
    return noted == {digest}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
