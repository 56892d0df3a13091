"""What every trial is measured on: the panel's rows, cut into folds, each with labels of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from bellwether.errors import ConfigError
from bellwether.models import BASELINES, family
from bellwether.models.base import Family, Params
from bellwether.models.training import Task, Training
from bellwether.validation.scores import SCORES
from bellwether.validation.uniqueness import uniqueness_weights
from bellwether.validation.walk_forward import split
from data.features import feature_kind
from data.inputs import Inputs, inputs
from data.panel import Panel
from data.targets import target_kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METRIC = {Task.CLASSIFY: "macro_f1", Task.REGRESS: "skill"}
"""What a sweep makes best, unless the recipe says otherwise."""


@dataclass(frozen=True, kw_only=True)
class LabelledFold:
    """Rows to fit on and rows to be scored on, labelled at the class edges of the former.

    ``train`` and ``test`` are row positions; ``labels`` has one entry for every row of the panel: class positions
    (n,), or values (n, steps), which are changes where the target is a level. ``weight`` is that of the training rows.
    """

    train: Ints
    test: Ints
    labels: NDArray[Any]
    edges: Floats
    weight: Floats


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Everything a trial needs, in plain arrays: Ray keeps one copy a machine and workers read it in place.

    Parameters
    ----------
    inputs : Inputs
        The whole panel; folds hold row positions.
    folds : tuple of LabelledFold
        In time order, or every combination of them.
    exam : LabelledFold
        All selection rows, and the untouched segment: what the champion is refitted on and judged on, once.
    task, steps, classes
        What is predicted: ``classes`` is their number, 0 for values.
    level : bool
        Values are changes of a level.
    families : mapping of str to Family
        Those the recipe names and all baselines that can do the task.
    metric : str
        What a sweep makes best (`bellwether.validation.scores`).
    seed : int
        Of every fit.
    alone : bool
        The feature set's rows are asked for one at a time (`data.features.base.FeatureKind`).
    """

    inputs: Inputs
    folds: tuple[LabelledFold, ...]
    exam: LabelledFold
    task: Task
    classes: int
    steps: int
    level: bool
    families: Mapping[str, Family]
    metric: str
    seed: int
    alone: bool = False

    @property
    def searched(self) -> tuple[str, ...]:
        """Families the sweep searches, in the recipe's order."""
        return tuple(name for name, kind in self.families.items() if not kind.baseline)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Families that are always run, to be beaten."""
        return tuple(name for name, kind in self.families.items() if kind.baseline)

    def training(self, fold: LabelledFold, name: str, params: Params) -> Training:
        """The training rows of a fold as a family reads them."""
        kind, rows, known = self.families[name], fold.train, self.inputs
        return Training(
            x=self.read(fold, name, params, rows),
            y=fold.labels[rows],
            classes=self.classes,
            seed=self.seed,
            ts=known.ts[rows],
            t1=known.t1[rows],
            who=known.who[rows],
            weight=fold.weight,
            names=known.columns(kind),
            lookback=params.get("lookback", 1),
        )

    def read(self, fold: LabelledFold, name: str, params: Params, rows: Ints) -> Floats:
        """What a family reads of these rows (rows, columns)."""
        return self.inputs.read(self.families[name], params, rows, fold.labels if self.classes else None)


def digest(recipe: Recipe, problem: Problem) -> str:
    """Hash of what decides a sweep's results: families, search, gate, symbols, rows, folds and labels."""
    options = recipe.search.model_dump_json(), recipe.gate.model_dump_json()
    found = hashlib.sha256(repr((problem.searched, *options, problem.classes, recipe.universe.symbols)).encode())
    arrays = [getattr(problem.inputs, name) for name in ("x", "value", "ts", "t1", "who")]
    for fold in problem.folds:
        arrays += [getattr(fold, field.name) for field in fields(fold)]
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def pose(recipe: Recipe, panel: Panel) -> Problem:
    """Cut and label a panel as the recipe says.

    Raises
    ------
    ConfigError
        The panel is too short for the folds, a family or the metric is unknown, the metric is for another task, or
        thresholds are to be calibrated on values.
    TaskRefused
        A family does not predict the recipe's target, or needs features that are not there.
    """
    target = target_kind(recipe.target.kind)
    if recipe.serving.thresholds == "calibrated" and target.task is Task.REGRESS:
        raise ConfigError(
            f"serving.thresholds is 'calibrated', and {target.kind} has no classes to make a signal of: use fixed"
        )
    steps = 1 if panel.outcome.ndim == 1 else panel.outcome.shape[1]
    cut = split(panel.ts, panel.t1, recipe.validation)
    labelled = [_labelled(recipe, panel, fold.train, fold.test) for fold in cut.folds]
    return Problem(
        inputs=inputs(panel, target.level),
        folds=tuple(labelled),
        exam=_labelled(recipe, panel, cut.selection, cut.holdout),
        task=target.task,
        classes=len(target.classes),
        steps=steps,
        level=target.level,
        families=_families(recipe, target.task, steps, panel.features),
        metric=metric_of(recipe, target.task),
        seed=recipe.search.seed,
        alone=feature_kind(recipe.features.kind).alone,
    )


def metric_of(recipe: Recipe, task: Task) -> str:
    """The recipe's selection metric, or the task's usual one."""
    name = recipe.search.metric or METRIC[task]
    if name not in SCORES or task not in SCORES[name].tasks:
        known = ", ".join(sorted(k for k, score in SCORES.items() if task in score.tasks))
        raise ConfigError(f"search.metric is {name!r}; a target to {task.value} has: {known}")
    return name


def _families(recipe: Recipe, task: Task, steps: int, names: tuple[str, ...]) -> dict[str, Family]:
    families = {name: family(name) for name in recipe.families}
    for kind in families.values():
        kind.check(task, steps=steps, names=names)
    always = (family(name) for name in BASELINES if name not in families)
    return families | {kind.name: kind for kind in always if task in kind.tasks and (steps == 1 or kind.steps)}


def _labelled(recipe: Recipe, panel: Panel, train: Ints, test: Ints) -> LabelledFold:
    """Label every row at the class edges of the training rows; values of a level are changes from the one known."""
    target = target_kind(recipe.target.kind)
    edges = target.fit(panel.outcome[train], recipe.target)
    labels = target.encode(panel.outcome, edges)
    if target.task is Task.REGRESS:
        labels = labels.reshape(len(labels), -1) - (panel.value[:, None] if target.level else 0.0)
    equal = recipe.search.weights == "equal"
    weight = np.ones(len(train)) if equal else uniqueness_weights(panel.ts[train], panel.t1[train], panel.who[train])
    return LabelledFold(train=train, test=test, labels=labels, edges=edges, weight=weight)
