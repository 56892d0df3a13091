"""Multinomial logistic regression on standardised features, classes balanced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bellwether.models.base import Family, Fitted, Floats, Ints, Params, Task
from bellwether.models.constant import only_class
from bellwether.models.rows import training_rows
from bellwether.models.sklearn_graph import FittedSklearn

if TYPE_CHECKING:
    from optuna import Trial


def space(trial: Trial) -> dict[str, Any]:
    """Inverse strength of the L2 penalty."""
    return {"C": trial.suggest_float("logistic.C", 1e-4, 1e2, log=True)}


def fit(x: Floats, y: Ints, params: Params, n_classes: int, seed: int) -> Fitted:
    """Fit by L-BFGS, which has one answer: the seed is not used."""
    rows = training_rows(x, y, n_classes)
    if constant := only_class(rows):
        return constant
    model = LogisticRegression(C=params["C"], class_weight="balanced", max_iter=1000)
    pipeline = make_pipeline(StandardScaler(), model).fit(rows.x.astype("float64"), rows.y)
    return FittedSklearn(estimator=pipeline, classes=rows.classes, n_features=x.shape[1])


LOGISTIC = Family(name="logistic", tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit)
