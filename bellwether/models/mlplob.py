"""MLPLOB: a mixer of multilayer perceptrons over the features and over the time of a window of the order book.

The window is normalised along both axes, projected, and mixed along each axis in turn; the last block narrows both to
a quarter, and what is left is read all at once.

Sources: Berti and Kasneci, "TLOB: A novel transformer model with dual attention for price trend prediction with limit
order book data" (2025), section on MLPLOB; the normalisation is that of Tran et al., "Data normalization for bilinear
structures in high-frequency financial time-series", ICPR (2020). Smaller than published: 32 hidden features for 40 or
more, and a window of 12 rows for 128, so that one is served within 100 microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bellwether.models.base import Family, Params, Task, Training, Walk
from bellwether.models.torch_family import TRAINED, fit_network, trained_space
from bellwether.models.torch_graph import Writer, array, gelu, integers, layer_norm, linear
from bellwether.models.torch_network import Body

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

STILL = 1e-2
"""Added to a window's variance, in units of the variance of all rows: what hardly moves is not blown up."""

SWAP = [0, 2, 1]
"""The order of axes that exchanges time and features."""


class Bilinear(nn.Module):  # type: ignore[misc]  # torch types it as Any
    """A window standardised along time, feature by feature, plus one standardised along features, row by row.

    Each has a learnt scale and shift; the two mixing weights of the paper are part of the scales.
    """

    def __init__(self, width: int, lookback: int) -> None:
        super().__init__()
        self.time = nn.LayerNorm(lookback, eps=STILL, elementwise_affine=False)
        self.features = nn.LayerNorm(width, eps=STILL, elementwise_affine=False)
        self.time_scale = nn.Parameter(torch.full((width,), 0.5))
        self.features_scale = nn.Parameter(torch.full((lookback, 1), 0.5))
        self.shift = nn.Parameter(torch.zeros(lookback, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Windows (rows, time, width), the same out."""
        along: torch.Tensor = self.time(x.transpose(1, 2)).transpose(1, 2) * self.time_scale
        across: torch.Tensor = self.features(x) * self.features_scale
        return along + across + self.shift

    def write(self, writer: Writer, x: str) -> str:
        """Add the nodes of ``forward``."""
        along = layer_norm(writer, writer.add("Transpose", x, perm=SWAP), self.time)
        along = writer.add("Mul", writer.add("Transpose", along, perm=SWAP), array(self.time_scale))
        across = writer.add("Mul", layer_norm(writer, x, self.features), array(self.features_scale))
        return writer.add("Add", writer.add("Add", along, across), array(self.shift))


class Mixing(nn.Module):  # type: ignore[misc]  # torch types it as Any
    """A perceptron with one hidden layer on the last axis.

    Where it keeps the size, its input is added and the sum normalised. Where it narrows there is neither: of a window
    as short as ours three values are left, and to standardise those would leave little of what they say.
    """

    def __init__(self, size: int, inner: int, out: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(size, inner), nn.Linear(inner, out)
        self.norm = nn.LayerNorm(out) if size == out else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, …, size) to (rows, …, out)."""
        mixed: torch.Tensor = self.dropout(self.second(nn.functional.gelu(self.first(x))))
        return mixed if self.norm is None else nn.functional.gelu(self.norm(mixed + x))

    def write(self, writer: Writer, x: str) -> str:
        """Add the nodes of ``forward``."""
        mixed = linear(writer, gelu(writer, linear(writer, x, self.first)), self.second)
        if self.norm is None:
            return mixed
        return gelu(writer, layer_norm(writer, writer.add("Add", mixed, x), self.norm))


class Mixer(Body):
    """Blocks that mix the features, then the time."""

    def __init__(self, width: int, lookback: int, params: Params) -> None:
        super().__init__()
        hidden, dropout = params["hidden"], params["dropout"]
        narrow = max(1, hidden // 4), max(1, lookback // 4)
        self.norm, self.project = Bilinear(width, lookback), nn.Linear(width, hidden)
        mixings: list[nn.Module] = []
        for _ in range(params["layers"] - 1):
            mixings += [Mixing(size, 4 * size, size, dropout) for size in (hidden, lookback)]
        mixings += [Mixing(size, 2 * size, out, dropout) for size, out in zip((hidden, lookback), narrow, strict=True)]
        self.mixings, self.size = nn.ModuleList(mixings), narrow[0] * narrow[1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Windows (rows, time, width) to (rows, hidden/4 · time/4)."""
        x = nn.functional.gelu(self.project(self.norm(x)))
        for mixing in self.mixings:  # features, time, features, …: each mixes the last axis and hands over the other
            x = mixing(x).transpose(1, 2)
        return x.flatten(1)

    def write(self, writer: Writer, x: str) -> str:
        """Add the nodes of ``forward``."""
        x = gelu(writer, linear(writer, self.norm.write(writer, x), self.project))
        for mixing in self.mixings:
            assert isinstance(mixing, Mixing)
            x = writer.add("Transpose", mixing.write(writer, x), perm=SWAP)
        return writer.add("Reshape", x, integers(0, self.size))


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Window, blocks and hidden features, and how it is trained."""
    return {
        "lookback": trial.suggest_int("mlplob.lookback", 8, 16, step=4),
        "layers": trial.suggest_int("mlplob.layers", 1, 3),
        "hidden": trial.suggest_int("mlplob.hidden", 16, 48, step=16),
    } | trained_space(trial, "mlplob", task)


def body(width: int, lookback: int, params: Params) -> Mixer:
    """The mixer for a window."""
    return Mixer(width, lookback, params)


def fit(training: Training, params: Params) -> Walk:
    """Fit, reporting each epoch."""
    return fit_network(training, params, body)


DEFAULTS = {"lookback": 12, "layers": 2, "hidden": 32} | TRAINED | {"dropout": 0.1}

MLPLOB = Family(name="mlplob", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True, gpu=0.25)
