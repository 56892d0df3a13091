"""What a model that looks back is shown: its last rows, as one."""

from __future__ import annotations

import numpy as np

from data.features.base import Floats


def window(x: Floats, lookback: int) -> Floats | None:
    """The last rows whose features are known, as one row, oldest first; None where there are too few.

    >>> window(np.array([[np.nan], [1.0], [2.0]]), 2).tolist()
    [1.0, 2.0]
    """
    known: Floats = x[np.isfinite(x).all(axis=1)][-lookback:]
    return known.ravel() if len(known) == lookback else None
