"""Rows that a client sends: judged like those of a source, and scanned from an empty state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bellwether.config.recipe import Recipe
from bellwether.errors import DataError
from bellwether.models.artefact import Contract
from bellwether.trading_time import iso
from data.features.base import FeatureSet, Ints
from data.intake.screen import screen
from data.records import record_kind
from data.records.base import RuleContext
from data.wall import DAY
from serve_apps.book.history import scan
from serve_apps.book.live import Live, Short, live
from serve_apps.book.schemas import PostedBook, raw_rows

YEAR, LOOSE = 366 * DAY, 7
"""What a window may span: a year, or so many times what its rows would without nights and weekends."""

NOBODY = "posted"
"""The symbol of a book that belongs to none."""

WHY = {
    "not_yet": "it has not happened yet",
    "duplicate": "it says what an earlier one says at the same time; send each once",
    "conflicting_duplicate": "an earlier one is of the same time and says something else",
}
"""What is said of reasons that do not speak for themselves."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Why posted rows cannot be predicted from: which of them, if it is one, and what is wrong."""

    row: int | None
    message: str


def posted(
    recipe: Recipe,
    features: FeatureSet,
    books: tuple[PostedBook, ...],
    symbol: str | None,
    now: int,
    contract: Contract,
) -> Live | Refused:
    """The last of the rows a client sent, with as many behind it as the model looks back on.

    Parameters
    ----------
    now : int
        UTC nanoseconds; a row after it has not happened.
    """
    if (came := len(books)) < (need := least(recipe, contract)):
        return Refused(row=None, message=f"{need} rows are needed, the newest last; {came} came")
    ts = np.array([book.ts_event for book in books], np.int64)
    if refused := _misplaced(ts, recipe.interval_ns):
        return refused
    name = symbol or NOBODY
    kind = record_kind(recipe.record)
    kind = kind.sampled() if recipe.interval else kind
    screened = screen(kind, raw_rows(books, name), RuleContext(session=recipe.session, now=now))
    if screened.rejected.num_rows:
        row, reason = int(screened.rejected["row"][0].as_py()) - 1, screened.rejected["reason"][0].as_py()
        why = WHY.get(reason, "ingest would reject it too")
        return Refused(row=row, message=f"of {iso(int(ts[row]))}: {reason.replace('_', ' ')}; {why}")
    try:
        with np.errstate(all="ignore"):  # numbers of any size may come; what overflows is found out as not known
            found = live(recipe, features, name, scan(recipe, name, screened.kept, features.start()))
    except DataError as error:  # such as times that the exchange's calendar does not reach
        return Refused(row=None, message=str(error))
    if isinstance(found, str):
        return Refused(row=None, message=f"{found}; send a longer history")
    seen = found.seen(contract)
    return Refused(row=None, message=f"{seen}; send a longer history") if isinstance(seen, Short) else found


def least(recipe: Recipe, contract: Contract) -> int:
    """Rows without which no model like this can answer: warm-up, and what it looks back on.

    Known outcomes reach further back than rows, by how long each takes to be known; where that is a span of time, the
    number of rows is not known beforehand.
    """
    if contract.reads == "features":
        return contract.warmup + contract.lookback
    each = contract.horizon * contract.steps if contract.level else 1
    return contract.warmup + contract.lookback * each + 1


def _misplaced(ts: Ints, interval_ns: int) -> Refused | None:
    """Rows that are earlier than the one before, closer to it than the interval they are taken in, or years apart."""
    gaps = np.diff(ts)
    if ts[-1] - ts[0] > max(YEAR, LOOSE * interval_ns * len(ts)):
        return Refused(row=None, message=f"they reach from {iso(int(ts[0]))} to {iso(int(ts[-1]))}: send one stretch")
    if (falls := np.flatnonzero(gaps < 0)).size:
        row = int(falls[0]) + 1
        before = iso(int(ts[row - 1]))
        return Refused(row=row, message=f"of {iso(int(ts[row]))} is earlier than {before} before it; oldest first")
    if interval_ns and (close := np.flatnonzero(gaps < interval_ns)).size:
        row = int(close[0]) + 1
        seconds, every = gaps[row - 1] / 1e9, interval_ns / 1e9
        return Refused(row=row, message=f"comes {seconds:g} s after the one before; they are taken every {every:g} s")
    return None
