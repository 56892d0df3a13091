"""A family that takes a stated time and answers nothing: what a sweep costs besides its fits."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from optuna.trial import BaseTrial

from bellwether.models.base import Family, Fitted, Params, Task, Training
from bellwether.models.constant import Constant

NAME = "steady"
PLACE = ("benchmarks.steady", "STEADY")


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """A knob that does nothing, and how long a fit takes, in seconds of this thread's own CPU or of the clock."""
    return {
        "knob": trial.suggest_float("steady.knob", 0.0, 1.0),
        "seconds": float(os.environ["STEADY_SECONDS"]),
        "waits": os.environ.get("STEADY_WAITS") == "1",
    }


def fit(training: Training, params: Params) -> Fitted:
    """Keep the CPU busy for so long, or only wait."""
    if params["waits"]:
        time.sleep(params["seconds"])
    until = time.thread_time() + (0.0 if params["waits"] else params["seconds"])
    while time.thread_time() < until:
        np.sqrt(np.arange(10_000.0)).sum()
    shares = np.bincount(training.y, minlength=training.classes) / len(training.y)
    return Constant(probabilities=shares, n_features=training.x.shape[1])


STEADY = Family(name=NAME, tasks=frozenset({Task.CLASSIFY}), space=space, fit=fit, defaults={"knob": 0.5})
