"""Purged walk-forward validation on the unique timestamps of a pooled panel.

The panel pools all components, so a timestamp is a group of rows: rows of one timestamp never part. The last
timestamps are the holdout, which selection never sees. Before it, training always ends before its test block
begins, with two gaps between them:

- **purge**: a training row's outcome is known (``t1``) before the first test timestamp, so no label overlaps the test;
- **embargo**: a number of timestamps right before the test block is left out of training.

Source: López de Prado, *Advances in Financial Machine Learning* (2018), ch. 7 (purging and embargo).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Validation
from bellwether.errors import ConfigError, DataError

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One step of the walk: positions of its training rows and of its test rows, both ascending."""

    number: int
    train: Ints
    test: Ints


@dataclass(frozen=True, kw_only=True)
class Split:
    """Folds over the selection rows, and the holdout rows that selection never sees (row positions)."""

    folds: tuple[Fold, ...]
    selection: Ints
    holdout: Ints


def split(ts: Ints, t1: Ints, plan: Validation) -> Split:
    """Cut a pooled panel into walk-forward folds and a holdout.

    Parameters
    ----------
    ts : int64 array of shape (n,)
        When a row's features are known (UTC ns). Any order; rows of one timestamp stay together.
    t1 : int64 array of shape (n,)
        When a row's outcome is known; not before ``ts``.
    plan : Validation
        The holdout is the last ``holdout`` share of unique timestamps. Selection rows are those whose outcome is
        known ``embargo`` timestamps before the holdout starts. The first ``first_train`` share of the selection's
        timestamps is only ever trained on; the rest is cut into ``folds`` test blocks of equal length (within one
        timestamp), each trained on all that comes before it, less the purge and the embargo.

    Raises
    ------
    DataError
        ``t1`` lies before ``ts``, or the two differ in length.
    ConfigError
        There are too few timestamps for the plan.

    Examples
    --------
    >>> ts = np.arange(10, dtype=np.int64)
    >>> cut = split(ts, ts + 1, Validation(folds=2, holdout=0.2, embargo=1, first_train=0.5))
    >>> cut.holdout.tolist(), cut.selection.tolist()
    ([8, 9], [0, 1, 2, 3, 4, 5])
    >>> [(f.train.tolist(), f.test.tolist()) for f in cut.folds]
    [([0, 1], [3, 4]), ([0, 1, 2, 3], [5])]
    """
    _check(ts, t1)
    times = np.unique(ts)
    start = len(times) - max(1, round(plan.holdout * len(times)))
    if start <= plan.embargo:
        raise _too_few(len(times), plan)
    selection = np.flatnonzero(t1 < times[start - plan.embargo])
    return Split(
        folds=_folds(ts, t1, selection, plan, len(times)),
        selection=selection,
        holdout=np.flatnonzero(ts >= times[start]),
    )


def _folds(ts: Ints, t1: Ints, selection: Ints, plan: Validation, n_times: int) -> tuple[Fold, ...]:
    span = np.unique(ts[selection])
    first = round(plan.first_train * len(span))
    if len(span) - first < plan.folds or first <= plan.embargo:
        raise _too_few(n_times, plan)
    blocks = np.array_split(np.arange(first, len(span)), plan.folds)
    place = np.searchsorted(span, ts[selection])
    folds = []
    for number, block in enumerate(blocks, start=1):
        early = (place + plan.embargo < block[0]) & (t1[selection] < span[block[0]])
        inside = (place >= block[0]) & (place <= block[-1])
        if not early.any():  # outcomes that take longer than the first training segment lasts
            raise _too_few(n_times, plan)
        folds.append(Fold(number=number, train=selection[early], test=selection[inside]))
    return tuple(folds)


def _check(ts: Ints, t1: Ints) -> None:
    if ts.shape != t1.shape:
        raise DataError(f"ts has {len(ts)} rows and t1 {len(t1)}: give one outcome time for each row")
    if (late := np.flatnonzero(t1 < ts)).size:
        row = int(late[0])
        raise DataError(f"row {row}: its outcome is known at {t1[row]}, before the row itself at {ts[row]}")


def _too_few(n_times: int, plan: Validation) -> ConfigError:
    return ConfigError(
        f"{n_times} timestamps are too few for {plan.folds} folds with holdout {plan.holdout}, first_train "
        f"{plan.first_train} and embargo {plan.embargo}: ingest a longer history, or ask for fewer folds"
    )
