"""A value by Bayesian linear regression: what the rows say of the weights, and how sure of a value that makes one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bellwether.econometrics.conjugate import Prediction, Regression, forget, learn, predict, vague
from bellwether.errors import ModelError
from bellwether.models.base import LEVELS, Floats
from bellwether.models.bundle import Bundle
from bellwether.models.graph import assemble_values, constant
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import Singles, singles, value_rows
from bellwether.models.standardised import rounded, standardised, standardised_nodes
from bellwether.models.training import plain

LEAST = 1e-300
"""Share of what was learnt that is left in the end: a factor of zero would be no factor."""


@dataclass(frozen=True, kw_only=True)
class BayesValues:
    """Linear regression with a conjugate prior on standardised columns and a one.

    Parameters
    ----------
    scaler : Scaler
        Of the columns, from the training rows; it stays as it is.
    unit : float
        Size of a value in the training rows.
    strength : float
        Rows that the prior, weights around zero, is worth.
    keep : float
        In (0, 1]: a row that is k rows old counts for ``keep ** k``.
    known : Regression
        What is known of weights and noise, of values in units.
    """

    scaler: Scaler
    unit: float
    strength: float
    keep: float
    known: Regression

    def predict(self, x: Floats) -> Floats:
        """Values (n, 1)."""
        out: Floats = self.unit * self._predicted(x).location[:, None]
        return out

    def quantiles(self, x: Floats) -> Floats:
        """Quantiles (n, 1, levels) of the predictive Student-t."""
        out: Floats = self.unit * self._predicted(x).quantiles(np.array(LEVELS))[:, None, :]
        return out

    def update(self, x: Floats, y: NDArray[Any], weight: Floats | None = None) -> BayesValues:
        """The model after it learned these rows; see `bellwether.models.updating.Updating`."""
        given = plain(x, y)
        rows = value_rows(given if weight is None else replace(given, weight=weight))
        if rows.y.shape[1] != 1:
            raise ModelError(f"the model predicts one step; the rows to learn have {rows.y.shape[1]}")
        n = len(rows.y)
        left = max(self.keep**n, LEAST)
        ages = self.keep ** np.arange(n)[::-1]
        faded = forget(self.known, self._prior(), keep=left)  # all at once: natural parameters add up
        return replace(
            self, known=learn(faded, self._design(rows.x), rows.y[:, 0] / self.unit, weight=ages * rows.weight)
        )

    def state(self) -> Bundle:
        """Everything `of_state` needs."""
        arrays = {"column_mean": self.scaler.mean, "column_scale": self.scaler.scale}
        arrays |= {"mean": self.known.mean, "precision": self.known.precision}
        numbers = {name: getattr(self, name) for name in ("unit", "strength", "keep")}
        return Bundle(arrays, {**numbers, "shape": self.known.shape, "scale": self.known.scale})

    @classmethod
    def of_state(cls, bundle: Bundle) -> BayesValues:
        """The model whose `state` this is."""
        arrays, facts = bundle.arrays, bundle.facts
        return cls(
            scaler=Scaler(mean=arrays["column_mean"], scale=arrays["column_scale"]),
            unit=facts["unit"],
            strength=facts["strength"],
            keep=facts["keep"],
            known=Regression(
                mean=arrays["mean"], precision=arrays["precision"], shape=facts["shape"], scale=facts["scale"]
            ),
        )

    def graph(self) -> bytes:
        """One matrix product for the value, and one for how far the row is from what was seen."""
        columns, known = len(self.scaler.mean), self.known
        t = Prediction(location=np.zeros(1), scale=np.ones(1), dof=2.0 * known.shape).quantiles(np.array(LEVELS))
        half = np.linalg.inv(np.linalg.cholesky(known.precision)).T  # x' precision^-1 x is the square of x' half
        noise = known.scale / known.shape
        nodes, constants = standardised_nodes(self.scaler)
        nodes += [
            helper.make_node("Gemm", ["standard", "weights", "intercept"], ["exact"]),
            helper.make_node("Gemm", ["standard", "half", "half_of_one"], ["whitened"]),
            helper.make_node("ReduceSumSquare", ["whitened", "axes"], ["distance"]),
            helper.make_node("Mul", ["distance", "noise"], ["ignorance"]),
            helper.make_node("Add", ["ignorance", "noise"], ["variance"]),
            helper.make_node("Sqrt", ["variance"], ["deviation"]),
            helper.make_node("Mul", ["deviation", "steps"], ["around"]),
            helper.make_node("Add", ["around", "exact"], ["exact_quantiles"]),
            helper.make_node("Cast", ["exact_quantiles"], ["flat"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["flat", "axes"], ["ranges"]),
            rounded("exact", "result"),
        ]
        constants += [
            constant("weights", self.unit * known.mean[:columns, None]),
            constant("intercept", self.unit * known.mean[columns:]),
            constant("half", half[:columns].copy()),
            constant("half_of_one", half[columns].copy()),
            constant("noise", np.array(noise)),
            constant("steps", self.unit * t),
            constant("axes", np.array([1])),
        ]
        return assemble_values(nodes, constants, "result", columns, 1, "ranges")

    def _predicted(self, x: Floats) -> Prediction:
        return predict(self.known, self._design(singles(x)))

    def _design(self, x: Singles) -> Floats:
        if x.shape[1] != len(self.scaler.mean):
            raise ModelError(f"the model was fitted on {len(self.scaler.mean)} columns; rows have {x.shape[1]}")
        return np.column_stack([standardised(x, self.scaler), np.ones(len(x))])

    def _prior(self) -> Regression:
        return vague(len(self.scaler.mean) + 1, strength=self.strength)


def unlearned_values(scaler: Scaler, unit: float, *, strength: float, keep: float) -> BayesValues:
    """The model before its first row."""
    known = vague(len(scaler.mean) + 1, strength=strength)
    return BayesValues(scaler=scaler, unit=unit, strength=strength, keep=keep, known=known)
