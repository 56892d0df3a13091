"""What a feature set is: a causal scan with explicit state, defined once for history and for the stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bellwether.config.frozen import Frozen
from bellwether.config.sections import Session
from bellwether.errors import DataError
from data.features.compiled import source_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRST = np.zeros(1, np.int64)
"""The ``who`` of a single row of a single symbol."""


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """A causal map from records to features.

    Parameters
    ----------
    name : str
        Key in the feature table, e.g. ``"hourly"``.
    inputs : tuple of str
        Record columns the kernel reads, in the order of the columns of ``x``.
    outputs : tuple of str
        Feature names, in the order of the columns of ``out``.
    warmup : int
        Rows of a symbol whose features are NaN because their history is incomplete.
    state : numpy.dtype
        What one symbol must remember between rows: one structured record, all zero at the start.
    kernel : callable
        Compiled ``kernel(x, who, state, out)``. Row ``i`` belongs to the symbol at ``state[who[i]]``; rows of a
        symbol come in time order. Reads row ``i`` and that record only: it cannot see the future.
    inputs_from : tuple of callable
        Functions that make columns of ``x`` out of records; their source is part of the definition.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    warmup: int
    state: np.dtype[np.void]
    kernel: Callable[..., None]
    inputs_from: tuple[Callable[..., Any], ...] = ()

    @cached_property
    def definition(self) -> str:
        """Hash that a model carries and serving checks: names, order, warm-up, state, and all code and constants."""
        parts = (self.name, self.inputs, self.outputs, self.warmup, self.state.descr)
        source = [source_of(f) for f in (self.kernel, *self.inputs_from)]
        return hashlib.sha256(repr((*parts, *source)).encode()).hexdigest()[:16]

    def start(self, n_symbols: int = 1) -> NDArray[np.void]:
        """Fresh memory, one record per symbol."""
        return np.zeros(n_symbols, self.state)

    def scan(self, x: Floats, state: NDArray[np.void], who: Ints | None = None, out: Floats | None = None) -> Floats:
        """Advance ``state`` by the rows of ``x`` and return their features.

        A year of one symbol, one bar, and a micro-batch of a hundred symbols are the same call.

        Parameters
        ----------
        x : float64 array of shape (n, len(inputs))
            Rows in time order. NaN is refused by the record schema before it gets here; a set that takes NaN in
            some column says so.
        state : structured array of shape (n_symbols,)
            Advanced in place.
        who : int64 array of shape (n,), optional
            Index into ``state`` of each row; all zero if left out.
        out : float64 array of shape (n, len(outputs)), optional
            Where the features go; a caller in a hurry reuses it.

        Returns
        -------
        float64 array of shape (n, len(outputs))

        Raises
        ------
        DataError
            The arrays do not have these shapes. The values of ``who`` are the caller's to get right.
        """
        n = len(x)
        if who is None:
            who = FIRST if n == 1 else np.zeros(n, np.int64)
        if out is None:
            out = np.empty((n, len(self.outputs)))
        if x.shape != (n, len(self.inputs)) or out.shape != (n, len(self.outputs)) or len(who) != n:
            raise DataError(
                f"{self.name} takes x (n, {len(self.inputs)}), who (n,) and out (n, {len(self.outputs)}); "
                f"got {x.shape}, {who.shape} and {out.shape}"
            )
        self.kernel(x, who, state, out)
        return out


@dataclass(frozen=True, kw_only=True)
class InputContext:
    """What the columns of ``x`` are made of besides a symbol's own records.

    Parameters
    ----------
    symbol : str
        Whose records they are.
    session : Session
        The market's hours.
    market : object
        What `FeatureKind.market` made of the universe; None for a set that does not look at others.
    """

    symbol: str
    session: Session
    market: Any = None


@dataclass(frozen=True, kw_only=True)
class MarketScan:
    """How a set sees the other symbols of its universe: once for all, before any symbol is scanned.

    Parameters
    ----------
    columns : tuple of str
        Record columns it reads, besides ``ts_event``.
    scan : callable
        ``scan(series, weights, universe)``, ``series`` a mapping of symbol (the components that have records, and the
        index if it has) to ``(ts, values)``, int64 of shape (n,) rising and float64 of shape (n, len(columns)),
        returns what `InputContext.market` shows. It looks at each timestamp back only.
    definition : callable
        ``definition(n)`` of a universe of n components: a hash that changes with what ``scan`` computes.
    index : bool
        Whether it reads the index too.
    """

    columns: tuple[str, ...]
    scan: Callable[..., Any]
    definition: Callable[[int], str]
    index: bool = False


class NoOptions(Frozen):
    """A feature set that leaves nothing to say."""


@dataclass(frozen=True, kw_only=True)
class FeatureKind:
    """A family of feature sets: what a recipe names, with the options it may give.

    Parameters
    ----------
    kind : str
        Key in the feature table and in recipes.
    record : str
        The record kind it reads.
    build : callable
        ``build(options)`` returns the `FeatureSet`.
    inputs : callable
        ``inputs(fs, records, context)`` of the records of one symbol, in the lake's order, returns ``ts``, int64 of
        shape (n,), and ``x`` for ``fs``, float64 of shape (n, len(fs.inputs)): a row an event or instant, each made
        of records of that instant, the calendar and the market's past only.
    options : type
        What a recipe may say about it; all have defaults.
    by_session : bool
        Its state starts anew with each session, so that sessions can be computed apart.
    market : MarketScan, optional
        How it sees the other symbols, if it does.
    alone : bool
        Clients send single rows of it: a model of it looks at no row before.
    """

    kind: str
    record: str
    build: Callable[[Any], FeatureSet]
    inputs: Callable[[FeatureSet, pa.Table, InputContext], tuple[Ints, Floats]]
    options: type[Frozen] = NoOptions
    by_session: bool = False
    market: MarketScan | None = None
    alone: bool = False
