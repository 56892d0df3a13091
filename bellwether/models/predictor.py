"""Serves an artefact: rows in, probabilities or values out, on one thread."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ModelError
from bellwether.models import family
from bellwether.models.artefact import Artefact, Contract
from bellwether.models.base import LEVELS, Ranged, Reads
from bellwether.models.bundle import Bundle
from bellwether.models.graph import INPUT, OUTPUT, QUANTILES, VALUES
from bellwether.models.rows import Singles, singles

ERRORS_ONLY = 3

OPT_OUT = "ORT_DISABLE_TELEMETRY"
"""onnxruntime reports to its maker unless this is set before it starts: figures of a desk's models stay at the desk.

Set to 1 by the first `Predictor`, unless the user has set it to something else. Other code of a process that loads
onnxruntime before that should set it as well.
"""


class Predictor:
    """An artefact's model, ready to answer.

    One thread: a prediction of a few rows takes microseconds, and a server scales by replicas.

    Parameters
    ----------
    artefact : Artefact

    Raises
    ------
    ModelError
        The model does not load, or does not take the contract's columns and give what it says.
    """

    def __init__(self, artefact: Artefact) -> None:
        self.contract = artefact.contract
        self._columns = columns(self.contract)
        self._model = _opened(artefact)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities; none for values."""
        return self.contract.classes

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Class probabilities, or values.

        Parameters
        ----------
        x : float array of shape (n, lookback * features)
            In the contract's order, the oldest row first; rounded to float32, as in training.

        Returns
        -------
        float32 array of shape (n, classes) or (n, steps)
            Values of a level are changes from the last known one.

        Raises
        ------
        BadFeatures
            A value is NaN, infinite or beyond float32 (the message has its feature and row), or the number of
            columns is wrong.
        """
        return self._model.answer(singles(x, self._columns))

    def quantiles(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Quantiles (n, steps, levels) of the values, at `bellwether.models.base.LEVELS`.

        Raises
        ------
        ModelError
            The model gives none.
        BadFeatures
            As `predict`.
        """
        if not self.contract.ranged:
            raise ModelError(f"{self.contract.family} gives no quantiles: ask for values, or train a family that does")
        return self._model.quantiles(singles(x, self._columns))


def columns(contract: Contract) -> tuple[str, ...]:
    """Names of the columns a model takes: with a lookback, each with its age in rows.

    >>> from types import SimpleNamespace
    >>> columns(SimpleNamespace(features=("rsi",), lookback=2))
    ('rsi 1 ago', 'rsi')
    """
    ages = reversed(range(contract.lookback))
    return tuple(f"{name} {age} ago" if age else name for age in ages for name in contract.features)


class _Opened(Protocol):
    """A model that answers checked rows."""

    def answer(self, x: Singles) -> NDArray[np.float32]: ...

    def quantiles(self, x: Singles) -> NDArray[np.float32]: ...


class _Graph:
    """A graph in onnxruntime."""

    def __init__(self, content: bytes, contract: Contract) -> None:
        self._session = session(content)
        self._result = OUTPUT if contract.classes else VALUES
        taken = {i.name: i.shape[1:] for i in self._session.get_inputs()}
        given = {o.name: o.shape[1:] for o in self._session.get_outputs()}
        want = {self._result: [len(contract.classes) or contract.steps]}
        if contract.ranged:
            want[QUANTILES] = [contract.steps, len(LEVELS)]
        if (taken, given) != ({INPUT: [len(columns(contract))]}, want):
            raise ModelError(
                f"the graph takes {taken} and gives {given}, the contract wants {len(columns(contract))} columns and "
                f"{want}: they do not belong together; retrain the model"
            )

    def answer(self, x: Singles) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._session.run([self._result], {INPUT: x})[0]
        return found

    def quantiles(self, x: Singles) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._session.run([QUANTILES], {INPUT: x})[0]
        return found


class _Restored:
    """A model that its family made from a bundle."""

    def __init__(self, content: bytes, contract: Contract) -> None:
        kind = family(contract.family)
        if kind.restore is None:
            raise ModelError(f"{kind.name} is saved as a graph, and this is a bundle: retrain the model")
        self._model = kind.restore(Bundle.parse(content))
        wanted = len(contract.classes) or contract.steps
        given = self.answer(np.zeros((1, len(columns(contract))), np.float32)).shape
        if given != (1, wanted):
            raise ModelError(
                f"the bundle's model gives {given[1:]}, the contract wants {wanted} columns: they do not belong "
                "together; retrain the model"
            )

    def answer(self, x: Singles) -> NDArray[np.float32]:
        return self._model.predict(x.astype(np.float64)).astype(np.float32)

    def quantiles(self, x: Singles) -> NDArray[np.float32]:
        if not isinstance(self._model, Ranged):
            raise ModelError("the contract promises quantiles and the model gives none: retrain it")
        return self._model.quantiles(x.astype(np.float64)).astype(np.float32)


def _opened(artefact: Artefact) -> _Opened:
    if artefact.contract.reads not in {known.value for known in Reads}:
        raise ModelError(
            f"the model reads {artefact.contract.reads!r}, which this Bellwether does not know: retrain it"
        )
    opened = _Graph if artefact.contract.format == "onnx" else _Restored
    return opened(artefact.content, artefact.contract)


def session(graph: bytes) -> Any:
    """A graph in onnxruntime, on one thread.

    Raises
    ------
    ModelError
        It does not load.
    """
    os.environ.setdefault(OPT_OUT, "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes that share no other base
        raise ModelError(f"onnxruntime cannot load the graph: {error}; retrain the model") from error
