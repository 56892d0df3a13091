"""A fitted scikit-learn estimator as a served model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import GraphProto
from onnx.utils import Extractor

from bellwether.models.base import Floats
from bellwether.models.graph import INPUT, OPSETS, assemble, assemble_values
from bellwether.models.rows import Classes, singles


@dataclass(frozen=True, kw_only=True)
class FittedSklearn:
    """An estimator with ``predict_proba`` over the present classes; skl2onnx writes its graph."""

    estimator: Any
    classes: Classes
    n_features: int

    def predict(self, x: Floats) -> Floats:
        """Class probabilities (n, classes)."""
        return self.classes.widen(self.estimator.predict_proba(singles(x)))

    def graph(self) -> bytes:
        """The estimator, preprocessing included, without the label output that the converter adds."""
        kept = _converted(self.estimator, self.n_features, output=1, zipmap=False)
        return assemble(kept.node, kept.initializer, "result", self.n_features, self.classes)


@dataclass(frozen=True, kw_only=True)
class FittedRegressor:
    """An estimator whose ``predict`` gives values; skl2onnx writes its graph."""

    estimator: Any
    n_features: int
    steps: int

    def predict(self, x: Floats) -> Floats:
        """Values (n, steps)."""
        return np.asarray(self.estimator.predict(singles(x)), np.float64).reshape(len(x), self.steps)

    def graph(self) -> bytes:
        """The estimator, preprocessing included."""
        kept = _converted(self.estimator, self.n_features, output=0)
        return assemble_values(kept.node, kept.initializer, "result", self.n_features, self.steps)


def _converted(estimator: Any, n_features: int, *, output: int, **options: bool) -> GraphProto:
    """The converter's graph, cut to one of its outputs, which is renamed ``result``."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model = to_onnx(
        estimator,
        initial_types=[(INPUT, FloatTensorType([None, n_features]))],
        options={id(estimator): options} if options else None,
        target_opset=OPSETS,
    )
    wanted = model.graph.output[output].name
    kept = Extractor(model).extract_model([INPUT], [wanted]).graph
    for node in kept.node:
        node.output[:] = ["result" if name == wanted else name for name in node.output]
    return kept
