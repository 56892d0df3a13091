"""Sums of radial functions of the distance to landmarks, and their graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from bellwether.models.base import Floats
from bellwether.models.graph import constant
from bellwether.models.heads import Nodes
from bellwether.models.linear_graph import Scaler, blocks
from bellwether.models.rows import singles


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """``exp(-gamma |z - s|²)`` of standardised columns ``z`` and landmarks ``s``.

    Parameters
    ----------
    scaler : Scaler
    landmarks : float64 array of shape (landmarks, columns)
        Standardised.
    gamma : float

    Examples
    --------
    >>> scaler = Scaler(mean=np.zeros(1), scale=np.ones(1))
    >>> kernel = Kernel(scaler=scaler, landmarks=np.array([[0.0], [1.0]]), gamma=1.0)
    >>> kernel(np.array([[1.0]])).round(3).tolist()
    [[0.368, 1.0]]
    """

    scaler: Scaler
    landmarks: Floats
    gamma: float

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Similarities (n, landmarks) of rows (n, columns)."""
        z = self.scaler(x)
        far = (z**2).sum(axis=1)[:, None] + (self.landmarks**2).sum(axis=1) - 2.0 * z @ self.landmarks.T
        return np.asarray(np.exp(-self.gamma * far), np.float64)

    def nodes(self, rows: str, result: str) -> Nodes:
        """The square of a difference, multiplied out: the landmarks enter as one matrix product."""
        constants = {
            "mean": self.scaler.mean,
            "scale": self.scaler.scale,
            "across": 2.0 * self.gamma * self.landmarks.T,
            "own": -self.gamma * (self.landmarks**2).sum(axis=1),
            "gamma": np.float64(self.gamma),
            "axis": np.array([1]),
        }
        nodes = [
            helper.make_node("Sub", [rows, "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "scale"], ["z"]),
            helper.make_node("Gemm", ["z", "across", "own"], ["product"]),
            helper.make_node("ReduceSumSquare", ["z", "axis"], ["square"], keepdims=1),
            helper.make_node("Mul", ["square", "gamma"], ["weighed"]),
            helper.make_node("Sub", ["product", "weighed"], ["exponent"]),
            helper.make_node("Exp", ["exponent"], [result]),
        ]
        return nodes, [constant(name, np.asarray(value)) for name, value in constants.items()]


@dataclass(frozen=True, kw_only=True)
class KernelSum:
    """``bias + k weights`` of the similarities ``k``.

    Parameters
    ----------
    kernel : Kernel
    weights : float64 array of shape (landmarks, outputs)
    bias : float64 array of shape (outputs,)
    """

    kernel: Kernel
    weights: Floats
    bias: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Columns, outputs."""
        return self.kernel.landmarks.shape[1], self.weights.shape[1]

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Outputs (n, outputs) of rows (n, columns)."""
        rows = singles(x)
        parts = [self.kernel(rows[k]) @ self.weights + self.bias for k in blocks(len(rows))]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.bias)))

    def nodes(self, rows: str, result: str) -> Nodes:
        """The similarities and a matrix product."""
        nodes, constants = self.kernel.nodes(rows, "similarities")
        nodes.append(helper.make_node("Gemm", ["similarities", "weights", "bias"], [result]))
        return nodes, [*constants, constant("weights", self.weights), constant("bias", self.bias)]
