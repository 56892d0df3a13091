"""Weights of a graph as 8-bit integers, and what that costs and saves, measured.

onnxruntime's dynamic quantisation (1.31) knows LSTM layers and matrix products: RNN and GRU layers stay as they are.
The scale of a layer's input is that of all rows asked at once, so nothing has to be calibrated, but a row's answer
depends a little on the rows beside it.

A recipe asks for it with ``precision: int8``. At the sizes that the families have by default it makes the file of an
LSTM three to four times smaller and one row hardly faster; from some 256 states on it is about twice as fast
(``benchmarks/study_quantise.py``).

Source: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference"
(2018).
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from bellwether.errors import ModelError
from bellwether.models.base import Floats
from bellwether.models.graph import INPUT
from bellwether.models.predictor import OPT_OUT
from bellwether.models.rows import Singles, singles

INTEGER = ("DynamicQuantizeLSTM", "MatMulInteger")
"""The operators that a quantised graph has."""

TURN = 20
"""Calls of one graph before it is the other's turn: what else the machine does then slows both alike."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What quantisation costs and saves.

    Parameters
    ----------
    largest, mean : float
        Absolute difference of the answers (probabilities or values), over all rows and columns, each row by itself.
    spread : float
        Standard deviation of the full graph's answers, to compare those with.
    size, latency : float
        Bytes, and median time of one row, of the quantised graph as a share of the full one's; below 1 is better.
    microseconds : float
        Median time of one row with the full graph.
    """

    largest: float
    mean: float
    spread: float
    size: float
    latency: float
    microseconds: float


def quantised(graph: bytes, *, per_channel: bool = True) -> bytes:
    """The graph with the weights of its LSTM layers and matrix products in 8 bits.

    Parameters
    ----------
    graph : bytes
        As `bellwether.models.base.Fitted.graph` gives it.
    per_channel : bool
        One scale for each output of a layer instead of one for the layer: closer, and a few bytes more.

    Raises
    ------
    ModelError
        Nothing in it can be quantised.
    """
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    model = onnx.load_from_string(graph)
    add_pre_process_metadata(model)  # our graphs need none, and without the mark it asks for it in the root logger
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "quantised.onnx")
        quantize_dynamic(model, path, per_channel=per_channel)
        content = path.read_bytes()
    if not any(node.op_type in INTEGER for node in onnx.load_from_string(content).graph.node):
        raise ModelError("the graph has no LSTM layer and no matrix product: there is nothing to quantise")
    return content


def loss(graph: bytes, quantised: bytes, x: NDArray[np.floating[Any]], *, repeats: int = 1000) -> Loss:
    """Compare a quantised graph with the full one.

    Parameters
    ----------
    x : float array of shape (n, columns)
        Rows to answer; the first is the one that is timed.
    repeats : int
        Times that each graph answers it, in turns, on one thread.

    Raises
    ------
    BadFeatures
        As `bellwether.models.rows.singles`.
    """
    rows = singles(x)
    sessions = [_session(content) for content in (graph, quantised)]
    full, rough = (_one_by_one(session, rows) for session in sessions)
    own, other = _times(sessions, rows[:1], repeats)
    return Loss(
        largest=float(np.abs(rough - full).max()),
        mean=float(np.abs(rough - full).mean()),
        spread=float(full.std()),
        size=len(quantised) / len(graph),
        latency=other / own,
        microseconds=1e6 * own,
    )


def _one_by_one(session: Any, rows: Singles) -> Floats:
    """The first answer to every row, asked as it is served."""
    answers = [session.run(None, {INPUT: rows[k : k + 1]})[0] for k in range(len(rows))]
    return np.concatenate(answers).astype(np.float64)


def _times(sessions: list[Any], row: Singles, repeats: int) -> list[float]:
    """Median seconds of each session."""
    taken: list[list[float]] = [[] for _ in sessions]
    for _ in range(max(1, repeats // TURN)):
        for session, own in zip(sessions, taken, strict=True):
            for _ in range(TURN):
                start = perf_counter()
                session.run(None, {INPUT: row})
                own.append(perf_counter() - start)
    return [median(own) for own in taken]


def _session(graph: bytes) -> Any:
    os.environ.setdefault(OPT_OUT, "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
