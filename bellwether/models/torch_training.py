"""The training loop that the torch families share."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.optim import Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau

from bellwether.errors import ModelError
from bellwether.models.base import Epoch, Params, Training
from bellwether.models.torch_heads import Head
from bellwether.models.torch_network import Network
from bellwether.models.torch_repeatable import Repeatable

CLIP = 1.0
"""Largest norm of a gradient (Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks",
2013)."""

CHUNK = 4096
"""Rows that are answered at once where no gradient is wanted."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows on the device: ``x`` (n, columns), what the head aims at, ``weight`` (n,)."""

    x: torch.Tensor
    aim: torch.Tensor
    weight: torch.Tensor

    def at(self, rows: torch.Tensor) -> Sample:
        """The rows at these positions."""
        return Sample(x=self.x[rows], aim=self.aim[rows], weight=self.weight[rows])


def thinned(training: Training, cap: int) -> Training:
    """At most ``cap`` of the rows, evenly spaced."""
    n = len(training.x)
    return training if n <= cap else training.at(np.linspace(0, n - 1, cap).round().astype(np.int64))


def sample(training: Training, head: Head, device: torch.device) -> Sample:
    """The rows on a device."""
    arrays = training.x, head.aim(training.y), training.weight.astype(np.float32)
    x, aim, weight = (torch.from_numpy(a).to(device) for a in arrays)
    return Sample(x=x, aim=aim, weight=weight)


def train(
    network: Network, early: Sample, late: Sample, params: Params, repeatable: Repeatable
) -> Generator[Epoch, None, None]:
    """Fit a network in place; it ends with the weights that had the lowest validation loss.

    Adam, gradients clipped; the rate halves where the validation loss stalls, and the fit ends where it goes on
    stalling.

    Parameters
    ----------
    network : Network
        On the device of the samples.
    early, late : Sample
        What is fitted to, and what is stopped on.
    params : mapping
        ``epochs`` at most, ``patience`` in epochs without a better one, ``batch`` rows a step, ``learning_rate``,
        ``weight_decay``, and ``max_rows``, which an epoch sees at most: the rows are shuffled and go round.
    repeatable : Repeatable
        Every epoch runs inside it.

    Yields
    ------
    Epoch

    Raises
    ------
    ModelError
        A loss is not finite.
    """
    optimiser = Adam(network.parameters(), lr=params["learning_rate"], weight_decay=params["weight_decay"], fused=True)
    plateau = ReduceLROnPlateau(optimiser, factor=0.5, patience=1)
    orders = _orders(len(early.x), params["max_rows"])
    best, kept, since = math.inf, network.state_dict(), 0
    for number in range(1, params["epochs"] + 1):
        rate = optimiser.param_groups[0]["lr"]
        with repeatable:
            loss = _one_epoch(network, early, next(orders).to(early.x.device), optimiser, params["batch"])
            validation = mean_loss(network, late)
        if not math.isfinite(loss + validation):
            raise ModelError(f"epoch {number} ends with loss {loss}, validation loss {validation}: learning_rate is "
                             f"{params['learning_rate']}, try a lower one")  # fmt: skip
        plateau.step(validation)
        since += 1
        if validation < best:
            best, kept, since = validation, copy.deepcopy(network.state_dict()), 0
        yield Epoch(done=number / params["epochs"], loss=loss, validation=validation, rate=rate)
        if since >= params["patience"]:
            break
    network.load_state_dict(kept)


def mean_loss(network: Network, rows: Sample) -> float:
    """Weighted mean of the loss, dropout off."""
    network.eval()
    with torch.no_grad():
        losses = [
            network.head.loss(network(x), y) for x, y in zip(rows.x.split(CHUNK), rows.aim.split(CHUNK), strict=True)
        ]
    return float((torch.cat(losses) * rows.weight).sum() / rows.weight.sum())


def _one_epoch(network: Network, rows: Sample, order: torch.Tensor, optimiser: Adam, batch: int) -> float:
    """One step a batch; returns the mean loss on the way."""
    network.train()
    total = torch.zeros((), device=order.device)
    for chosen in order.split(batch):
        part = rows.at(chosen)
        optimiser.zero_grad()
        loss = (network.head.loss(network(part.x), part.aim) * part.weight).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        total += loss.detach() * len(chosen)
    return float(total) / len(order)


def _orders(n: int, cap: int) -> Iterator[torch.Tensor]:
    """Row positions of one epoch after the other: all rows, shuffled, in equal parts of at most ``cap``; and again."""
    while True:
        yield from torch.randperm(n).tensor_split(math.ceil(n / cap))
