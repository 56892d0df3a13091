"""Baseline: each class as often as in the training rows, whatever the features say.

Its probabilities are the class frequencies, the same for every row, and so is its served graph. The argmax of those
is the majority class, so an evaluation must not take it: `FittedStratified` is a `Sampled` model, and
``labels(x, seed)`` draws its answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bellwether.models.base import Family, Floats, Ints, Params, Task, Training
from bellwether.models.constant import Constant
from bellwether.models.rows import training_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


@dataclass(frozen=True, kw_only=True)
class FittedStratified(Constant):
    """Class frequencies, and draws from them."""

    def labels(self, x: Floats, seed: int) -> Ints:
        """Class positions (n,) drawn from the frequencies, independent of ``x``."""
        drawn = np.random.default_rng(seed).choice(len(self.probabilities), size=len(x), p=self.probabilities)
        return drawn.astype(np.int64)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Nothing to tune."""
    return {}


def fit(training: Training, params: Params) -> FittedStratified:
    """Count the classes."""
    rows = training_rows(training)
    shares = np.bincount(rows.y)[np.newaxis] / len(rows.y)
    return FittedStratified(probabilities=rows.classes.widen(shares)[0], n_features=rows.x.shape[1])


STRATIFIED = Family(name="stratified", tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit, baseline=True)
