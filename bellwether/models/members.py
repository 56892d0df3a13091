"""What an ensemble is made of: other families by name, each fitted with its own standard parameters.

`bellwether.models.family` is asked inside the functions: the table names the ensembles, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from bellwether.errors import ModelError, TaskRefused
from bellwether.models.base import Bundled, Fitted, Reads, Task, Training

LINEAR = {Task.CLASSIFY: "logistic", Task.REGRESS: "ridge"}
"""The member that a search always keeps, so that no draw leaves an ensemble empty."""

OTHERS = ("extra_trees", "lightgbm", "xgboost")
"""Those that a search may leave out. Any other family can be named in the parameters."""


def fitted_members(training: Training, names: Iterable[str]) -> tuple[Fitted, ...]:
    """Fit each family on the same rows, with the standard parameters for the task.

    Raises
    ------
    ModelError
        No name is given; or a member reads something else than one row's features, or is no graph.
    UnknownName
        A name is not in the table.
    TaskRefused
        A member does not predict such a target.

    Examples
    --------
    >>> import numpy as np
    >>> from bellwether.models.training import plain
    >>> rows = plain(np.zeros((4, 2)), np.array([0, 1, 1, 1]), classes=2)
    >>> [found.predict(rows.x[:1]).round(2).tolist() for found in fitted_members(rows, ["majority", "stratified"])]
    [[[0.0, 1.0]], [[0.25, 0.75]]]
    """
    if not (wanted := tuple(names)):
        raise ModelError("an ensemble needs a member: give one family a weight, or switch one on")
    return tuple(_fitted(name, training) for name in wanted)


def _fitted(name: str, training: Training) -> Fitted:
    from bellwether.models import family

    kind = family(name)
    kind.check(training.task, steps=training.steps, names=training.names)
    params = kind.standard(training.task)
    if kind.reads is not Reads.FEATURES or params.get("lookback", 1) != 1:
        raise TaskRefused(
            f"{name} does not read the features of one row, which all that a member is given: leave it out"
        )
    model = kind.train(training, params)
    if isinstance(model, Bundled):
        raise ModelError(f"{name} is no graph, and an ensemble is one graph made of its members': leave it out")
    return model
