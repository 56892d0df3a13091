"""The series of outcomes itself: an autoregressive moving average whose variance clusters (GARCH), over a window.

One model for all symbols, because a row served does not say whose it is: each window of past outcomes is divided by its
own root mean square, and the mean and variance of the next outcome are multiplied back. The window's scale thus is the
long-run variance, which differs between symbols and drifts; what symbols share is how fast shocks fade. The likelihood
is that of all symbols' series, each divided by the root mean square of its training rows and set end to end; the few
joins weigh nothing beside thousands of values.

Unrolled over a window, errors are linear in outcomes, and the variance in squared errors: two matrix products, a graph
like any other. A head fits what comes out to the target: classes from the mean, its size against the deviation, and the
log deviation; values from the mean times one slope (Mincer and Zarnowitz's regression, 1969, without the constant), and
their range from the deviation times one factor. Rows whose outcomes the mean does not foretell get a slope near zero.

Sources: `bellwether.econometrics.garch`, whose forecasts these are where the window is full; Mincer and Zarnowitz, "The
evaluation of economic forecasts", in *Economic Forecasts and Expectations* (NBER, 1969).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bellwether.econometrics.garch import quantiles
from bellwether.econometrics.garch_fit import fit_garch
from bellwether.errors import ModelError
from bellwether.models.base import LEVELS, Family, Fitted, Floats, Params, Reads, Task, Training
from bellwether.models.class_head import class_head
from bellwether.models.graph import INPUT, assemble_values, constant
from bellwether.models.heads import Nodes
from bellwether.models.outcome_series import outcome_series
from bellwether.models.outlook import Outlook
from bellwether.models.rows import Values, training_rows, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

LOOKBACK = 100
"""Outcomes it sees."""

MOST = 20_000
"""Newest values the likelihood is taken of, all symbols together: more make the fit longer and hardly better."""

FEWEST = 60
"""Values it takes to fit."""

ORDERS = ("0,0", "0,1", "1,0", "1,1", "2,0", "0,2", "2,1", "1,2", "2,2")
"""AR and MA terms."""


@dataclass(frozen=True, kw_only=True)
class OutlookNumbers:
    """Of each window: the mean and the log deviation, in units of the training rows, and the mean in deviations."""

    outlook: Outlook

    @property
    def shape(self) -> tuple[int, int]:
        """Columns, numbers."""
        return self.outlook.window, 3

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Numbers (n, 3)."""
        mean, deviation = self.outlook.moments(x)
        unit = self.outlook.unit
        return np.column_stack([mean / unit, np.log(deviation / unit), mean / deviation])

    def nodes(self, rows: str, result: str) -> Nodes:
        """The outlook's nodes and three more numbers."""
        nodes, constants = self.outlook.nodes(rows, "mean", "deviation")
        more = [
            helper.make_node("Div", ["mean", "unit"], ["mean_in_units"]),
            helper.make_node("Div", ["deviation", "unit"], ["deviation_in_units"]),
            helper.make_node("Log", ["deviation_in_units"], ["log_deviation"]),
            helper.make_node("Div", ["mean", "deviation"], ["mean_in_deviations"]),
            helper.make_node("Concat", ["mean_in_units", "log_deviation", "mean_in_deviations"], [result], axis=1),
        ]
        return [*nodes, *more], [*constants, constant("unit", np.array(self.outlook.unit))]


@dataclass(frozen=True, kw_only=True)
class ForecastValues:
    """A value that is the outlook's mean times ``slope``, within its deviation times ``spread`` (both fitted)."""

    outlook: Outlook
    slope: float
    spread: float

    @classmethod
    def of(cls, outlook: Outlook, rows: Values) -> ForecastValues:
        """Fit slope and spread by weighted least squares on training rows."""
        mean, deviation = outlook.moments(rows.x)
        y, power = rows.y[:, 0], float(rows.weight @ (mean * mean))
        slope = float(rows.weight @ (mean * y)) / power if power > 0.0 else 0.0
        misses = ((y - slope * mean) / deviation) ** 2
        return cls(outlook=outlook, slope=slope, spread=float(np.sqrt(np.average(misses, weights=rows.weight))))

    def predict(self, x: Floats) -> Floats:
        """Values (n, 1)."""
        out: Floats = self.slope * self.outlook.moments(x)[0][:, None]
        return out

    def quantiles(self, x: Floats) -> Floats:
        """Quantiles (n, 1, levels) of the predictive distribution."""
        mean, deviation = self.outlook.moments(x)
        out: Floats = (self.slope * mean)[:, None, None] + (self.spread * deviation)[:, None, None] * self._steps()
        return out

    def graph(self) -> bytes:
        """The outlook's nodes, and the products."""
        nodes, constants = self.outlook.nodes("rows", "mean", "deviation")
        steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
            ("Mul", ["mean", "slope"], ["exact"], {}),
            ("Gemm", ["deviation", "steps"], ["around"], {}),
            ("Add", ["around", "exact"], ["exact_quantiles"], {}),
            ("Cast", ["exact"], ["result"], {"to": TensorProto.FLOAT}),
            ("Cast", ["exact_quantiles"], ["flat"], {"to": TensorProto.FLOAT}),
            ("Unsqueeze", ["flat", "axes"], ["ranges"], {}),
        ]
        nodes = [helper.make_node("Cast", [INPUT], ["rows"], to=TensorProto.DOUBLE), *nodes]
        nodes += [helper.make_node(kind, takes, gives, **more) for kind, takes, gives, more in steps]
        constants += [
            constant("slope", np.array(self.slope)),
            constant("steps", self.spread * self._steps()[None]),
        ]
        return assemble_values(nodes, constants, "result", self.outlook.window, 1, "ranges")

    def _steps(self) -> Floats:
        """Quantiles (levels,) of the standardised innovation."""
        return quantiles(self.outlook.model, np.zeros(()), np.ones(()), np.array(LEVELS))


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """Terms of the mean, tails of the innovations, class balance."""
    drawn = {
        "order": trial.suggest_categorical("arma_garch.order", ORDERS),
        "student": trial.suggest_categorical("arma_garch.student", [True, False]),
    }
    if task is Task.CLASSIFY:
        drawn["balanced"] = trial.suggest_categorical("arma_garch.balanced", [True, False])
    return {**drawn, "lookback": LOOKBACK}


def fit(training: Training, params: Params) -> Fitted:
    """Fit the series by maximum likelihood, then the head on all rows; the seed is not used."""
    if training.task is Task.CLASSIFY:
        rows = training_rows(training)
        numbers = OutlookNumbers(outlook=fitted(training, params))
        return class_head(numbers, rows, balanced=params["balanced"])
    values = value_rows(training)
    return ForecastValues.of(fitted(training, params), values)


def fitted(training: Training, params: Params) -> Outlook:
    """The model of the training rows' outcomes.

    Raises
    ------
    ModelError
        There are fewer than 60 outcomes that are not all alike.
    """
    found = outcome_series(training)
    series = [values[-max(MOST // len(found), FEWEST) :] for values in found]
    scales = [float(np.sqrt(np.mean(values**2))) if len(values) else 0.0 for values in series]
    joined = np.concatenate([values / s for values, s in zip(series, scales, strict=True) if s > 0.0] or [np.zeros(0)])
    if len(joined) < FEWEST or np.ptp(joined) == 0.0:
        raise ModelError(f"{len(joined)} known outcomes: a GARCH takes {FEWEST} that differ; ingest more")
    p, q = (int(terms) for terms in params["order"].split(","))
    model = fit_garch(joined, p=p, q=q, student=params["student"]).model
    every = np.concatenate(series)
    return Outlook(model=model, window=training.x.shape[1], unit=float(np.sqrt(np.mean(every**2))))


DEFAULTS = {"order": "1,1", "student": True, "balanced": True}

ARMA_GARCH = Family(
    name="arma_garch",
    tasks=frozenset(Task),
    space=space,
    fit=fit,
    defaults=DEFAULTS,
    reads=Reads.OUTCOMES,
)
