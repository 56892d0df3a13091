"""Purged walk-forward validation on the unique timestamps of a pooled panel, and the way in to every kind.

The panel pools all components, so a timestamp is a group of rows: rows of one timestamp never part. The last
timestamps are the holdout, which selection never sees. Before it, training always ends before its test block
begins, with two gaps between them:

- **purge**: a training row's outcome is known (``t1``) before the first test timestamp, so no label overlaps the test;
- **embargo**: a number of timestamps right before the test block, or a duration, is left out of training.

Source: López de Prado, *Advances in Financial Machine Learning* (2018), ch. 7 (purging and embargo).
"""

from __future__ import annotations

import numpy as np

from bellwether.config.sections import Validation
from bellwether.validation.combinatorial import combinatorial_folds
from bellwether.validation.folds import Fold, Ints, Selection, Split, hold_out, too_few

__all__ = ["Fold", "Split", "split", "walk_forward_folds"]


def split(ts: Ints, t1: Ints, plan: Validation) -> Split:
    """Cut a pooled panel into folds of the plan's kind and a holdout.

    The holdout and the selection do not depend on the kind. Walk-forward folds never look ahead; combinatorial ones
    train on rows after their test blocks too.

    Parameters
    ----------
    ts : int64 array of shape (n,)
        When a row's features are known (UTC ns). Any order; rows of one timestamp stay together.
    t1 : int64 array of shape (n,)
        When a row's outcome is known; not before ``ts``.
    plan : Validation
        The holdout is the last ``holdout`` share of unique timestamps. Selection rows are those whose outcome is
        known ``embargo`` timestamps before the holdout starts; an embargo in time ends at least that long before it.

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

    Rows a minute apart, and two minutes between the last outcome and the test:

    >>> minute = 60_000_000_000
    >>> plan = Validation(folds=2, holdout=0.2, embargo="2min", first_train=0.5)
    >>> [(f.train.tolist(), f.test.tolist()) for f in split(ts * minute, (ts + 1) * minute, plan).folds]
    [([0], [3, 4]), ([0, 1, 2], [5])]
    """
    selection, holdout = hold_out(ts, t1, plan)
    cut = combinatorial_folds if plan.kind == "combinatorial" else walk_forward_folds
    if not (folds := cut(selection, plan)):
        raise too_few(len(np.unique(ts)), plan)
    return Split(folds=folds, selection=selection.rows, holdout=holdout)


def walk_forward_folds(selection: Selection, plan: Validation) -> tuple[Fold, ...]:
    """Test blocks in time order, each trained on all that comes before it less the purge and the embargo.

    The first ``first_train`` share of the selection's timestamps is only ever trained on; the rest is cut into
    ``folds`` test blocks of equal length (within one timestamp). No folds are returned where there are too few
    timestamps for that, or nothing to train the first on.

    >>> ts = np.arange(6)
    >>> rows = Selection(rows=ts, ts=ts, t1=ts + 1, embargo=0)
    >>> [(f.train.tolist(), f.test.tolist()) for f in walk_forward_folds(rows, Validation(folds=2, first_train=0.5))]
    [([0, 1], [3, 4]), ([0, 1, 2, 3], [5])]
    """
    times = selection.times
    first = round(plan.first_train * len(times))
    if len(times) - first < plan.folds:
        return ()
    folds = []
    for number, block in enumerate(np.array_split(np.arange(first, len(times)), plan.folds), start=1):
        early = selection.before(int(times[block[0]]))
        inside = (selection.place >= block[0]) & (selection.place <= block[-1])
        if not early.any():  # outcomes that take longer than the first training segment lasts, or a long embargo
            return ()
        folds.append(Fold(number=number, train=selection.rows[early], test=selection.rows[inside]))
    return tuple(folds)
