"""A fitted scikit-learn classifier as a served model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnx.utils import Extractor

from bellwether.models.base import Floats
from bellwether.models.graph import INPUT, OPSETS, assemble
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
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        model = to_onnx(
            self.estimator,
            initial_types=[(INPUT, FloatTensorType([None, self.n_features]))],
            options={id(self.estimator): {"zipmap": False}},
            target_opset=OPSETS,
        )
        probabilities = model.graph.output[1].name
        kept = Extractor(model).extract_model([INPUT], [probabilities]).graph
        for node in kept.node:
            node.output[:] = ["present" if name == probabilities else name for name in node.output]
        return assemble(kept.node, kept.initializer, "present", self.n_features, self.classes)
