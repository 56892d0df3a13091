"""Rows of one symbol: their outcomes, and which of them count. Training and serving agree here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from data.features.base import Floats, Ints
from data.features.clock import session_clock
from data.targets import target_kind
from data.targets.base import NEVER
from data.targets.series import foretold

Flags = NDArray[np.bool_]


def outcomes(recipe: Recipe, ts: Ints, value: Floats) -> tuple[Floats, Ints]:
    """Outcomes (n,) or (n, steps) of the recipe's target, NaN where unknown or left out, and ``t1`` (n,).

    Parameters
    ----------
    ts : int64 array of shape (n,)
        Times of all records of a symbol, or of the last of them; they never fall.
    value : float64 array of shape (n,)
        The target's series (`data.targets.series.series`).
    """
    target = target_kind(recipe.target.kind)
    outcome, t1 = target.outcome(ts, value, recipe.session, recipe.target)
    return foretold(target, ts, t1, value, outcome), t1


def told(outcome: Floats) -> Flags:
    """Rows (n,) of which every outcome is known.

    >>> told(np.array([[1.0, 2.0], [1.0, np.nan]])).tolist()
    [True, False]
    """
    return np.asarray(np.isfinite(outcome.reshape(len(outcome), -1)).all(axis=1))


def pending(recipe: Recipe, ts: Ints, value: Floats, t1: Ints) -> Flags:
    """Rows (n,) whose outcome is still to come, and which training will not leave out for the night that follows them.

    They are part of what a model looks back on at the newest row: by the time anything is fitted to that row, the
    outcomes of those before it are known too. With ``overnight: drop`` that is so in the session of the newest row.
    """
    waiting = np.asarray(t1 == NEVER)
    if target_kind(recipe.target.kind).level:
        waiting &= np.isfinite(value)
    if recipe.target.overnight == "drop" and waiting.any():
        session = session_clock(np.append(ts[waiting], ts[-1]), recipe.session)[:, 0]
        waiting[waiting] = session[:-1] == session[-1]
    return waiting
