"""The network with a Bayesian last layer as a graph; float64 between a float32 input and a float32 output.

A variance is a row times a factor of the covariance, squared and summed: never below zero, whatever the rounding.

Axes count from the front: onnxruntime 1.31 leaves a negative axis of a sum unreduced where there are no rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper
from scipy.special import ndtri

from bellwether.models.base import LEVELS, Floats
from bellwether.models.bayes_head import PROBIT, STEEPEST, ClassHead, ValueHead
from bellwether.models.graph import assemble, assemble_values, constant
from bellwether.models.heads import Nodes
from bellwether.models.linear_graph import Scaler
from bellwether.models.rows import Classes
from bellwether.models.standardised import rounded, standardised_nodes

LAST = "hidden"
"""What the last layer reads."""


def class_graph(scaler: Scaler, layers: Sequence[tuple[Floats, Floats]], head: ClassHead, classes: Classes) -> bytes:
    """`bellwether.models.bayes_head.ClassHead.probabilities` on top of the layers."""
    nodes, constants = _body(scaler, layers)
    k, d, pairs = head.classes, len(head.gap) - 1, head.gap.shape[1]
    nodes += [
        helper.make_node("Gemm", [LAST, "gap", "gap_bias"], ["gap_mean"]),
        *_variance(),
        helper.make_node("Mul", ["variance", "probit"], ["doubt"]),
        helper.make_node("Add", ["doubt", "one"], ["stretch_squared"]),
        helper.make_node("Sqrt", ["stretch_squared"], ["stretch"]),
        helper.make_node("Div", ["gap_mean", "stretch"], ["gap_shrunk"]),
        helper.make_node("Clip", ["gap_shrunk", "flattest", "steepest"], ["gap_kept"]),
        helper.make_node("MatMul", ["gap_kept", "signs"], ["gaps_flat"]),
        helper.make_node("Exp", ["gaps_flat"], ["against_flat"]),
        helper.make_node("Reshape", ["against_flat", "square"], ["against"]),
        helper.make_node("ReduceSum", ["against", "third_axis"], ["against_all"], keepdims=0),
        helper.make_node("Reciprocal", ["against_all"], ["odds"]),
        helper.make_node("ReduceSum", ["odds", "second_axis"], ["total"], keepdims=1),
        helper.make_node("Div", ["odds", "total"], ["shares"]),
        rounded("shares", "result"),
    ]
    constants += [
        constant("gap", head.gap[:d]),
        constant("gap_bias", head.gap[d]),
        *_factor(head.factor[:d], head.factor[d], pairs),
        constant("probit", np.array(PROBIT)),
        constant("one", np.array(1.0)),
        constant("flattest", np.array(-STEEPEST)),
        constant("steepest", np.array(STEEPEST)),
        constant("signs", -head.signs),
        constant("second_axis", np.array([1])),
        constant("square", np.array([0, k, k])),
    ]
    return assemble(nodes, constants, "result", len(scaler.mean), classes)


def value_graph(
    scaler: Scaler, layers: Sequence[tuple[Floats, Floats]], head: ValueHead, centre: Floats, unit: Floats
) -> bytes:
    """The mean and the quantiles of `bellwether.models.bayes_head.ValueHead` on top of the layers."""
    nodes, constants = _body(scaler, layers)
    steps = len(unit)
    nodes += [
        helper.make_node("Gemm", [LAST, "coef", "intercept"], ["mean"]),
        *_variance(),
        helper.make_node("Add", ["variance", "noise"], ["whole_variance"]),
        helper.make_node("Sqrt", ["whole_variance"], ["deviation"]),
        helper.make_node("Mul", ["deviation", "unit"], ["spread"]),
        helper.make_node("Unsqueeze", ["mean", "third_axis"], ["mean_each"]),
        helper.make_node("Unsqueeze", ["spread", "third_axis"], ["spread_each"]),
        helper.make_node("Mul", ["spread_each", "levels"], ["distance"]),
        helper.make_node("Add", ["mean_each", "distance"], ["ranges"]),
        rounded("mean", "result"),
        rounded("ranges", "result_ranges"),
    ]
    constants += [
        constant("coef", head.coef * unit),
        constant("intercept", centre + unit * head.intercept),
        *_factor(head.factor, head.offset, steps),
        constant("noise", head.noise),
        constant("unit", unit),
        constant("levels", ndtri(np.array(LEVELS))),
    ]
    return assemble_values(nodes, constants, "result", len(scaler.mean), steps, "result_ranges")


def _body(scaler: Scaler, layers: Sequence[tuple[Floats, Floats]]) -> Nodes:
    """The hidden layers, from ``features`` to the tensor `LAST`."""
    nodes, constants = standardised_nodes(scaler)
    read = "standard"
    for number, (weights, bias) in enumerate(layers):
        name = LAST if number == len(layers) - 1 else f"layer_{number}"
        nodes.append(helper.make_node("Gemm", [read, f"weights_{number}", f"bias_{number}"], [f"sum_{number}"]))
        nodes.append(helper.make_node("Relu", [f"sum_{number}"], [name]))
        constants += [constant(f"weights_{number}", weights), constant(f"bias_{number}", bias)]
        read = name
    return nodes, constants


def _variance() -> list[onnx.NodeProto]:
    """From `LAST` to the tensor ``variance`` (n, groups)."""
    return [
        helper.make_node("Gemm", [LAST, "factor", "factor_bias"], ["root"]),
        helper.make_node("Mul", ["root", "root"], ["squares"]),
        helper.make_node("Reshape", ["squares", "by_group"], ["grouped"]),
        helper.make_node("ReduceSum", ["grouped", "third_axis"], ["variance"], keepdims=0),
    ]


def _factor(factor: Floats, bias: Floats, groups: int) -> list[onnx.TensorProto]:
    """The arrays that `_variance` reads."""
    return [
        constant("factor", factor.copy()),
        constant("factor_bias", bias.copy()),
        constant("by_group", np.array([0, groups, len(bias) // groups])),
        constant("third_axis", np.array([2])),
    ]
