"""Bidirectional LSTM with additive attention: every row of the window is read in the light of the others, then weighed.

The second direction runs from the newest row of the window back to its oldest. All of them are known when the
prediction is made, so it looks ahead of none.

Sources: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); additive scores v·tanh(W h)
from Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate" (2015); without
a query, as in Zhou et al., "Attention-based bidirectional LSTM networks for relation classification" (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bellwether.models.base import Family, Params, Task, Training, Walk
from bellwether.models.torch_family import fit_network
from bellwether.models.torch_graph import Writer, integers, linear, recurrent
from bellwether.models.torch_network import Body
from bellwether.models.torch_recurrent import DEFAULTS, recurrent_space, stacked

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


class Attention(Body):
    """States of both directions, averaged over the window with weights softmax(v·tanh(W h + b))."""

    def __init__(self, layers: nn.RNNBase) -> None:
        super().__init__()
        self.layers, self.size = layers, 2 * layers.hidden_size
        self.project, self.score = (
            nn.Linear(self.size, layers.hidden_size),
            nn.Linear(layers.hidden_size, 1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Windows (rows, time, width) to (rows, hidden)."""
        states: torch.Tensor = self.layers(x.transpose(0, 1))[0]
        weights = torch.softmax(self.score(torch.tanh(self.project(states))), dim=0)
        return (weights * states).sum(dim=0)

    def write(self, writer: Writer, x: str) -> str:
        """The layers, the weights and their average."""
        states = recurrent(writer, writer.add("Transpose", x, perm=[1, 0, 2]), self.layers)
        scores = linear(writer, writer.add("Tanh", linear(writer, states, self.project)), self.score)
        weighed = writer.add("Mul", writer.add("Softmax", scores, axis=0), states)
        return writer.add("ReduceSum", weighed, integers(0), keepdims=0)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Window, layers and states of both directions together, and how it is trained."""
    return recurrent_space(trial, "attention_lstm", task)


def body(width: int, lookback: int, params: Params) -> Attention:
    """Stacked layers in both directions, and attention over them."""
    return Attention(stacked(nn.LSTM, width, params, bidirectional=True))


def fit(training: Training, params: Params) -> Walk:
    """Fit, reporting each epoch."""
    return fit_network(training, params, body)


ATTENTION_LSTM = Family(
    name="attention_lstm", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True, gpu=0.25
)
