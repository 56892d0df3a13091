"""What the lake holds of each symbol, scanned; only what is new is scanned again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError
from data.features import feature_kind, features_of
from data.features.tables import feature_table, runs
from data.lake import Lake
from data.lake.slices import Slice, read_slice, slices
from data.records import record_kind
from data.targets import target_kind
from data.targets.series import series
from data.wall import times
from serve_apps.book.live import Live, Scanned, live

Enough = Callable[[Live], bool]
"""Whether what is behind the newest row reaches as far back as the models look."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of files that is scanned from an empty state (`data.features.tables.runs`), and what came of it.

    Parameters
    ----------
    files : tuple of str
        Digests of the files scanned, in order.
    last : int
        Time of the last record.
    date : str
        Of the slice whose rows are given.
    state : structured array
        Where the scan ended; never changed.
    rows : Scanned
    """

    files: tuple[str, ...]
    last: int
    date: str
    state: NDArray[np.void]
    rows: Scanned


@dataclass(frozen=True, kw_only=True)
class View:
    """What a replica knows at one version of the lake: the newest row of each symbol, or why there is none.

    A symbol in ``unread`` has what it had before; why is said there.
    """

    stamp: str
    newest: Mapping[str, Live | str]
    latest: int
    unread: Mapping[str, str]


class History:
    """Makes views of the lake.

    A feature set that starts anew with each session is scanned over the newest session only, and over those before it
    where a model looks back so far; any other set over all there is. When files are appended to what was scanned, the
    scan goes on where it ended. Nothing kept is changed: a symbol that cannot be read keeps what it had, and the others
    go on.

    Parameters
    ----------
    recipe : Recipe
    lake : Lake
    enough : callable
        ``enough(live)``; asked until it is, or until there is no more history.
    """

    def __init__(self, recipe: Recipe, lake: Lake, enough: Enough) -> None:
        self.recipe, self.lake, self.enough = recipe, lake, enough
        self.features = features_of(recipe.features)
        self._by_session = feature_kind(recipe.features.kind).by_session
        self._order = record_kind(recipe.record).order
        self._held: dict[str, tuple[Run, ...]] = {}
        self._last: dict[str, Live | str] = {}
        self._unread: dict[str, str] = {}

    def view(self, stamp: str) -> View:
        """Read what is new in the lake."""
        there = slices(self.lake.entries(self.recipe.kind).values())
        for symbol in self.recipe.universe.symbols:
            self._look(symbol, there.get(symbol, ()))
        newest = dict(self._last)
        latest = max((found.ts for found in newest.values() if isinstance(found, Live)), default=0)
        return View(stamp=stamp, newest=newest, latest=latest, unread=dict(self._unread))

    def _look(self, symbol: str, parts: Sequence[Slice]) -> None:
        try:
            self._last[symbol] = self._newest(symbol, parts)
            self._unread.pop(symbol, None)
        except Exception as error:  # whatever is wrong with its records is no business of the others
            why = f"{type(error).__name__}: {error}"
            if self._unread.get(symbol) != why:
                log.exception("%s of %s cannot be read; it stays where it stood", self.recipe.record, symbol)
            self._unread[symbol] = why
            self._last.setdefault(symbol, f"its {self.recipe.record} cannot be read: /ready says why")

    def _newest(self, symbol: str, parts: Sequence[Slice]) -> Live | str:
        if not parts:
            return f"the lake has no {self.recipe.record} of it; ingest them"
        before, found = self._held.get(symbol, ()), list[Run]()
        answer: Live | str = ""
        for run in reversed(list(runs(self.recipe, parts))):
            found.insert(0, self._scanned(symbol, run, before))
            rows = found[0].rows
            for later in found[1:]:
                rows = rows.then(later.rows)
            answer = live(self.recipe, self.features, symbol, rows)
            if isinstance(answer, str) or self.enough(answer):
                break
        self._held[symbol] = tuple(found)
        return answer

    def _scanned(self, symbol: str, run: Sequence[Slice], before: Sequence[Run]) -> Run:
        """A run, going on from the longest part of it that was scanned before."""
        files = tuple(entry.digest for part in run for entry in part.entries)
        begun = max((b for b in before if b.files == files[: len(b.files)]), key=lambda b: len(b.files), default=None)
        if begun is not None and begun.files == files:
            return begun
        if begun is not None:
            rest = _rest(run, len(begun.files))
            if all(part.first > begun.last for part in rest):
                return self._go_on(symbol, rest, begun, files)
        return self._go_on(symbol, run, None, files)

    def _go_on(self, symbol: str, parts: Sequence[Slice], begun: Run | None, files: tuple[str, ...]) -> Run:
        """Scan these files after what ``begun`` was scanned of; only rows that a run gives are kept."""
        state = self.features.start() if begun is None else begun.state.copy()
        rows, date, last = (None, "", 0) if begun is None else (begun.rows, begun.date, begun.last)
        for part in parts:
            scanned = scan(self.recipe, symbol, read_slice(self.lake, part, self._order), state)
            apart = rows is None or (self._by_session and part.date != date)
            rows = scanned if apart or rows is None else rows.then(scanned)
            date, last = part.date, max(last, part.last)
        if rows is None:
            raise DataError(f"a run of {symbol} without files: nothing to scan")
        return Run(files=files, last=last, date=date, state=state, rows=rows)


def scan(recipe: Recipe, symbol: str, records: pa.Table, state: NDArray[np.void]) -> Scanned:
    """Features and prices of records of one symbol; ``state`` is advanced in place."""
    features = feature_table(recipe, records, symbol=symbol, market=None, state=state)
    ts, value = series(recipe.record, target_kind(recipe.target.kind), records)
    x = np.column_stack([column.to_numpy() for column in features.columns[1:]])
    if not np.array_equal(times(features), ts):
        raise DataError(f"{recipe.features.kind} has no row for each of {recipe.record}: it cannot be served from here")
    return Scanned.of(ts, value, x)


def _rest(run: Sequence[Slice], done: int) -> list[Slice]:
    """The files of a run from the ``done``-th on."""
    left = []
    for part in run:
        if len(part.entries) > done:
            left.append(replace(part, entries=part.entries[done:]))
        done = max(done - len(part.entries), 0)
    return left
