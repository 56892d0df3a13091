"""What every kind of validation shares: folds, the holdout, and which rows may be trained on next to a test block.

Source: López de Prado, *Advances in Financial Machine Learning* (2018), ch. 7 (purging and embargo).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bellwether.config.interval import nanoseconds
from bellwether.config.sections import Validation
from bellwether.errors import ConfigError, DataError

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A training and a test set: positions of their rows, both ascending. Numbers count from 1."""

    number: int
    train: Ints
    test: Ints


@dataclass(frozen=True, kw_only=True)
class Split:
    """Folds over the selection rows, and the holdout rows that selection never sees (row positions)."""

    folds: tuple[Fold, ...]
    selection: Ints
    holdout: Ints


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rows folds are made of, and the purge and the embargo between them.

    Parameters
    ----------
    rows : int64 array of shape (n,)
        Their positions in the panel, ascending.
    ts, t1 : int64 arrays of shape (n,)
        When a row is known, and when its outcome is; UTC nanoseconds.
    embargo : int or str
        Unique timestamps of these rows, or a duration such as ``60s``.

    Examples
    --------
    Six rows a nanosecond apart, whose outcomes are known at the next one; a test block of the rows at 3:

    >>> ts = np.arange(6)
    >>> rows = Selection(rows=ts, ts=ts, t1=ts + 1, embargo=1)
    >>> rows.before(3).tolist()
    [True, True, False, False, False, False]
    >>> rows.after(4).tolist()
    [False, False, False, False, False, False]
    """

    rows: Ints
    ts: Ints
    t1: Ints
    embargo: int | str

    @cached_property
    def times(self) -> Ints:
        """Their unique timestamps, ascending."""
        return np.unique(self.ts)

    @cached_property
    def place(self) -> Ints:
        """Which of the unique timestamps each row has (n,)."""
        return np.searchsorted(self.times, self.ts)

    def before(self, start: int) -> Flags:
        """Rows (n,) that end early enough for a test block that starts at ``start``.

        Their outcome is known before it. An embargo in timestamps leaves that many of them out between row and
        test; an embargo in time lies between outcome and test.
        """
        if isinstance(self.embargo, str):
            return np.asarray(self.t1 <= start - nanoseconds(self.embargo))
        first = np.searchsorted(self.times, start)
        return np.asarray((self.t1 < start) & (self.place + self.embargo < first))

    def after(self, end: int) -> Flags:
        """Rows (n,) that come late enough after a test block whose last outcome is known at ``end``.

        An embargo in timestamps leaves that many of them out after ``end``; one in time lies between ``end`` and row.
        """
        if isinstance(self.embargo, str):
            return np.asarray(self.ts >= end + nanoseconds(self.embargo))
        next_one = np.searchsorted(self.times, end, side="right")
        return np.asarray(self.place >= next_one + self.embargo)


def hold_out(ts: Ints, t1: Ints, plan: Validation) -> tuple[Selection, Ints]:
    """Part the selection from the holdout, which is the last ``plan.holdout`` share of the panel's unique timestamps.

    Selection rows are those whose outcome is known before the ``embargo`` timestamps ahead of the holdout, or no later
    than that duration ahead of it.

    Raises
    ------
    DataError
        ``t1`` lies before ``ts``, or the two differ in length.
    ConfigError
        There are too few timestamps for the plan.

    Examples
    --------
    >>> ts = np.arange(10)
    >>> rows, holdout = hold_out(ts, ts + 1, Validation(holdout=0.2, embargo=1))
    >>> rows.rows.tolist(), holdout.tolist()
    ([0, 1, 2, 3, 4, 5], [8, 9])
    """
    _check(ts, t1)
    times = np.unique(ts)
    start = len(times) - max(1, round(plan.holdout * len(times)))
    if start <= (0 if isinstance(plan.embargo, str) else plan.embargo):
        raise too_few(len(times), plan)
    if isinstance(plan.embargo, str):
        kept = t1 <= times[start] - nanoseconds(plan.embargo)
    else:
        kept = t1 < times[start - plan.embargo]
    rows = np.flatnonzero(kept)
    return Selection(rows=rows, ts=ts[rows], t1=t1[rows], embargo=plan.embargo), np.flatnonzero(ts >= times[start])


def fold_stderr(scores: Sequence[float], plan: Validation) -> float:
    """Standard error of the mean of the folds' scores, one score a fold; NaN of a single one.

    Walk-forward folds test different rows: the deviation of their scores over the root of their number. Combinatorial
    folds test each row many times over and are far from being so many: if a fold's score is the mean of its ``k``
    groups', out of ``n``, their variance (as a population) times k / (n - k) is what the scores of the n groups give.
    Both take the blocks of time as independent of each other, and leave out that folds share training rows.

    >>> round(fold_stderr([0.1, 0.2, 0.3], Validation(folds=3)), 4)
    0.0577
    >>> round(fold_stderr([0.15, 0.2, 0.25], Validation(kind="combinatorial", groups=3, test_groups=2)), 4)
    0.0577
    """
    k, n = (plan.test_groups, plan.groups) if plan.kind == "combinatorial" else (1, len(scores))
    return float(np.std(scores) * np.sqrt(k / (n - k))) if len(scores) > 1 else float("nan")


def too_few(n_times: int, plan: Validation) -> ConfigError:
    """Return the error that says how many timestamps there are and what was asked of them."""
    if plan.kind == "combinatorial":
        what, wanted = "groups", f"{plan.groups} groups, {plan.test_groups} of them a test, with holdout {plan.holdout}"
    else:
        what, wanted = "folds", f"{plan.folds} folds with holdout {plan.holdout}, first_train {plan.first_train}"
    return ConfigError(
        f"{n_times} timestamps are too few for {wanted} and embargo {plan.embargo}: ingest a longer history, "
        f"or ask for fewer {what}"
    )


def _check(ts: Ints, t1: Ints) -> None:
    if ts.shape != t1.shape:
        raise DataError(f"ts has {len(ts)} rows and t1 {len(t1)}: give one outcome time for each row")
    if (late := np.flatnonzero(t1 < ts)).size:
        row = int(late[0])
        raise DataError(f"row {row}: its outcome is known at {t1[row]}, before the row itself at {ts[row]}")
