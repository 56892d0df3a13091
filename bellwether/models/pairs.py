"""Pairs of symbols whose prices are tied together: the next move closes part of the gap.

Pairs are those that are cointegrated on the training rows, after correction for the number of pairs tried
(`bellwether.econometrics.cointegration`). Each has a spread, ``log y - const - hedge log x``, in its standard
deviations; a symbol's outcomes are regressed on the spreads of its strongest pairs (the error correction of Engle and
Granger), on either side of them. A symbol without a pair, or whose partner has no price yet, is predicted no change.

Source: Engle and Granger, "Co-integration and error correction", Econometrica 55 (1987).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from bellwether.econometrics.cointegration import Pair, select_pairs
from bellwether.models.base import Family, Fitted, Floats, Ints, Params, Reads, Task, Training
from bellwether.models.constant import ConstantValues
from bellwether.models.graph import constant
from bellwether.models.heads import Nodes, ValuesOf
from bellwether.models.rows import Values, singles, value_rows

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

MOST = 5_000
"""Moments the tests look at, evenly spaced: a tie shows over a long time, not in many rows."""

FEWEST = 100
"""Moments it takes to look for a pair."""

LIMIT = 4.0
"""Standard deviations at which a spread ends: one that is further out has rather broken than stretched."""


@dataclass(frozen=True, kw_only=True)
class Spreads:
    """The move of each symbol that its spreads call for.

    Parameters
    ----------
    weights : float64 array of shape (symbols, pairs)
        Of log prices in each spread, in its standard deviations.
    level : float64 array of shape (pairs,)
        Added to each.
    answers : float64 array of shape (symbols, pairs)
        Move of each symbol for one standard deviation.
    """

    weights: Floats
    level: Floats
    answers: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Columns, outputs."""
        return 1 + len(self.weights), 1

    def scores(self, x: NDArray[Any]) -> Floats:
        """Spreads of rows (n, pairs); 0, where they call for nothing, if a price is not known yet."""
        logs = singles(x)[:, 1:].astype(np.float64)
        unknown = (logs == 0.0).astype(np.float64) @ (self.weights != 0.0)
        return np.where(unknown > 0.0, 0.0, np.clip(logs @ self.weights + self.level, -LIMIT, LIMIT))

    def __call__(self, x: NDArray[Any]) -> Floats:
        """Values (n, 1)."""
        who = np.rint(x[:, 0]).astype(np.int64).clip(0, len(self.weights) - 1)
        out: Floats = (self.scores(x) * self.answers[who]).sum(axis=1, keepdims=True)
        return out

    def nodes(self, rows: str, result: str) -> Nodes:
        """The same; the symbol's position looks up its answers."""
        steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
            ("Split", [rows, "parts"], ["position", "logs"], {"axis": 1}),
            ("Round", ["position"], ["whole"], {}),
            ("Clip", ["whole", "zero", "last"], ["inside"], {}),
            ("Cast", ["inside"], ["column"], {"to": TensorProto.INT64}),
            ("Squeeze", ["column", "axes"], ["who"], {}),
            ("Gather", ["answers", "who"], ["own"], {"axis": 0}),
            ("Equal", ["logs", "zero"], ["missing"], {}),
            ("Cast", ["missing"], ["missing_prices"], {"to": TensorProto.DOUBLE}),
            ("MatMul", ["missing_prices", "read"], ["unknown"], {}),
            ("Greater", ["unknown", "zero"], ["untold"], {}),
            ("Gemm", ["logs", "weights", "level"], ["unbounded"], {}),
            ("Clip", ["unbounded", "lowest", "highest"], ["spreads"], {}),
            ("Where", ["untold", "zero", "spreads"], ["scores"], {}),
            ("Mul", ["scores", "own"], ["moves"], {}),
            ("ReduceSum", ["moves", "axes"], [result], {}),
        ]
        scalars = {"zero": 0.0, "last": len(self.weights) - 1.0, "lowest": -LIMIT, "highest": LIMIT}
        constants = [constant(name, np.array(value)) for name, value in scalars.items()] + [
            constant("parts", np.array([1, len(self.weights)])),
            constant("axes", np.array([1])),
            constant("weights", self.weights),
            constant("level", self.level),
            constant("read", (self.weights != 0.0).astype(np.float64)),
            constant("answers", self.answers),
        ]
        return [helper.make_node(kind, takes, gives, **more) for kind, takes, gives, more in steps], constants


def found_pairs(x: Floats, ts: Ints, params: Params) -> tuple[Pair, ...]:
    """Cointegrated pairs of positions of symbols, strongest first.

    Symbols without a price at half of the moments are left out, then moments at which one of the others has none.

    Parameters
    ----------
    x : float array of shape (n, 1 + symbols)
    ts : int64 array of shape (n,)
        Rows of one moment hold the same prices.
    params : mapping
        ``level`` and ``correction`` as in `bellwether.econometrics.cointegration.select_pairs`.
    """
    moments = np.unique(ts, return_index=True)[1]
    logs = x[moments, 1:].astype(np.float64)
    kept = np.flatnonzero((logs != 0.0).mean(axis=0) > 0.5)
    logs = logs[(logs[:, kept] != 0.0).all(axis=1)][:, kept]
    logs = logs[:: -(-len(logs) // MOST) or 1]
    moving = np.ptp(logs, axis=0) > 0.0 if len(logs) else np.zeros(len(kept), np.bool_)
    kept, logs = kept[moving], logs[:, moving]
    if len(kept) < 2 or len(logs) < FEWEST:
        return ()
    pairs = select_pairs(np.exp(logs), level=params["level"], correction=params["correction"])
    return tuple(Pair(y=int(kept[p.y]), x=int(kept[p.x]), p_value=p.p_value, relation=p.relation) for p in pairs)


def spreads(pairs: tuple[Pair, ...], symbols: int, most: int) -> Spreads:
    """The spreads of each symbol's ``most`` strongest pairs, which call for nothing yet."""
    used = np.zeros(symbols, np.int64)
    kept = []
    for pair in pairs:
        if used[pair.y] < most or used[pair.x] < most:
            kept.append(pair)
            used[[pair.y, pair.x]] += 1
    weights, level = np.zeros((symbols, len(kept))), np.zeros(len(kept))
    for k, pair in enumerate(kept):
        tie = pair.relation
        weights[pair.y, k], weights[pair.x, k] = 1.0 / tie.spread_std, -tie.hedge / tie.spread_std
        level[k] = -tie.const / tie.spread_std
    return Spreads(weights=weights, level=level, answers=np.zeros_like(weights))


def answered(gaps: Spreads, rows: Values, most: int) -> Spreads:
    """The spreads with each symbol's answers to its ``most`` strongest: weighted least squares through zero."""
    scores, who = gaps.scores(rows.x), np.rint(rows.x[:, 0]).astype(np.int64)
    answers = np.zeros_like(gaps.weights)
    for symbol in np.unique(who):
        own, mine = who == symbol, np.flatnonzero(gaps.weights[symbol])[:most]
        root = np.sqrt(rows.weight[own])[:, None]
        answers[symbol, mine] = np.linalg.lstsq(root * scores[own][:, mine], root * rows.y[own], rcond=1e-6)[0][:, 0]
    return Spreads(weights=gaps.weights, level=gaps.level, answers=answers)


def space(trial: BaseTrial, task: Task) -> dict[str, Any]:
    """How rare a false pair has to be, how that is counted, and how many pairs a symbol answers to."""
    return {
        "level": trial.suggest_float("pairs.level", 0.01, 0.2, log=True),
        "correction": trial.suggest_categorical("pairs.correction", ["holm", "fdr_by"]),
        "most": trial.suggest_int("pairs.most", 1, 4),
    }


def fit(training: Training, params: Params) -> Fitted:
    """Find the pairs, then what each symbol answers; the seed is not used."""
    rows = value_rows(training)
    pairs = found_pairs(training.x, training.ts, params)
    if not pairs:
        return ConstantValues(values=np.zeros(1), n_features=rows.x.shape[1])
    gaps = spreads(pairs, rows.x.shape[1] - 1, params["most"])
    return ValuesOf(outputs=answered(gaps, rows, params["most"]))


DEFAULTS = {"level": 0.05, "correction": "holm", "most": 2}

PAIRS = Family(
    name="pairs",
    tasks=frozenset({Task.REGRESS}),
    space=space,
    fit=fit,
    defaults=DEFAULTS,
    reads=Reads.PRICES,
)
