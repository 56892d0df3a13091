"""A small neural network whose last layer is Bayesian: it says how sure it is, more so near the rows it was fitted on.

Two hidden layers are trained by gradient descent and stopped early; the last layer is then replaced by its posterior
given what the hidden layers make of all training rows (`bellwether.models.bayes_head`). Nothing is drawn when it
predicts. Quantiles are Gaussian: the noise is the same for every row, and fat tails are a matter for conformal
intervals.

Sources: Snoek et al., "Scalable Bayesian optimization using deep neural networks", ICML 2015, for values; Kristiadi,
Hein and Hennig, ICML 2020, for classes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bellwether.models.base import Epoch, Family, Floats, Params, Task, Training, Walk
from bellwether.models.bayes_graph import class_graph, value_graph
from bellwether.models.bayes_head import ClassHead, ValueHead, class_head, value_head
from bellwether.models.constant import only_class
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import Classes, singles, training_rows, value_rows
from bellwether.models.standardised import standardised

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

REPORTS = 20
"""Epochs a fit reports, each of some passes over the rows."""

PATIENCE = 4
"""Reports without a better validation loss after which a fit stops."""

TAIL = 0.15
BATCH = 128

Layers = tuple[tuple[Floats, Floats], ...]
"""Weights (in, out) and bias (out,) of the hidden layers."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """Standardised columns through layers of rectified units: what the last layer reads."""

    scaler: Scaler
    layers: Layers

    def __call__(self, x: Floats) -> Floats:
        """Features (n, d) of rows (n, columns)."""
        found = standardised(singles(x), self.scaler)
        for weights, bias in self.layers:
            found = np.maximum(found @ weights + bias, 0.0)
        return found


@dataclass(frozen=True, kw_only=True)
class ClassNet:
    """Class probabilities, averaged over the posterior of the last layer."""

    body: Body
    head: ClassHead
    classes: Classes

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        return self.classes.widen(self.head.probabilities(self.body(x)))

    def graph(self) -> bytes:
        """The layers, and the posterior as two matrix products; float64 inside."""
        return class_graph(self.body.scaler, self.body.layers, self.head, self.classes)


@dataclass(frozen=True, kw_only=True)
class ValueNet:
    """Values and their quantiles. ``centre`` and ``unit`` (steps,) are what the head's values are measured by."""

    body: Body
    head: ValueHead
    centre: Floats
    unit: Floats

    def predict(self, x: Floats) -> Floats:
        """Values (n, steps)."""
        return self.centre + self.unit * self.head.mean(self.body(x))

    def quantiles(self, x: Floats) -> Floats:
        """Quantiles (n, steps, levels) at `bellwether.models.base.LEVELS`."""
        return self.centre[:, None] + self.unit[:, None] * self.head.quantiles(self.body(x))

    def graph(self) -> bytes:
        """The layers, the mean and the variance as matrix products; float64 inside."""
        return value_graph(self.body.scaler, self.body.layers, self.head, self.centre, self.unit)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Units of a layer, step and decay, passes between reports, and class balance; the last layer tunes itself."""
    params = {
        "units": trial.suggest_categorical("bayes_net.units", [16, 32, 64]),
        "learning_rate": trial.suggest_float("bayes_net.learning_rate", 3e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("bayes_net.weight_decay", 1e-2, 3.0, log=True),
        "passes": trial.suggest_int("bayes_net.passes", 1, 4),
    }
    if task is Task.CLASSIFY:
        params["balanced"] = trial.suggest_categorical("bayes_net.balanced", [True, False])
    return params


def fit(training: Training, params: Params) -> Walk:
    """Train the hidden layers, stopped on the last rows, then find the posterior of the last layer on all rows."""
    return _classes(training, params) if training.classes else _values(training, params)


def _classes(training: Training, params: Params) -> Walk:
    rows = training_rows(training)
    if fixed := only_class(rows):
        return fixed
    weight = rows.balanced if params["balanced"] else rows.weight
    scaler = Scaler.of(rows.x, rows.weight)
    x, k = standardised(rows.x, scaler), len(rows.classes.present)
    layers = yield from _trained(replace(training, x=x, y=rows.y, classes=k, weight=weight), params)
    body = Body(scaler=scaler, layers=layers)
    return ClassNet(body=body, head=class_head(body(training.x), rows.y, weight), classes=rows.classes)


def _values(training: Training, params: Params) -> Walk:
    rows = value_rows(training)
    scaler = Scaler.of(rows.x, rows.weight)
    values = Scaler.of(rows.y, rows.weight)
    y = values(rows.y)
    layers = yield from _trained(replace(training, x=standardised(rows.x, scaler), y=y), params)
    body = Body(scaler=scaler, layers=layers)
    head = value_head(body(training.x), y, rows.weight)
    return ValueNet(body=body, head=head, centre=values.mean, unit=values.scale)


def _trained(training: Training, params: Params) -> Generator[Epoch, None, Layers]:
    """The hidden layers at the report with the lowest validation loss."""
    early, late = (_Data.of(part) for part in training.parted(TAIL))
    with one_thread():
        network = _Network(training, params)
    lowest, best, since = np.inf, network.hidden(), 0
    for report in range(1, REPORTS + 1):
        with one_thread():
            loss = np.mean([network.train(early) for _ in range(params["passes"])])
            validation = network.loss(late)
        yield Epoch(done=report / REPORTS, loss=float(loss), validation=validation, rate=params["learning_rate"])
        lowest, best, since = (validation, network.hidden(), 0) if validation < lowest else (lowest, best, since + 1)
        if since == PATIENCE:
            break
    return best


@dataclass(frozen=True, kw_only=True)
class _Data:
    """Rows as tensors."""

    x: torch.Tensor
    y: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def of(cls, rows: Training) -> _Data:
        y = torch.from_numpy(rows.y) if rows.classes else torch.from_numpy(rows.y.astype(np.float32))
        weight = torch.from_numpy(rows.weight.astype(np.float32))
        return cls(x=torch.from_numpy(rows.x.astype(np.float32)), y=y, weight=weight)


class _Network:
    """Two hidden layers and a last one that only training uses. Draws from a generator of its own."""

    def __init__(self, training: Training, params: Params) -> None:
        self._classify = training.classes > 0
        self._draws = torch.Generator().manual_seed(training.seed)
        sizes = [training.x.shape[1], params["units"], params["units"], training.classes or training.steps]
        self._layers = [self._layer(*pair) for pair in pairwise(sizes)]
        self._optimizer = torch.optim.AdamW(
            [tensor for layer in self._layers for tensor in layer],
            lr=params["learning_rate"],
            weight_decay=params["weight_decay"],
        )

    def _layer(self, inputs: int, outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights of He et al. (2015), which keep the size of rectified units from layer to layer."""
        weights = torch.randn(inputs, outputs, generator=self._draws) * (2 / inputs) ** 0.5
        return weights.requires_grad_(), torch.zeros(outputs, requires_grad=True)

    def _losses(self, rows: _Data, at: torch.Tensor | slice) -> torch.Tensor:
        """Weighted loss of each row."""
        found = rows.x[at]
        for weights, bias in self._layers[:-1]:
            found = torch.relu(found @ weights + bias)
        found = found @ self._layers[-1][0] + self._layers[-1][1]
        if self._classify:
            return rows.weight[at] * torch.nn.functional.cross_entropy(found, rows.y[at], reduction="none")
        return rows.weight[at] * ((found - rows.y[at]) ** 2).mean(dim=1)

    def train(self, rows: _Data) -> float:
        """One pass in random order; returns the mean loss."""
        total = 0.0
        for at in torch.randperm(len(rows.x), generator=self._draws).split(BATCH):
            self._optimizer.zero_grad()
            loss = self._losses(rows, at).mean()
            loss.backward()
            self._optimizer.step()
            total += loss.item() * len(at)
        return total / len(rows.x)

    def loss(self, rows: _Data) -> float:
        """Mean loss."""
        with torch.no_grad():
            return float(self._losses(rows, slice(None)).mean())

    def hidden(self) -> Layers:
        """A copy of the hidden layers as they are."""
        return tuple(
            (weights.detach().numpy().astype(np.float64), bias.detach().numpy().astype(np.float64))
            for weights, bias in self._layers[:-1]
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread; what it was set to comes back.

    >>> before = torch.get_num_threads()
    >>> with one_thread():
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


DEFAULTS = {"units": 32, "learning_rate": 2e-3, "weight_decay": 1.0, "passes": 1, "balanced": True}

BAYES_NET = Family(
    name="bayes_net",
    tasks=frozenset({Task.CLASSIFY, Task.REGRESS}),
    space=space,
    fit=fit,
    defaults=DEFAULTS,
    steps=True,
)
