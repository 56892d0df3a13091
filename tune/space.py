"""One search space over all families: which family, then that family's own parameters.

Optuna's define-by-run form states the condition as it is: the family is drawn first, and only its parameters after
it. The sampler then learns both which family and which parameters do well. A sampler left alone soon drops a family
that was unlucky with its first draw, so the first half of the budget goes round the families in turn, at least once
(`first_points`): each gets the same number of draws before the sampler may prefer one. These points fix the family
and leave its parameters to the sampler: Optuna's ``enqueue_trial``, which Ray's ``points_to_evaluate`` calls, accepts
part of a point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optuna import Trial

from bellwether.errors import ConfigError
from bellwether.models import family
from bellwether.models.training import Task


@dataclass(frozen=True)
class Space:
    """Draws ``{"family": name, "params": {...}}`` from an Optuna trial. Plain data: a resumed sweep reads it back.

    >>> from optuna.trial import FixedTrial
    >>> fixed = FixedTrial({"family": "logistic", "logistic.C": 1.0, "logistic.balanced": True})
    >>> drawn = Space(("logistic",), Task.CLASSIFY)(fixed)
    >>> drawn["family"]
    'logistic'
    """

    families: tuple[str, ...]
    task: Task
    alone: bool = False
    """Rows are asked for one at a time: no family looks at those before."""

    def __call__(self, trial: Trial) -> dict[str, Any]:
        """Suggest a family, then its parameters."""
        name = trial.suggest_categorical("family", self.families)
        params = family(name).space(trial, self.task)
        return {"family": name, "params": params | {"lookback": 1} if self.alone and "lookback" in params else params}


def first_points(families: tuple[str, ...], task: Task, trials: int) -> list[dict[str, Any]]:
    """What the first half of ``trials`` is spent on: the families in turn, each at least once, first with its defaults.

    Raises
    ------
    ConfigError
        There is no family to search, or there are more families than trials.

    Examples
    --------
    >>> first_points(("logistic",), Task.CLASSIFY, trials=5)
    [{'family': 'logistic', 'logistic.C': 1.0, 'logistic.balanced': True}, {'family': 'logistic'}]
    """
    if not families:
        raise ConfigError("the recipe names baselines only: add a family to search")
    if trials < len(families):
        raise ConfigError(
            f"search.trials is {trials}, but {len(families)} families ({', '.join(families)}) each need one: "
            "raise it, or remove families"
        )
    rounds = max(1, trials // (2 * len(families)))
    standard = [{"family": name} | _point(name, task) for name in families]
    return standard + [{"family": name} for _ in range(rounds - 1) for name in families]


def _point(name: str, task: Task) -> dict[str, Any]:
    """A family's defaults under the names that Optuna knows."""
    return {f"{name}.{key}": value for key, value in family(name).standard(task).items()}
