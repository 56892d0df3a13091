"""What a target is: an outcome that becomes known later, and classes cut from it at fitted edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Session, Target
from bellwether.models.base import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = np.iinfo(np.int64).max
"""``t1`` of a row whose outcome is not known yet: a purge treats it as overlapping everything."""


class NoOptions(Frozen):
    """A target that leaves nothing to say besides its horizon."""


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
        ``outcome(ts, value, session, target)`` of the rows of one symbol, ``ts`` UTC nanoseconds that never fall,
        returns the outcome of each row (n,), or its outcomes (n, steps) where a target has several, NaN where it is
        unknown or left out, and ``t1``, when it is known, `NEVER` where the rows end before that. Permits the
        look-ahead it states and no further.
    fit : callable
        ``fit(outcome, target)`` returns the class edges. Give it the outcomes of training rows only, all finite.
    encode : callable
        ``encode(outcome, edges)`` returns class positions of finite outcomes; a regression returns them as they are.
    reads : str
        The series ``value`` is: ``price`` (close of a bar, price of a trade, mid of a book), or a factor's name.
    options : type
        What a recipe may say in ``target.options``; all have defaults.
    level : bool
        The outcome is a later value of the series itself, such as a price: models are fitted to how much it changes.
    identity : bool
        The outcome is known when the row is: it is offered to be measured against, and predicts nothing.
    """

    kind: str
    task: Task
    classes: tuple[str, ...]
    outcome: Callable[[Ints, Floats, Session, Target], tuple[Floats, Ints]]
    fit: Callable[[Floats, Target], Floats]
    encode: Callable[[Floats, Floats], NDArray[Any]]
    reads: str = "price"
    options: type[Frozen] = NoOptions
    level: bool = False
    identity: bool = False
