"""Classes by a conjugate naive Bayes: in each class every column is a Student-t that knows how little it has seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from bellwether.econometrics.naive_bayes import (
    ClassMoments,
    ClassPredictive,
    ClassPrior,
    class_chances,
    nothing_seen,
    predictive,
    see,
)
from bellwether.errors import ModelError
from bellwether.models.base import Floats
from bellwether.models.bundle import Bundle
from bellwether.models.graph import assemble, constant
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import Classes, Singles, singles, training_rows
from bellwether.models.standardised import rounded, standardised, standardised_nodes
from bellwether.models.training import plain


@dataclass(frozen=True, kw_only=True)
class BayesClasses:
    """Naive Bayes on standardised columns.

    Parameters
    ----------
    scaler : Scaler
        Of the columns, from the training rows; it stays as it is.
    unit : float64 array of shape (classes,)
        How much a row of each class counts.
    strength : float
        Rows that the prior's mean of 0 and variance of 1 are worth in each class.
    keep : float
        In (0, 1]: a row that is k rows old counts for ``keep ** k``.
    moments : ClassMoments
        What was seen. A class that was not has probability zero.
    """

    scaler: Scaler
    unit: Floats
    strength: float
    keep: float
    moments: ClassMoments

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        return self._present.widen(class_chances(self._predictive(), self._standard(singles(x))))

    def update(self, x: Floats, y: NDArray[Any], weight: Floats | None = None) -> BayesClasses:
        """The model after it learned these rows; see `bellwether.models.updating.Updating`."""
        rows = plain(x, y, classes=len(self.unit))
        found = training_rows(rows if weight is None else replace(rows, weight=weight))
        z, y = self._standard(found.x), rows.y.astype(np.int64)
        return replace(self, moments=see(self.moments, z, y, keep=self.keep, weight=found.weight * self.unit[y]))

    def state(self) -> Bundle:
        """Everything `of_state` needs."""
        arrays = {"column_mean": self.scaler.mean, "column_scale": self.scaler.scale, "unit": self.unit}
        arrays |= {"rows": self.moments.rows, "mean": self.moments.mean, "squares": self.moments.squares}
        return Bundle(arrays, {"strength": self.strength, "keep": self.keep})

    @classmethod
    def of_state(cls, bundle: Bundle) -> BayesClasses:
        """The model whose `state` this is."""
        arrays = bundle.arrays
        return cls(
            scaler=Scaler(mean=arrays["column_mean"], scale=arrays["column_scale"]),
            unit=arrays["unit"],
            strength=bundle.facts["strength"],
            keep=bundle.facts["keep"],
            moments=ClassMoments(rows=arrays["rows"], mean=arrays["mean"], squares=arrays["squares"]),
        )

    def graph(self) -> bytes:
        """Every column against every class, the logarithms added up, and a softmax; float64 inside."""
        known = self._predictive()
        nodes, constants = standardised_nodes(self.scaler)
        nodes += [
            helper.make_node("Unsqueeze", ["standard", "second"], ["each"]),
            helper.make_node("Sub", ["each", "location"], ["apart"]),
            helper.make_node("Div", ["apart", "width"], ["relative"]),
            helper.make_node("Mul", ["relative", "relative"], ["squares"]),
            helper.make_node("Add", ["squares", "one"], ["above_one"]),
            helper.make_node("Log", ["above_one"], ["logs"]),
            helper.make_node("ReduceSum", ["logs", "last"], ["surprise"], keepdims=0),
            helper.make_node("Mul", ["surprise", "power"], ["weighed"]),
            helper.make_node("Add", ["weighed", "log_prior"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
            rounded("shares", "result"),
        ]
        constants += [
            constant("second", np.array([1])),
            constant("last", np.array([2])),
            constant("location", known.location),
            constant("width", known.scale * np.sqrt(known.dof)[:, None]),
            constant("one", np.array(1.0)),
            constant("power", -0.5 * (known.dof + 1.0)),
            constant("log_prior", known.log_prior),
        ]
        return assemble(nodes, constants, "result", len(self.scaler.mean), self._present)

    @property
    def _present(self) -> Classes:
        return Classes(total=len(self.unit), present=np.flatnonzero(self.moments.rows > 0.0))

    def _predictive(self) -> ClassPredictive:
        """Of the classes seen."""
        kept = self._present.present
        moments = ClassMoments(
            rows=self.moments.rows[kept], mean=self.moments.mean[kept], squares=self.moments.squares[kept]
        )
        return predictive(_prior(len(kept), len(self.scaler.mean), self.strength), moments)

    def _standard(self, x: Singles) -> Floats:
        if x.shape[1] != len(self.scaler.mean):
            raise ModelError(f"the model was fitted on {len(self.scaler.mean)} columns; rows have {x.shape[1]}")
        return standardised(x, self.scaler)


def unlearned_classes(scaler: Scaler, unit: Floats, *, strength: float, keep: float) -> BayesClasses:
    """The model before its first row."""
    moments = nothing_seen(_prior(len(unit), len(scaler.mean), strength))
    return BayesClasses(scaler=scaler, unit=unit, strength=strength, keep=keep, moments=moments)


def _prior(classes: int, columns: int, strength: float) -> ClassPrior:
    """One row of each class; columns as in all classes together."""
    return ClassPrior(
        counts=np.ones(classes),
        mean=np.zeros(columns),
        variance=np.ones(columns),
        mean_rows=strength,
        variance_rows=strength,
    )
