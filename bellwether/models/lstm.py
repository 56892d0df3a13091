"""Long short-term memory: a recurrent network whose gated cell remembers over many rows.

Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from bellwether.models.base import Family, Params, Task, Training, Walk
from bellwether.models.torch_family import fit_network
from bellwether.models.torch_recurrent import DEFAULTS, LastState, recurrent_space, stacked

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Window, layers and states, and how it is trained."""
    return recurrent_space(trial, "lstm", task)


def body(width: int, lookback: int, params: Params) -> LastState:
    """Stacked layers, read at the newest row."""
    return LastState(stacked(nn.LSTM, width, params))


def fit(training: Training, params: Params) -> Walk:
    """Fit, reporting each epoch."""
    return fit_network(training, params, body)


LSTM = Family(name="lstm", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True, gpu=0.25)
