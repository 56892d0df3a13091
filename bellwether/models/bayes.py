"""Bayesian updating with conjugate priors: each row refines what is known, and nothing has to be fitted again.

Classes by naive Bayes with Student-t columns, values by linear regression with a normal-inverse-gamma prior and a
predictive Student-t. Both go on learning after the fit (`bellwether.models.updating.Updating`), and may forget: with
``keep`` below one, what was seen fades by that factor with every row. Naive Bayes takes columns for independent given
the class; where many say the same, its probabilities are too sure of themselves, which calibration mends.

Sources: `bellwether.econometrics.naive_bayes` and `bellwether.econometrics.conjugate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bellwether.errors import ModelError
from bellwether.models.base import Family, Params, Task, Training
from bellwether.models.bayes_classes import BayesClasses, unlearned_classes
from bellwether.models.bayes_values import BayesValues, unlearned_values
from bellwether.models.bundle import Bundle
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import training_rows, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

KEEPS = (1.0, 0.9999, 0.999, 0.99)
"""From nothing forgotten to a memory of a hundred rows."""


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Strength of the prior in rows, what a row keeps of those before it, and class balance."""
    params = {
        "strength": trial.suggest_float("bayes.strength", 0.1, 1000.0, log=True),
        "keep": trial.suggest_categorical("bayes.keep", KEEPS),
    }
    if task is Task.CLASSIFY:
        params["balanced"] = trial.suggest_categorical("bayes.balanced", [True, False])
    return params


def fit(training: Training, params: Params) -> BayesClasses | BayesValues:
    """Learn the training rows in time order; the seed is not used."""
    empty = _classes(training, params) if training.task is Task.CLASSIFY else _values(training, params)
    return empty.update(training.x, training.y, training.weight)


def _classes(training: Training, params: Params) -> BayesClasses:
    rows = training_rows(training)
    unit = np.ones(training.classes)
    if params["balanced"]:
        totals = np.bincount(rows.y, rows.weight)
        unit[rows.classes.present] = rows.weight.sum() / (len(totals) * totals)
    return unlearned_classes(Scaler.of(rows.x, rows.weight), unit, strength=params["strength"], keep=params["keep"])


def _values(training: Training, params: Params) -> BayesValues:
    rows = value_rows(training)
    size = float(np.sqrt(np.average(rows.y[:, 0] ** 2, weights=rows.weight)))
    return unlearned_values(
        Scaler.of(rows.x, rows.weight), size if size > 0.0 else 1.0, strength=params["strength"], keep=params["keep"]
    )


def resume(bundle: Bundle) -> BayesClasses | BayesValues:
    """The model whose state this is, as it was.

    Raises
    ------
    ModelError
        The bundle is of something else.
    """
    try:
        return BayesValues.of_state(bundle) if "precision" in bundle.arrays else BayesClasses.of_state(bundle)
    except KeyError as missing:
        raise ModelError(f"a Bayes model's state has {missing}; got {', '.join(bundle.arrays)}") from missing


DEFAULTS = {"strength": 2.0, "keep": 1.0, "balanced": True}

BAYES = Family(name="bayes", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, restore=resume)
