"""What a target is: an outcome that becomes known later, and classes cut from it at fitted edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Session, Target
from bellwether.models.base import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
"""``t1`` of a row whose outcome is not known yet: a purge treats it as overlapping everything."""


@dataclass(frozen=True, kw_only=True)
class TargetKind:
    """A kind of target.

    Parameters
    ----------
    kind : str
        Key in the target table and in recipes.
    task : Task
        What a family must be able to do to predict it.
    classes : tuple of str
        Class names; a class position is an index into it. Empty for a regression.
    outcome : callable
        ``outcome(ts, close, session, target)`` of the bars of one symbol, ``ts`` rising UTC nanoseconds, returns
        the outcome of each bar, NaN where it is unknown or left out, and ``t1``, when it is known, `NEVER` where
        the bars end before that. Permits look-ahead of ``target.horizon`` bars and no further.
    fit : callable
        ``fit(outcome)`` returns the class edges. Give it the outcomes of training rows only, all finite.
    encode : callable
        ``encode(outcome, edges)`` returns class positions of finite outcomes.
    """

    kind: str
    task: Task
    classes: tuple[str, ...]
    outcome: Callable[[Ints, Floats, Session, Target], tuple[Floats, Ints]]
    fit: Callable[[Floats], Floats]
    encode: Callable[[Floats, Floats], Ints]
