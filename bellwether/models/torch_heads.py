"""What a network ends in: probabilities, values, or values with quantiles; each with its loss and its nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bellwether.models.base import LEVELS, Floats
from bellwether.models.torch_graph import Writer, array, integers, linear

LEAST = 1e-3
"""Least distance between neighbouring quantiles to start from, in standard deviations."""


class Head(nn.Module):  # type: ignore[misc]  # torch types it as Any
    """From a body's features to what the loss is about (``forward``), and from there to answers (``answer``)."""

    def aim(self, y: NDArray[Any]) -> NDArray[Any]:
        """What the loss compares with: class positions as they are, values standardised in double precision."""
        raise NotImplementedError

    def loss(self, found: torch.Tensor, aim: torch.Tensor) -> torch.Tensor:
        """Loss of each row (n,)."""
        raise NotImplementedError

    def answer(self, found: torch.Tensor) -> dict[str, torch.Tensor]:
        """``probabilities``, or ``values`` and perhaps ``quantiles``."""
        raise NotImplementedError

    def write(self, writer: Writer, x: str) -> dict[str, str]:
        """Add the nodes of ``forward`` and ``answer``; returns the names of the answers."""
        raise NotImplementedError


class Probabilities(Head):
    """Softmax and cross-entropy over the present classes. Starts with all of them equally likely."""

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.last = _silent(size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes)."""
        found: torch.Tensor = self.last(x)
        return found

    def aim(self, y: NDArray[Any]) -> NDArray[Any]:
        """Positions of present classes (n,)."""
        return y

    def loss(self, found: torch.Tensor, aim: torch.Tensor) -> torch.Tensor:
        """Cross-entropy."""
        return nn.functional.cross_entropy(found, aim, reduction="none")

    def answer(self, found: torch.Tensor) -> dict[str, torch.Tensor]:
        """``probabilities`` (n, classes)."""
        return {"probabilities": torch.softmax(found, dim=1)}

    def write(self, writer: Writer, x: str) -> dict[str, str]:
        """A product and a softmax."""
        return {"probabilities": writer.add("Softmax", linear(writer, x, self.last), axis=1)}


class Values(Head):
    """The mean of each step, by squared error in units of its standard deviation.

    Parameters
    ----------
    mean, scale : float64 arrays of shape (steps,)
        Of the training values; an untrained head answers the mean.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, size: int, mean: Floats, scale: Floats) -> None:
        super().__init__()
        self._moments = mean, scale
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("scale", torch.from_numpy(scale.astype(np.float32)))
        self.last = _silent(size, len(mean))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised values (n, steps)."""
        found: torch.Tensor = self.last(x)
        return found

    def aim(self, y: NDArray[Any]) -> NDArray[Any]:
        """Standardised values (n, steps)."""
        return np.asarray((y - self._moments[0]) / self._moments[1], np.float32)

    def loss(self, found: torch.Tensor, aim: torch.Tensor) -> torch.Tensor:
        """Squared error, mean over the steps."""
        return (found - aim).square().mean(dim=1)

    def answer(self, found: torch.Tensor) -> dict[str, torch.Tensor]:
        """``values`` (n, steps)."""
        return {"values": found * self.scale + self.mean}

    def write(self, writer: Writer, x: str) -> dict[str, str]:
        """A product, in the units of y."""
        return {"values": self._undone(writer, linear(writer, x, self.last), array(self.scale), array(self.mean))}

    @staticmethod
    def _undone(writer: Writer, x: str, scale: np.ndarray, mean: np.ndarray) -> str:
        return writer.add("Add", writer.add("Mul", x, scale), mean)


class Ranges(Values):
    """The mean of each step and its quantiles at `LEVELS`, which cannot cross.

    The lowest quantile is free, the others add a softplus each. The loss is the squared error plus the pinball loss of
    Koenker and Bassett, "Regression quantiles", Econometrica 46 (1978), of every level. The mean is learnt beside the
    quantiles so that a model's values are the same thing with and without them.

    Parameters
    ----------
    marks : float64 array of shape (steps, levels)
        Quantiles of the standardised training values: what an untrained head answers.
    """

    def __init__(self, size: int, mean: Floats, scale: Floats, marks: Floats) -> None:
        super().__init__(size, mean, scale)
        self.range = _silent(size, marks.size)
        gaps = np.log(np.expm1(np.maximum(np.diff(marks, axis=1), LEAST)))  # what softplus makes the distance of
        start = np.hstack([marks[:, :1], gaps]).ravel()
        with torch.no_grad():
            self.range.bias.copy_(torch.from_numpy(start.astype(np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Standardised mean and quantiles (n, steps, 1 + levels)."""
        raw = self.range(x).reshape(len(x), len(self.mean), len(LEVELS))
        low, gaps = raw[..., :1], nn.functional.softplus(raw[..., 1:])
        return torch.cat([self.last(x)[..., None], torch.cat([low, gaps], dim=-1).cumsum(dim=-1)], dim=-1)

    def loss(self, found: torch.Tensor, aim: torch.Tensor) -> torch.Tensor:
        """Squared error of the mean and pinball losses of the quantiles."""
        over = aim[..., None] - found[..., 1:]
        levels = torch.tensor(LEVELS, dtype=over.dtype, device=over.device)
        pinball = torch.maximum(levels * over, (levels - 1) * over).sum(dim=-1).mean(dim=1)
        return super().loss(found[..., 0], aim) + pinball

    def answer(self, found: torch.Tensor) -> dict[str, torch.Tensor]:
        """``values`` (n, steps) and ``quantiles`` (n, steps, levels)."""
        ranges = found[..., 1:] * self.scale[:, None] + self.mean[:, None]
        return super().answer(found[..., 0]) | {"quantiles": ranges}

    def write(self, writer: Writer, x: str) -> dict[str, str]:
        """As `Values`; the quantiles as a running sum."""
        raw = writer.add("Reshape", linear(writer, x, self.range), integers(0, len(self.mean), len(LEVELS)))
        low = writer.add("Slice", raw, integers(0), integers(1), integers(2))
        gaps = writer.add("Softplus", writer.add("Slice", raw, integers(1), integers(len(LEVELS)), integers(2)))
        running = writer.add("CumSum", writer.add("Concat", low, gaps, axis=2), np.array(2, np.int64))
        ranges = self._undone(writer, running, array(self.scale)[:, None], array(self.mean)[:, None])
        return super().write(writer, x) | {"quantiles": ranges}


def _silent(size: int, outputs: int) -> nn.Linear:
    """A linear layer that starts at zero: what is known without the features is where the fit begins."""
    layer = nn.Linear(size, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
