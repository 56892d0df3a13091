"""From training rows to a fitted network and its graph: all that the torch families have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bellwether.models.base import LEVELS, Epoch, Floats, Params, Task, Training, Walk
from bellwether.models.constant import only_class
from bellwether.models.graph import assemble, assemble_values
from bellwether.models.rows import Classes, singles, training_rows, value_rows
from bellwether.models.torch_graph import Writer
from bellwether.models.torch_heads import Head, Probabilities, Ranges, Values
from bellwether.models.torch_network import Body, Network, moments
from bellwether.models.torch_repeatable import Repeatable, answering, best_device
from bellwether.models.torch_training import CHUNK, sample, thinned, train

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

SHARE = 0.15
"""Share of the training timestamps, the last ones, that a fit is stopped on."""

MakeBody = Callable[[int, int, Params], Body]
"""Makes a body for windows of this width and lookback, with these parameters."""


@dataclass(frozen=True, kw_only=True)
class _FittedNetwork:
    """A network on the CPU, ready to answer."""

    network: Network
    n_features: int

    def _answers(self, x: Floats, which: str) -> Floats:
        rows = torch.from_numpy(singles(x))
        with answering():
            parts = [self.network.head.answer(self.network(part))[which] for part in rows.split(CHUNK)]
            found: Floats = torch.cat(parts).numpy().astype(np.float64)
        return found


@dataclass(frozen=True, kw_only=True)
class FittedClassifier(_FittedNetwork):
    """A network with probabilities of the present classes."""

    classes: Classes

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        return self.classes.widen(self._answers(x, "probabilities"))

    def graph(self) -> bytes:
        """The network, standardisation included."""
        writer = Writer()
        found = self.network.write(writer)
        return assemble(writer.nodes, writer.constants, found["probabilities"], self.n_features, self.classes)


@dataclass(frozen=True, kw_only=True)
class FittedValues(_FittedNetwork):
    """A network with values of one or several steps."""

    steps: int

    def predict(self, x: Floats) -> Floats:
        """Values (n, steps)."""
        return self._answers(x, "values")

    def graph(self) -> bytes:
        """The network, standardisation of rows and values included."""
        writer = Writer()
        found = self.network.write(writer)
        return assemble_values(
            writer.nodes, writer.constants, found["values"], self.n_features, self.steps, found.get("quantiles")
        )


@dataclass(frozen=True, kw_only=True)
class FittedRanges(FittedValues):
    """A network with values and their quantiles."""

    def quantiles(self, x: Floats) -> Floats:
        """Quantiles (n, steps, levels) at `LEVELS`, ascending."""
        return self._answers(x, "quantiles")


def fit_network(training: Training, params: Params, make: MakeBody) -> Walk:
    """Fit a family's body with the head of the task, an epoch a step.

    The last `SHARE` of the training timestamps is what the fit is stopped on; nothing is standardised by it. Without
    a GPU everything runs on one thread of the CPU, and the model that comes back is on the CPU in any case.

    Parameters
    ----------
    params : mapping
        As `train`; ``dropout``; for classes ``balanced``, which weighs rows so that the classes count alike; for
        values ``quantiles``, which adds quantiles to the answer.
    """
    if training.classes:
        rows = training_rows(training)
        if constant := only_class(rows):
            return constant
        weight = rows.balanced if params["balanced"] else rows.weight
        shown: dict[str, Any] = {"x": rows.x, "y": rows.y, "weight": weight, "classes": len(rows.classes.present)}
        network = yield from _walk(replace(training, **shown), params, make)
        return FittedClassifier(network=network, n_features=rows.x.shape[1], classes=rows.classes)
    values = value_rows(training)
    shown = {"x": values.x}  # single precision, like what is served
    network = yield from _walk(replace(training, **shown), params, make)
    fitted = FittedRanges if params["quantiles"] else FittedValues
    return fitted(network=network, n_features=values.x.shape[1], steps=training.steps)


def _walk(training: Training, params: Params, make: MakeBody) -> Generator[Epoch, None, Network]:
    """Split, build, train; returns the network, on the CPU."""
    early, late = training.parted(SHARE)
    device = best_device()
    repeatable = Repeatable(training.seed, device)
    with repeatable:
        body = make(early.x.shape[1] // training.lookback, training.lookback, params)
        head = _head(body.size, early, params)
        network = Network(early.x, training.lookback, body, head, params["dropout"])
        network.to(device)
    first, last = (sample(rows, head, device) for rows in (early, thinned(late, params["max_rows"])))
    yield from train(network, first, last, params, repeatable)
    network.cpu().eval()
    return network


def _head(size: int, early: Training, params: Params) -> Head:
    """The head of the task; what an untrained one answers is known of the rows that are fitted to."""
    if early.classes:
        return Probabilities(size, early.classes)
    mean, scale = moments(early.y)
    if not params["quantiles"]:
        return Values(size, mean, scale)
    return Ranges(size, mean, scale, np.quantile((early.y - mean) / scale, LEVELS, axis=0).T)


def trained_space(trial: BaseTrial, name: str, task: Task) -> dict[str, Any]:
    """How a network is trained: part of every torch family's space. What is not drawn is how long, and on how much."""
    drawn = {
        "dropout": trial.suggest_float(f"{name}.dropout", 0.0, 0.4),
        "learning_rate": trial.suggest_float(f"{name}.learning_rate", 1e-3, 1e-2, log=True),
        "weight_decay": trial.suggest_float(f"{name}.weight_decay", 1e-6, 1e-2, log=True),
        "batch": trial.suggest_categorical(f"{name}.batch", [64, 128, 256]),
        "epochs": 15,
        "patience": 4,
        "max_rows": 20_000,
    }
    if task is Task.CLASSIFY:
        return drawn | {"balanced": trial.suggest_categorical(f"{name}.balanced", [True, False])}
    return drawn | {"quantiles": True}


TRAINED = {"dropout": 0.2, "learning_rate": 3e-3, "weight_decay": 1e-4, "batch": 128, "balanced": True}
"""The defaults of `trained_space`."""
