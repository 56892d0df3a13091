"""Combinatorial purged cross-validation: every few groups of time are tested on the rest, and make many histories.

Timestamps are cut into contiguous groups. Every combination of ``test_groups`` of them is a fold, and the test
predictions of all folds assemble into several paths: each a prediction of every row by a model that was not trained
on it. A walk-forward run is one history and can be lucky; the spread over paths says how lucky.

**Look-ahead**: a fold trains on rows after its test groups as well as before them. What it measures is how well a
relation holds across periods, not what could have been traded; features that average over a long past still carry the
test period into the rows after it, which is what the embargo is for. Judge on the holdout, which is in no fold and
which every fold precedes.

The folds of one plan share most of their training rows and each row is tested many times over: their scores are far
from independent, and the standard error of their mean is not their deviation over the root of their number
(`bellwether.validation.folds.fold_stderr`).

Source: López de Prado, *Advances in Financial Machine Learning* (2018), ch. 12.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.config.sections import Validation
from bellwether.errors import DataError
from bellwether.validation.folds import Flags, Fold, Ints, Selection, Split


def combinatorial_folds(selection: Selection, plan: Validation) -> tuple[Fold, ...]:
    """Every combination of ``plan.test_groups`` groups as a test, in lexicographic order; test rows are ascending.

    A training row's interval ``[ts, t1]`` meets no interval from the first timestamp of a test group to the last
    outcome of its rows, and keeps the embargo before and after each. There are C(groups, test_groups) folds; none are
    returned where there are fewer timestamps than groups, or where one of them has nothing to train on.

    Look-ahead: rows after a test group are trained on.

    >>> ts = np.arange(9)
    >>> rows = Selection(rows=ts, ts=ts, t1=ts + 1, embargo=0)
    >>> found = combinatorial_folds(rows, Validation(kind="combinatorial", groups=3, test_groups=1))
    >>> [(f.train.tolist(), f.test.tolist()) for f in found]
    [([4, 5, 6, 7, 8], [0, 1, 2]), ([0, 1, 7, 8], [3, 4, 5]), ([0, 1, 2, 3, 4], [6, 7, 8])]
    """
    if len(selection.times) < plan.groups:
        return ()
    group = _group_of(selection.ts, plan.groups)
    apart = [_apart(selection, group == number) for number in range(plan.groups)]
    folds = []
    for number, chosen in enumerate(combinations(range(plan.groups), plan.test_groups), start=1):
        train = np.logical_and.reduce([apart[k] for k in chosen])
        if not train.any():
            return ()
        tested = np.isin(group, chosen)
        folds.append(Fold(number=number, train=selection.rows[train], test=selection.rows[tested]))
    return tuple(folds)


def paths(groups: int, test_groups: int) -> Ints:
    """Which fold supplies each group of each path: positions in `Split.folds`, of shape (paths, groups).

    There are C(groups, test_groups) · test_groups / groups paths. Path ``p`` takes a group from the ``p``-th fold
    that tests it, so every fold's every test group is used once.

    >>> paths(4, 2).tolist()  # folds 0 … 5 test groups 01, 02, 03, 12, 13, 23
    [[0, 0, 1, 2], [1, 3, 3, 4], [2, 4, 5, 5]]
    >>> len(paths(6, 2)), len(paths(10, 2))
    (5, 9)
    """
    chosen = list(combinations(range(groups), test_groups))
    by_group = [[fold for fold, tested in enumerate(chosen) if group in tested] for group in range(groups)]
    return np.array(by_group, np.int64).T


def on_paths(ts: Ints, cut: Split, plan: Validation, predictions: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Assemble the folds' test predictions into paths, of shape (paths, selection rows, ...).

    Parameters
    ----------
    ts : int64 array of shape (n,)
        Timestamps of the panel that was split.
    cut : Split
        Of that panel by ``plan``, which is combinatorial.
    plan : Validation
        Its groups are read.
    predictions : sequence of arrays of shape (test rows, ...)
        One for each fold, in the order of its test rows. NaN stays NaN.

    Returns
    -------
    array
        One prediction of every selection row, in the order of ``cut.selection``, for each path.

    Raises
    ------
    DataError
        There is not one array for each fold with one prediction for each test row.

    Examples
    --------
    Each fold predicts its own number:

    >>> from bellwether.validation.walk_forward import split
    >>> ts, plan = np.arange(10), Validation(kind="combinatorial", groups=4, test_groups=2, embargo=0)
    >>> cut = split(ts, ts, plan)
    >>> on_paths(ts, cut, plan, [np.full(len(fold.test), fold.number) for fold in cut.folds]).tolist()
    [[1, 1, 1, 1, 2, 2, 3, 3], [2, 2, 4, 4, 4, 4, 5, 5], [3, 3, 5, 5, 6, 6, 6, 6]]
    """
    sizes = [len(fold.test) for fold in cut.folds]
    if (given := [len(p) for p in predictions]) != sizes:
        raise DataError(f"folds test {sizes} rows and predictions have {given}: give one for each test row")
    group, table = _group_of(ts[cut.selection], plan.groups), paths(plan.groups, plan.test_groups)
    out = np.empty((len(table), len(cut.selection), *predictions[0].shape[1:]), predictions[0].dtype)
    for number, (fold, predicted) in enumerate(zip(cut.folds, predictions, strict=True)):
        place = np.searchsorted(cut.selection, fold.test)
        for path, supplied in np.argwhere(table == number):
            taken = group[place] == supplied
            out[path, place[taken]] = predicted[taken]
    return out


def _group_of(ts: Ints, groups: int) -> Ints:
    """Group of each row (n,): contiguous in time, with equal numbers of unique timestamps within one."""
    times, place = np.unique(ts, return_inverse=True)
    sizes = [len(block) for block in np.array_split(times, groups)]
    return np.repeat(np.arange(groups), sizes)[place]


def _apart(selection: Selection, tested: Flags) -> Flags:
    """Rows (n,) that may be trained on when this group is tested."""
    start, end = int(selection.ts[tested].min()), int(selection.t1[tested].max())
    return np.asarray(selection.before(start) | selection.after(end))
