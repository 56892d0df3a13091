"""What a feature set is: a causal scan with explicit state, defined once for history and for the stream."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
    helpers : tuple of callable
        Compiled functions the kernel calls; their source is part of the definition.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    warmup: int
    state: np.dtype[np.void]
    kernel: Callable[..., None]
    helpers: tuple[Callable[..., Any], ...] = ()

    @property
    def definition(self) -> str:
        """Hash that a model carries and serving checks: names, order, warm-up, state and code."""
        parts = (self.name, self.inputs, self.outputs, self.warmup, self.state.descr)
        source = [inspect.getsource(f.py_func) for f in (self.kernel, *self.helpers)]  # type: ignore[attr-defined]
        return hashlib.sha256(repr((*parts, *source)).encode()).hexdigest()[:16]

    def start(self, n_symbols: int = 1) -> NDArray[np.void]:
        """Fresh memory, one record per symbol."""
        return np.zeros(n_symbols, self.state)

    def scan(self, x: Floats, state: NDArray[np.void], who: NDArray[np.int64] | None = None) -> Floats:
        """Advance ``state`` by the rows of ``x`` and return their features.

        A year of one symbol, one bar, and a micro-batch of a hundred symbols are the same call.

        Parameters
        ----------
        x : float64 array of shape (n, len(inputs))
            Rows in time order. NaN is refused by the record schema before it gets here.
        state : structured array of shape (n_symbols,)
            Advanced in place.
        who : int64 array of shape (n,), optional
            Index into ``state`` of each row; all zero if left out.

        Returns
        -------
        float64 array of shape (n, len(outputs))
        """
        who = np.zeros(len(x), np.int64) if who is None else who
        out = np.empty((len(x), len(self.outputs)))
        self.kernel(x, who, state, out)
        return out
