"""Mean and deviation of what follows a window of outcomes, by an ARMA-GARCH whose recursions are unrolled.

Errors are linear in the values of a window, and the variance of what comes next is linear in squared errors: two matrix
products instead of two recursions, in Python and in a graph alike. Each window is divided by its own root mean square
first, and the result multiplied back: a model is of standardised values, and fits any series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bellwether.econometrics.garch import Garch, conditional_variance
from bellwether.models.base import Floats
from bellwether.models.graph import constant
from bellwether.models.heads import Nodes
from bellwether.models.linear_graph import blocks
from bellwether.models.outcome_series import known
from bellwether.models.rows import singles


@dataclass(frozen=True, kw_only=True)
class Unrolled:
    """A model of standardised values, as weights over one window.

    Parameters
    ----------
    errors, base : float64 arrays of shape (w, w - p) and (w - p,)
        ``z @ errors + base`` are the errors of a window ``z``.
    mean, shocks, level : float64 arrays of shape (w,) and (w - p,), and float
        The mean of what comes next, from values and errors.
    squares, floor : float64 array of shape (w - p,), and float
        Its variance, from squared errors.
    """

    errors: Floats
    base: Floats
    mean: Floats
    shocks: Floats
    level: float
    squares: Floats
    floor: float

    @classmethod
    def of(cls, model: Garch, window: int) -> Unrolled:
        """The recursions of a model over windows of so many values.

        >>> found = Unrolled.of(Garch(ma=np.array([0.5]), omega=0.1, alpha=0.1, beta=0.8), 3)
        >>> found.errors.round(3).tolist()  # of a shock, -0.5 is in the next error and 0.25 in the one after
        [[1.0, -0.5, 0.25], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]]
        """
        p, q = len(model.ar), len(model.ma)
        base = conditional_variance(model, np.zeros(window))[0]
        errors = np.array([conditional_variance(model, unit)[0] - base for unit in np.eye(window)])
        count = window - p
        mean, shocks = np.zeros(window), np.zeros(count)
        mean[window - p :] = model.ar[::-1]
        shocks[max(count - q, 0) :] = model.ma[: min(q, count)][::-1]
        left = np.power(model.beta, np.arange(count, dtype=np.float64)[::-1])
        start = model.beta**count * (model.alpha + model.beta)
        return cls(
            errors=errors,
            base=base,
            mean=mean,
            shocks=shocks,
            level=model.const,
            squares=model.alpha * left + start / count,
            floor=model.omega * (1.0 - model.beta ** (count + 1)) / (1.0 - model.beta),
        )


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Mean and deviation of what follows a window of outcomes.

    Parameters
    ----------
    model : Garch
        Of standardised values.
    window : int
        Outcomes in a window.
    unit : float
        Root mean square of the training rows' outcomes: one such outcome is imagined in each window.
    """

    model: Garch
    window: int
    unit: float

    def moments(self, x: NDArray[Any]) -> tuple[Floats, Floats]:
        """Mean and standard deviation (n,), in the unit of the outcomes."""
        unrolled = Unrolled.of(self.model, self.window)
        out = np.empty((2, len(x)))
        for k in blocks(len(x)):
            out[:, k] = self._block(unrolled, singles(x[k]).astype(np.float64))
        return out[0], out[1]

    def _block(self, u: Unrolled, y: Floats) -> tuple[Floats, Floats]:
        seen = known(y).astype(np.float64)
        scale = np.sqrt(((y * y).sum(axis=1) + self.unit**2) / (seen.sum(axis=1) + 1.0))
        z = y / scale[:, None]
        e = z @ u.errors + u.base
        there = seen[:, self.window - len(u.base) :]
        squared = there * e * e + (1.0 - there)  # where nothing is known, an error of the usual size
        mean = z @ u.mean + (there * e) @ u.shocks + u.level
        return scale * mean, scale * np.sqrt(squared @ u.squares + u.floor)

    def nodes(self, rows: str, mean: str, deviation: str) -> Nodes:
        """What writes float64 mean and deviation (n, 1)."""
        u = Unrolled.of(self.model, self.window)
        steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
            ("Abs", [rows], ["sizes"], {}),
            ("CumSum", ["sizes", "axis"], ["so_far"], {}),
            ("Greater", ["so_far", "zero"], ["known"], {}),
            ("Cast", ["known"], ["seen"], {"to": TensorProto.DOUBLE}),
            ("ReduceSum", ["seen", "axes"], ["count"], {}),
            ("ReduceSumSquare", [rows, "axes"], ["square_sum"], {}),
            ("Add", ["square_sum", "imagined"], ["square_total"], {}),
            ("Add", ["count", "one"], ["total"], {}),
            ("Div", ["square_total", "total"], ["mean_square"], {}),
            ("Sqrt", ["mean_square"], ["scale"], {}),
            ("Div", [rows, "scale"], ["z"], {}),
            ("Gemm", ["z", "errors", "base"], ["e"], {}),
            ("Slice", ["seen", "skipped", "end", "axes"], ["there"], {}),
            ("Mul", ["there", "e"], ["kept"], {}),
            ("Mul", ["kept", "e"], ["kept_squares"], {}),
            ("Sub", ["kept_squares", "there"], ["unshifted"], {}),  # the 1 that each lacks is in the floor
            ("Gemm", ["unshifted", "squares", "floor"], ["variance"], {}),
            ("Sqrt", ["variance"], ["relative_deviation"], {}),
            ("Mul", ["relative_deviation", "scale"], [deviation], {}),
            ("Gemm", ["z", "mean_weights", "level"], ["without_shocks"], {}),
            ("Gemm", ["kept", "shocks", "without_shocks"], ["relative_mean"], {}),
            ("Mul", ["relative_mean", "scale"], [mean], {}),
        ]
        scalars = {"zero": 0.0, "one": 1.0, "imagined": self.unit**2}
        constants = [constant(name, np.array(value)) for name, value in scalars.items()] + [
            constant("axis", np.array(1)),
            constant("axes", np.array([1])),
            constant("skipped", np.array([self.window - len(u.base)])),
            constant("end", np.array([self.window])),
            constant("errors", u.errors),
            constant("base", u.base),
            constant("squares", u.squares[:, None]),
            constant("floor", np.array([u.floor + u.squares.sum()])),
            constant("mean_weights", u.mean[:, None]),
            constant("level", np.array([u.level])),
            constant("shocks", u.shocks[:, None]),
        ]
        return [helper.make_node(kind, takes, gives, **more) for kind, takes, gives, more in steps], constants
