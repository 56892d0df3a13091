"""Linear models of standardised columns, scaler and coefficients folded into one matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from bellwether.models.base import Floats
from bellwether.models.graph import constant
from bellwether.models.heads import ClassesOf, Nodes, ValuesOf
from bellwether.models.rows import Singles, singles

NO_SPREAD = 1e-12
"""A column whose standard deviation is less than this share of its mean is constant; what is left is rounding."""

BLOCK = 8192
"""Rows at a time in sums over all rows: a float64 copy of all windows of many rows may not fit beside them."""


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """Mean and standard deviation of columns, or of values; one that is constant has a scale of one.

    >>> Scaler.of(np.array([[1.0, 5.0], [3.0, 5.0]], np.float32), np.ones(2))
    Scaler(mean=array([2., 5.]), scale=array([1., 1.]))
    """

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, x: NDArray[Any], weight: Floats) -> Scaler:
        """Of the rows of ``x`` (n, columns), each counted ``weight`` (n,) times."""
        total, zero = weight.sum(), np.zeros(x.shape[1])
        mean = sum((weight[k] @ x[k].astype(np.float64) for k in blocks(len(x))), zero) / total
        spread = np.sqrt(sum((weight[k] @ (x[k] - mean) ** 2 for k in blocks(len(x))), zero) / total)
        return cls(mean=mean, scale=np.where(spread > NO_SPREAD * np.abs(mean), spread, 1.0))

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Standardise rows (n, columns)."""
        return np.asarray((x - self.mean) / self.scale, np.float64)

    def rounded(self, x: NDArray[Any]) -> Singles:
        """Standardise many rows, a piece at a time, as float32."""
        out = np.empty(x.shape, np.float32)
        for k in blocks(len(x)):
            out[k] = self(x[k])
        return out

    def fold(self, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """The weights (columns, outputs) and bias (outputs,) that give of columns as they come what these give of
        standardised ones."""
        scaled = weights / self.scale[:, None]
        return scaled, bias - self.mean @ scaled


@dataclass(frozen=True, kw_only=True)
class Linear:
    """``intercept + z coef`` of standardised columns ``z``.

    Parameters
    ----------
    scaler : Scaler
    coef : float64 array of shape (columns, outputs)
    intercept : float64 array of shape (outputs,)
    """

    scaler: Scaler
    coef: Floats
    intercept: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Columns, outputs."""
        return self.coef.shape[0], self.coef.shape[1]

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Outputs (n, outputs) of rows (n, columns)."""
        weights, bias = self.scaler.fold(self.coef, self.intercept)
        found: Floats = singles(x).astype(np.float64) @ weights + bias
        return found

    def nodes(self, rows: str, result: str) -> Nodes:
        """One matrix product."""
        weights, bias = self.scaler.fold(self.coef, self.intercept)
        node = helper.make_node("Gemm", [rows, "weights", "bias"], [result])
        return [node], [constant("weights", weights), constant("bias", bias)]


@dataclass(frozen=True, kw_only=True)
class LinearValues(ValuesOf):
    """Values that are linear in the columns."""

    outputs: Linear

    def coefficients(self) -> Floats:
        """Change of each value (columns, steps) when a column rises by its standard deviation in the training rows."""
        return self.outputs.coef


@dataclass(frozen=True, kw_only=True)
class LinearClasses(ClassesOf):
    """Class probabilities whose logits are linear in the columns."""

    outputs: Linear

    def coefficients(self) -> Floats:
        """Change of each logit (columns, classes) when a column rises by its standard deviation in the training rows.

        Zero for absent classes.
        """
        return self.classes.widen(self.outputs.coef)


def weighted_sum(weights: Floats) -> LinearValues:
    """The one value that is the columns as they come, weighted (columns,).

    >>> weighted_sum(np.array([0.25, 0.75])).predict(np.array([[4.0, 8.0]])).tolist()
    [[7.0]]
    """
    scaler = Scaler(mean=np.zeros(len(weights)), scale=np.ones(len(weights)))
    return LinearValues(outputs=Linear(scaler=scaler, coef=weights[:, None], intercept=np.zeros(1)))


def blocks(rows: int) -> Iterator[slice]:
    """Cut rows into pieces whose float64 copy is small.

    >>> [(part.start, part.stop) for part in blocks(10_000)]
    [(0, 8192), (8192, 10000)]
    """
    return (slice(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK))
