"""Serves an artefact: features in, probabilities out, on one thread."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bellwether.errors import ModelError
from bellwether.models.artefact import Artefact
from bellwether.models.graph import INPUT, OUTPUT
from bellwether.models.rows import singles

ERRORS_ONLY = 3

OPT_OUT = "ORT_DISABLE_TELEMETRY"
"""onnxruntime reports to its maker unless this is set before it starts: figures of a desk's models stay at the desk.

Set to 1 by the first `Predictor`, unless the user has set it to something else. Other code of a process that loads
onnxruntime before that should set it as well.
"""


class Predictor:
    """An artefact's graph in onnxruntime.

    One thread: a prediction of a few rows takes microseconds, and a server scales by replicas.

    Parameters
    ----------
    artefact : Artefact

    Raises
    ------
    ModelError
        The graph does not load, or does not take the contract's features and give its classes.
    """

    def __init__(self, artefact: Artefact) -> None:
        self.contract = artefact.contract
        self._session = _session(artefact.graph)
        taken = [(i.name, i.shape[-1]) for i in self._session.get_inputs()]
        given = [(o.name, o.shape[-1]) for o in self._session.get_outputs()]
        want = [(INPUT, len(self.contract.features))], [(OUTPUT, len(self.contract.classes))]
        if (taken, given) != want:
            raise ModelError(
                f"the graph takes {taken} and gives {given}, the contract wants {want[0]} and {want[1]}: "
                "they do not belong together; retrain the model"
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""
        return self.contract.classes

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Class probabilities.

        Parameters
        ----------
        x : float array of shape (n, features)
            In the contract's order; rounded to float32, as in training.

        Returns
        -------
        float32 array of shape (n, classes)

        Raises
        ------
        BadFeatures
            A value is NaN, infinite or beyond float32 (the message has its feature and row), or the number of
            columns is wrong.
        """
        answer: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: singles(x, self.contract.features)})[0]
        return answer


def _session(graph: bytes) -> Any:
    os.environ.setdefault(OPT_OUT, "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes that share no other base
        raise ModelError(f"onnxruntime cannot load the graph: {error}; retrain the model") from error
