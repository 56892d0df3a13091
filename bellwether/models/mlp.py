"""Multilayer perceptron: one or two layers of rectified units on standardised columns, by Adam with early stopping.

Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR (2015).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from scipy.special import log_softmax
from sklearn.neural_network import MLPClassifier, MLPRegressor

from bellwether.errors import ModelError
from bellwether.models.base import Epoch, Family, Floats, Params, Task, Training, Walk
from bellwether.models.constant import only_class
from bellwether.models.graph import constant
from bellwether.models.heads import ClassesOf, Nodes, ValuesOf
from bellwether.models.linear_graph import Scaler, blocks
from bellwether.models.rows import Singles, singles, training_rows, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

EPOCHS, PATIENCE, REPORT = 60, 8, 4
"""Most epochs, those without a new lowest validation loss after which a fit ends, and those from report to report."""

TAIL = 0.15
"""Share of the timestamps that the fit is stopped on."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Layers of matrix products with rectifiers between them.

    Parameters
    ----------
    weights : tuple of float64 arrays of shape (inputs, outputs)
    biases : tuple of float64 arrays of shape (outputs,)
    """

    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Columns, outputs."""
        return len(self.weights[0]), len(self.biases[-1])

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Outputs (n, outputs) of rows (n, columns).

        >>> network = Network(weights=(np.array([[1.0, -1.0]]), np.ones((2, 1))), biases=(np.zeros(2), np.zeros(1)))
        >>> network(np.array([[-3.0], [2.0]])).tolist()
        [[3.0], [2.0]]
        """
        out = singles(x).astype(np.float64) @ self.weights[0] + self.biases[0]
        for weights, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            out = np.maximum(out, 0.0) @ weights + bias
        return np.asarray(out, np.float64)

    def nodes(self, rows: str, result: str) -> Nodes:
        """A matrix product a layer."""
        nodes, constants, last = [], [], len(self.weights) - 1
        for k, (weights, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            constants += [constant(f"weights_{k}", weights), constant(f"bias_{k}", bias)]
            out = result if k == last else f"layer_{k}"
            nodes.append(helper.make_node("Gemm", [rows, f"weights_{k}", f"bias_{k}"], [out]))
            if k < last:
                rows = f"rectified_{k}"
                nodes.append(helper.make_node("Relu", [out], [rows]))
        return nodes, constants


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Layers and their width, weight penalty, rate, rows a step, rows shown, and class balance."""
    params = {
        "layers": trial.suggest_int("mlp.layers", 1, 2),
        "units": trial.suggest_categorical("mlp.units", [16, 32, 64, 128]),
        "alpha": trial.suggest_float("mlp.alpha", 1e-5, 1.0, log=True),
        "learning_rate": trial.suggest_float("mlp.learning_rate", 1e-4, 1e-2, log=True),
        "batch": trial.suggest_categorical("mlp.batch", [64, 256]),
        "lookback": trial.suggest_categorical("mlp.lookback", [1, 3, 6, 12]),
    }
    if task is Task.CLASSIFY:
        params["balanced"] = trial.suggest_categorical("mlp.balanced", [True, False])
    return params


def fit(training: Training, params: Params) -> Walk:
    """Fit on all but a purged tail, and keep the weights of the epoch that did best on it."""
    if training.task is Task.REGRESS:
        return (yield from _values(training, params))
    rows = training_rows(training)
    if constant := only_class(rows):
        return constant
    weight = rows.balanced if params["balanced"] else rows.weight
    present = len(rows.classes.present)
    shown = replace(training, y=rows.y, weight=weight, classes=present)
    network = yield from _walk(MLPClassifier(**_settings(training, params)), shown, params["learning_rate"])
    return ClassesOf(outputs=network, classes=rows.classes)


def _values(training: Training, params: Params) -> Walk:
    """Each step of the values is standardised for the fit, and put back in the last layer."""
    rows = value_rows(training)
    unit = Scaler.of(rows.y, rows.weight)
    shown = replace(training, y=unit(rows.y))
    found = yield from _walk(MLPRegressor(**_settings(training, params)), shown, params["learning_rate"])
    weights = (*found.weights[:-1], found.weights[-1] * unit.scale)
    biases = (*found.biases[:-1], found.biases[-1] * unit.scale + unit.mean)
    return ValuesOf(outputs=Network(weights=weights, biases=biases))


def _settings(training: Training, params: Params) -> dict[str, Any]:
    """The library draws from one stream over all epochs: given a seed, it would shuffle each alike."""
    return {
        "hidden_layer_sizes": (params["units"],) * params["layers"],
        "alpha": params["alpha"],
        "learning_rate_init": params["learning_rate"],
        "batch_size": params["batch"],
        "random_state": np.random.RandomState(training.seed),
    }


def _walk(model: Any, training: Training, rate: float) -> Generator[Epoch, None, Network]:
    """Epochs until none has been better for a while; returns the best network, of columns as they come."""
    early, late = training.parted(TAIL)
    scaler = Scaler.of(singles(early.x), early.weight)
    z, after = (scaler.rounded(singles(part.x)) for part in (early, late))
    model.batch_size = min(model.batch_size, len(z))
    lowest, newest = np.inf, 0
    for epoch in range(1, EPOCHS + 1):
        _step(model, z, early)
        network = _network(model)
        validation = _loss(network, after, late)
        if epoch == 1 or validation < lowest:
            best, lowest, newest = network, validation, epoch
        over = epoch == EPOCHS or epoch - newest >= PATIENCE
        if over or epoch % REPORT == 0:
            yield Epoch(done=epoch / EPOCHS, loss=_loss(network, z, early), validation=validation, rate=rate)
        if over:
            break
    first, bias = scaler.fold(best.weights[0], best.biases[0])
    return Network(weights=(first, *best.weights[1:]), biases=(bias, *best.biases[1:]))


def _step(model: Any, z: Singles, rows: Training) -> None:
    """One pass over the rows."""
    y = rows.y if rows.classes or rows.steps > 1 else rows.y[:, 0]
    known = {"classes": np.arange(rows.classes)} if rows.classes else {}
    try:
        model.partial_fit(z, y, rows.weight, **known)
    except ValueError as error:  # the library's word for weights that are no longer finite
        raise ModelError(f"no network at learning_rate {model.learning_rate_init}: {error} Lower it") from error


def _network(model: Any) -> Network:
    """A copy of the weights; scikit-learn gives the difference of the logits only, where there are two classes."""
    weights = [coef.astype(np.float64) for coef in model.coefs_]
    biases = [bias.astype(np.float64) for bias in model.intercepts_]
    if isinstance(model, MLPClassifier) and len(biases[-1]) == 1:
        weights[-1] = np.hstack([-weights[-1], weights[-1]]) / 2
        biases[-1] = np.concatenate([-biases[-1], biases[-1]]) / 2
    return Network(weights=tuple(weights), biases=tuple(biases))


def _loss(network: Network, z: Singles, rows: Training) -> float:
    """Weighted mean of the negative log-likelihood, or of the squared error averaged over steps."""
    total = 0.0
    for k in blocks(len(z)):
        out, y = network(z[k]), rows.y[k]
        each = -log_softmax(out, axis=1)[np.arange(len(y)), y] if rows.classes else ((y - out) ** 2).mean(axis=1)
        total += float(rows.weight[k] @ each)
    return total / float(rows.weight.sum())


DEFAULTS = {
    "layers": 1,
    "units": 32,
    "alpha": 1e-3,
    "learning_rate": 1e-3,
    "batch": 64,
    "lookback": 1,
    "balanced": True,
}

MLP = Family(name="mlp", tasks=frozenset(Task), space=space, fit=fit, defaults=DEFAULTS, steps=True)
