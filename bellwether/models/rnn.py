"""Elman's recurrent network: each state is a tanh of the row and the state before it.

Source: Elman, "Finding structure in time", Cognitive Science 14 (1990).
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
    return recurrent_space(trial, "rnn", task)


def body(width: int, lookback: int, params: Params) -> LastState:
    """Stacked layers, read at the newest row."""
    return LastState(stacked(nn.RNN, width, params))


def fit(training: Training, params: Params) -> Walk:
    """Fit, reporting each epoch."""
    return fit_network(training, params, body)


RNN = Family(name="rnn", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True, gpu=0.25)
