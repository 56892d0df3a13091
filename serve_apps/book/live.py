"""The newest row of one symbol, and what a model looks back on from there: rows like those it was trained on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bellwether.config.recipe import Recipe
from bellwether.models.artefact import Contract
from bellwether.models.base import Reads
from data.features.base import FeatureSet, Floats, Ints
from data.inputs import Inputs, inputs
from data.panel import Panel
from data.rows import outcomes, pending, told
from data.targets import target_kind

Flags = NDArray[np.bool_]

HELD = 256
"""Rows whose features are kept: how far a model of features may look back."""

SERVED = (Reads.FEATURES.value, Reads.OUTCOMES.value, Reads.LABELS.value)
"""What a model may read. Prices of all symbols are not offered: the apps look at one symbol at a time."""


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """Rows of one symbol, in time order.

    Parameters
    ----------
    ts : int64 array of shape (n,)
    value : float64 array of shape (n,)
        The target's series; NaN where a row has none.
    whole : bool array of shape (n,)
        Which rows lack no feature.
    x : float64 array of shape (m, features)
        Features of the last whole rows, m at most `HELD`.
    newest : float64 array of shape (features,)
        Features of the last row, whole or not.
    """

    ts: Ints
    value: Floats
    whole: Flags
    x: Floats
    newest: Floats

    @classmethod
    def of(cls, ts: Ints, value: Floats, x: Floats) -> Scanned:
        """Rows with all their features (n, features)."""
        whole = np.asarray(np.isfinite(x).all(axis=1))
        last = np.flatnonzero(whole)[-HELD:]
        newest = x[-1].copy() if len(x) else np.empty(x.shape[1])
        return cls(ts=ts, value=value, whole=whole, x=x[last], newest=newest)

    def then(self, later: Scanned) -> Scanned:
        """These rows and later ones."""
        if not len(later.ts):
            return self
        return Scanned(
            ts=np.concatenate([self.ts, later.ts]),
            value=np.concatenate([self.value, later.value]),
            whole=np.concatenate([self.whole, later.whole]),
            x=np.concatenate([self.x, later.x])[-HELD:],
            newest=later.newest,
        )


@dataclass(frozen=True, kw_only=True)
class Short:
    """Too little history for a model: how many rows it looks back on, and how many there are."""

    need: int
    have: int
    what: str

    def __str__(self) -> str:
        return f"the model looks at {self.need} {self.what} and there are {self.have}"


@dataclass(frozen=True, kw_only=True)
class Live:
    """The newest row of a symbol, whole, and what is behind it.

    Parameters
    ----------
    ts : int
        Its time, UTC nanoseconds.
    value : float
        The target's series there: the mid.
    newest : float64 array of shape (features,)
    rows : Inputs
        The last rows, with features.
    series : Inputs
        All rows there are, without features.
    outcome : float64 array of shape (n,)
        Of the rows of ``series``; NaN where it is not known yet.
    target : str
        Kind of the target.
    """

    ts: int
    value: float
    newest: Floats
    rows: Inputs
    series: Inputs
    outcome: Floats
    target: str
    _shown: dict[tuple[str, int, tuple[float, ...] | None], Floats | Short] = field(
        default_factory=dict, repr=False, compare=False
    )

    def seen(self, contract: Contract) -> Floats | Short:
        """What a model is shown, shape (columns,): bit for bit what training would have shown it of this row.

        It is found once; models that read alike are shown the same array.
        """
        key = (contract.reads, contract.lookback, contract.edges if contract.classes else None)
        if (shown := self._shown.get(key)) is None:
            shown = self._shown[key] = self._seen(contract)
        return shown

    def _seen(self, contract: Contract) -> Floats | Short:
        reads, lookback = Reads(contract.reads), contract.lookback
        source = self.rows if reads is Reads.FEATURES else self.series
        last = len(source.ts) - 1
        if (have := source.reach(reads, lookback, last)) < lookback:
            what = "rows with all features" if reads is Reads.FEATURES else "known outcomes that do not overlap"
            return Short(need=lookback, have=have, what=what)
        labels = self._labels(contract) if reads is Reads.LABELS and contract.classes else None
        found: Floats = source.look(reads, lookback, np.array([last]), labels)[0]
        return found

    def _labels(self, contract: Contract) -> Ints:
        labels, known = np.zeros(len(self.outcome), np.int64), np.isfinite(self.outcome)
        labels[known] = target_kind(self.target).encode(self.outcome[known], np.array(contract.edges))
        return labels


def live(recipe: Recipe, features: FeatureSet, symbol: str, rows: Scanned) -> Live | str:
    """The newest of ``rows``, or the reason why nothing can be predicted from it."""
    if reason := _unfit(features, rows):
        return reason
    outcome, t1 = outcomes(recipe, rows.ts, rows.value)
    kept = rows.whole & (told(outcome) | pending(recipe, rows.ts, rows.value, t1))
    level = target_kind(recipe.target.kind).level

    def indexed(of: Ints, x: Floats) -> Inputs:
        return inputs(
            Panel(
                x=x,
                outcome=outcome[of],
                value=rows.value[of],
                ts=rows.ts[of],
                t1=t1[of],
                who=np.zeros(len(of), np.int64),
                symbols=(symbol,),
                features=features.outputs,
                definition=features.definition,
                warmup=features.warmup,
            ),
            level,
        )

    last = np.flatnonzero(rows.whole)[-len(rows.x) :]
    among = kept[last]
    every = np.flatnonzero(kept)
    first = outcome if outcome.ndim == 1 else outcome[:, 0]
    return Live(
        ts=int(rows.ts[-1]),
        value=float(rows.value[-1]),
        newest=rows.newest,
        rows=indexed(last[among], rows.x[among]),
        series=indexed(every, np.empty((len(every), 0))),
        outcome=first[every],
        target=recipe.target.kind,
    )


def _unfit(features: FeatureSet, rows: Scanned) -> str | None:
    if len(rows.ts) <= features.warmup:
        return f"its history has {len(rows.ts)} rows and the features need {features.warmup + 1}"
    if not rows.whole[-1]:
        unknown = [n for n, v in zip(features.outputs, rows.newest, strict=True) if not np.isfinite(v)]
        shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        return f"features of its newest row are not known: {shown}"
    return None if np.isfinite(rows.value[-1]) else "its newest row has no price"
