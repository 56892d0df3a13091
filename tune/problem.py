"""What every trial is measured on: the panel's rows, cut into folds, each with labels of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from bellwether.models import family, family_names
from bellwether.models.base import Family
from bellwether.validation.walk_forward import split
from data.panel import Panel
from data.targets import target_kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabelledFold:
    """A fold whose training and test labels are both cut at the edges of its training outcomes."""

    train: Ints
    test: Ints
    y_train: Ints
    y_test: Ints


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Everything a trial needs, in plain arrays: Ray keeps one copy a machine and workers read it in place.

    Parameters
    ----------
    x : float64 array of shape (n, features)
        The whole panel; folds hold row positions.
    folds : tuple of LabelledFold
        In time order.
    classes : int
        Number of classes.
    families : mapping of str to Family
        Those the recipe names and all baselines.
    seed : int
        Of every fit.
    """

    x: Floats
    folds: tuple[LabelledFold, ...]
    classes: int
    families: Mapping[str, Family]
    seed: int

    @property
    def searched(self) -> tuple[str, ...]:
        """Families the sweep searches, in the recipe's order."""
        return tuple(name for name, kind in self.families.items() if not kind.baseline)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Families that are always run, to be beaten."""
        return tuple(name for name, kind in self.families.items() if kind.baseline)


def digest(recipe: Recipe, problem: Problem) -> str:
    """Hash of what decides a sweep's results: families, search, rows, folds and labels."""
    found = hashlib.sha256(repr((problem.searched, recipe.search.model_dump_json(), problem.classes)).encode())
    for array in (problem.x, *(a for f in problem.folds for a in (f.train, f.test, f.y_train, f.y_test))):
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def pose(recipe: Recipe, panel: Panel) -> Problem:
    """Cut and label a panel as the recipe says.

    Raises
    ------
    ConfigError
        The panel is too short for the folds, or a family is unknown.
    TaskRefused
        A family does not predict the recipe's target.
    """
    target = target_kind(recipe.target.kind)
    families = {name: family(name) for name in recipe.families}
    families |= {name: kind for name in family_names() if (kind := family(name)).baseline}
    for kind in families.values():
        kind.check(target.task)
    folds = []
    for fold in split(panel.ts, panel.t1, recipe.validation).folds:
        edges = target.fit(panel.outcome[fold.train], recipe.target)
        y_train, y_test = (target.encode(panel.outcome[rows], edges) for rows in (fold.train, fold.test))
        folds.append(LabelledFold(train=fold.train, test=fold.test, y_train=y_train, y_test=y_test))
    return Problem(
        x=panel.x, folds=tuple(folds), classes=len(target.classes), families=families, seed=recipe.search.seed
    )
