"""Multinomial logistic regression on standardised columns, with an L2 penalty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from bellwether.models.base import Family, Fitted, Params, Task, Training
from bellwether.models.constant import only_class
from bellwether.models.linear_graph import Linear, LinearClasses, Scaler
from bellwether.models.rows import training_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Inverse strength of the L2 penalty, and whether classes are balanced."""
    return {
        "C": trial.suggest_float("logistic.C", 1e-4, 1e2, log=True),
        "balanced": trial.suggest_categorical("logistic.balanced", [True, False]),
    }


def fit(training: Training, params: Params) -> Fitted:
    """Fit by L-BFGS, which has one answer: the seed is not used. ``balanced`` makes the classes count alike."""
    rows = training_rows(training)
    if constant := only_class(rows):
        return constant
    weight = rows.balanced if params["balanced"] else rows.weight
    scaler = Scaler.of(rows.x, weight)
    model = LogisticRegression(C=params["C"], max_iter=1000).fit(scaler(rows.x), rows.y, weight)
    return LinearClasses(outputs=logits(scaler, model), classes=rows.classes)


def logits(scaler: Scaler, model: LogisticRegression) -> Linear:
    """One logit a class, which sum to zero: scikit-learn gives the difference only, where there are two classes."""
    coef, intercept = model.coef_.T, model.intercept_
    if len(intercept) == 1:
        coef, intercept = np.hstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
    return Linear(scaler=scaler, coef=coef.astype(np.float64), intercept=intercept.astype(np.float64))


DEFAULTS = {"C": 1.0, "balanced": True}

LOGISTIC = Family(name="logistic", tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit, defaults=DEFAULTS)
