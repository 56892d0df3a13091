"""A network from rows to answers: standardised windows, a body that a family brings, and a head for the task."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bellwether.models.base import Floats
from bellwether.models.graph import INPUT
from bellwether.models.torch_graph import Writer, array, first_rows, integers, some_rows
from bellwether.models.torch_heads import Head

LIMIT = 5.0
"""Standard deviations beyond which a feature says no more: one stray value does not drown the others."""


class Body(nn.Module):  # type: ignore[misc]  # torch types it as Any
    """What a family brings: windows (rows, time, width) to features (rows, ``size``), in torch and as nodes."""

    size: int

    def write(self, writer: Writer, x: str) -> str:
        """Add the nodes of ``forward``."""
        raise NotImplementedError


class Network(nn.Module):  # type: ignore[misc]  # torch types it as Any
    """Standardise, read the window, answer.

    Parameters
    ----------
    x : float32 array of shape (n, lookback * width)
        Training rows, for mean and standard deviation of each feature.
    lookback : int
        Rows in a window, oldest first.
    body : Body
    head : Head
    dropout : float
        Share of the body's features that a training step leaves out.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, x: NDArray[np.floating[Any]], lookback: int, body: Body, head: Head, dropout: float) -> None:
        super().__init__()
        mean, scale = moments(x[:, -(x.shape[1] // lookback) :])  # every row is the newest of one window
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        self.lookback, self.body, self.head = lookback, body, head
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the head makes of rows (n, lookback * width): see `Head`."""
        window = (x.reshape(len(x), self.lookback, -1) - self.mean) / self.scale
        found: torch.Tensor = self.head(self.dropout(self.body(window.clamp(-LIMIT, LIMIT))))
        return found

    def write(self, writer: Writer) -> dict[str, str]:
        """Add all nodes, from ``features`` on; returns the names of the answers."""
        rows, count = some_rows(writer, INPUT)
        window = writer.add("Reshape", rows, integers(0, self.lookback, len(self.mean)))
        window = writer.add("Div", writer.add("Sub", window, array(self.mean)), array(self.scale))
        window = writer.add("Clip", window, np.array(-LIMIT, np.float32), np.array(LIMIT, np.float32))
        answers = self.head.write(writer, self.body.write(writer, window))
        return {name: first_rows(writer, found, count) for name, found in answers.items()}


def moments(values: NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column; 1 for the deviation of a column that does not move.

    >>> moments(np.array([[1.0, 0.1], [3.0, 0.1]]))
    (array([2. , 0.1]), array([1., 1.]))
    """
    exact = values.astype(np.float64)
    mean, scale = exact.mean(axis=0), exact.std(axis=0)
    return mean, np.where(scale > 1e-12 * np.abs(exact).max(axis=0), scale, 1.0)
