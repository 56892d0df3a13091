"""What a feature set is: a causal scan with explicit state, defined once for history and for the stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
