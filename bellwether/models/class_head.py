"""From a few numbers that a model of the market computes of a row to classes or a value.

An econometric model says how large the next move may be, or which queue empties first; the target has classes of its
own. A small multinomial logistic regression on those numbers, fitted on the training rows, translates; for values it
is a least squares. It also keeps a model honest: numbers that tell nothing of the training rows' outcomes get weights
of nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from bellwether.models.base import Fitted, Floats
from bellwether.models.constant import only_class
from bellwether.models.graph import constant
from bellwether.models.heads import ClassesOf, Nodes, Outputs, ValuesOf
from bellwether.models.linear_graph import Linear, Scaler
from bellwether.models.rows import Rows, Values

LIMIT = 5.0
"""Standard deviations at which a number ends: one freak row cannot throw the weights, nor an answer."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """Linear outputs of a model's numbers, standardised and cut at `LIMIT`.

    Parameters
    ----------
    numbers : Outputs
        A few finite numbers of each row.
    linear : Linear
        From the numbers to the outputs.
    """

    numbers: Outputs
    linear: Linear

    @property
    def shape(self) -> tuple[int, int]:
        """Columns, outputs."""
        return self.numbers.shape[0], self.linear.shape[1]

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Outputs (n, outputs) of rows (n, columns)."""
        out: Floats = _standard(self.linear.scaler, self.numbers(x)) @ self.linear.coef + self.linear.intercept
        return out

    def nodes(self, rows: str, result: str) -> Nodes:
        """The numbers' nodes, then one matrix product."""
        scaler = self.linear.scaler
        nodes, constants = self.numbers.nodes(rows, "numbers")
        nodes = [
            *nodes,
            helper.make_node("Sub", ["numbers", "numbers_mean"], ["centred"]),
            helper.make_node("Div", ["centred", "numbers_scale"], ["scaled"]),
            helper.make_node("Clip", ["scaled", "lowest", "highest"], ["standard"]),
            helper.make_node("Gemm", ["standard", "coef", "intercept"], [result]),
        ]
        constants = [
            *constants,
            constant("numbers_mean", scaler.mean),
            constant("numbers_scale", scaler.scale),
            constant("lowest", np.array(-LIMIT)),
            constant("highest", np.array(LIMIT)),
            constant("coef", self.linear.coef),
            constant("intercept", self.linear.intercept),
        ]
        return nodes, constants


def class_head(numbers: Outputs, rows: Rows, *, balanced: bool) -> Fitted:
    """The classifier that reads the numbers of a row: multinomial logistic regression, L2 penalty of one.

    Parameters
    ----------
    numbers : Outputs
        Fitted already.
    rows : Rows
        Training rows.
    balanced : bool
        Classes count alike.
    """
    from sklearn.linear_model import LogisticRegression

    from bellwether.models.logistic import logits

    if fixed := only_class(rows):
        return fixed
    weight = rows.balanced if balanced else rows.weight
    found = numbers(rows.x)
    scaler = Scaler.of(found, weight)
    model = LogisticRegression(max_iter=1000).fit(_standard(scaler, found), rows.y, weight)
    return ClassesOf(outputs=Head(numbers=numbers, linear=logits(scaler, model)), classes=rows.classes)


def value_head(numbers: Outputs, rows: Values) -> Fitted:
    """The regression that reads the numbers of a row: weighted least squares with an intercept.

    Numbers that are combinations of each other share their weight: the smallest coefficients that fit.
    """
    found = numbers(rows.x)
    scaler = Scaler.of(found, rows.weight)
    root = np.sqrt(rows.weight)[:, None]
    design = np.column_stack([_standard(scaler, found), np.ones(len(found))])
    answer = np.linalg.lstsq(root * design, root * rows.y, rcond=1e-9)[0]
    return ValuesOf(outputs=Head(numbers=numbers, linear=Linear(scaler=scaler, coef=answer[:-1], intercept=answer[-1])))


def _standard(scaler: Scaler, numbers: Floats) -> Floats:
    return np.clip(scaler(numbers), -LIMIT, LIMIT)
