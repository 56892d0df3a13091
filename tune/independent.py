"""Scores whose spread says what their mean is worth, though the folds they come from overlap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from bellwether.config.recipe import Validation


def independent(scores: Sequence[float], plan: Validation) -> tuple[float, ...]:
    """One score a fold; of combinatorial folds, which test the same rows many times over, one a group.

    15 folds of six groups hold six stretches of time, each tested five times. Taken as 15 independent figures they
    would make a standard error less than half of what it is. So the score of a fold is read as the mean of the scores
    of the groups it tests, and these are found by least squares: their mean is that of the folds, and their standard
    error is that of as many figures as there are stretches. What folds share in training is left out of account, as it
    is for walk-forward folds.

    >>> plan = Validation(kind="combinatorial", groups=3, test_groups=2)
    >>> [round(score, 6) for score in independent([1.5, 2.0, 2.5], plan)]  # of groups 01, 02, 12
    [1.0, 2.0, 3.0]
    >>> independent([0.3, 0.4], Validation(folds=2))
    (0.3, 0.4)
    """
    if plan.kind != "combinatorial":
        return tuple(scores)
    tested = np.array(
        [np.isin(range(plan.groups), fold) for fold in combinations(range(plan.groups), plan.test_groups)]
    )
    found = np.linalg.lstsq(tested / plan.test_groups, np.asarray(scores, np.float64))[0]
    return tuple(found.tolist())
