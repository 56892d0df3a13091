"""What the recurrent families share: stacked layers, their newest state, and what there is to tune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from bellwether.models.base import Params, Task
from bellwether.models.torch_family import TRAINED, trained_space
from bellwether.models.torch_graph import Writer, recurrent
from bellwether.models.torch_network import Body

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


class LastState(Body):
    """The state of the last layer after the newest row of the window."""

    def __init__(self, layers: nn.RNNBase) -> None:
        super().__init__()
        self.layers, self.size = layers, layers.hidden_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Windows (rows, time, width) to (rows, hidden)."""
        states: torch.Tensor = self.layers(x.transpose(0, 1))[0]
        return states[-1]

    def write(self, writer: Writer, x: str) -> str:
        """The layers, and the last of their states."""
        states = recurrent(writer, writer.add("Transpose", x, perm=[1, 0, 2]), self.layers)
        return writer.add("Gather", states, np.array(-1, np.int64), axis=0)


def stacked(kind: type[nn.RNNBase], width: int, params: Params, *, bidirectional: bool = False) -> nn.RNNBase:
    """Layers of ``hidden`` states, in both directions together, with dropout between them."""
    return kind(
        width,
        params["hidden"] // (2 if bidirectional else 1),
        params["layers"],
        dropout=params["dropout"] if params["layers"] > 1 else 0.0,  # torch warns where there is no between
        bidirectional=bidirectional,
    )


def recurrent_space(trial: BaseTrial, name: str, task: Task) -> dict[str, Any]:
    """Window, size, and how it is trained."""
    return {
        "lookback": trial.suggest_int(f"{name}.lookback", 4, 16, step=4),
        "layers": trial.suggest_int(f"{name}.layers", 1, 2),
        "hidden": trial.suggest_int(f"{name}.hidden", 32, 64, step=32),
    } | trained_space(trial, name, task)


DEFAULTS = {"lookback": 12, "layers": 2, "hidden": 64} | TRAINED
