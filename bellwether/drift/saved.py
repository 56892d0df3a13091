"""Figures of a saved state, checked as they are read: a state is JSON, and a hand may have edited it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from reprlib import repr as short
from typing import Any

import numpy as np

from bellwether.drift.base import Floats, Ints

MOST = 10**12
"""No integer is larger: the product of a count and the rows of a window is still a 64-bit integer."""


def whole(state: Mapping[str, Any], key: str, *, least: int) -> int:
    """A whole number of at least so many; `ValueError` for anything else.

    >>> whole({"bars": 50}, "bars", least=1)
    50
    """
    found = state[key]
    if type(found) is not int or not least <= found <= MOST:
        raise ValueError(f"{key} is {short(found)}, and must be a whole number of at least {least}")
    return found


def share(state: Mapping[str, Any], key: str) -> float:
    """A number between 0 and 1, and neither of them, nor so small that its inverse is no count; else `ValueError`.

    >>> share({"level": 0.05}, "level")
    0.05
    """
    if type(found := state[key]) is not float or not 1.0 / MOST <= found < 1.0:
        raise ValueError(f"{key} is {short(found)}, and must be a number between 0 and 1")
    return found


def distance(state: Mapping[str, Any], key: str) -> float:
    """A finite number that is not negative; `ValueError` for anything else.

    >>> distance({"usual": 0}, "usual")
    0.0
    """
    if not _is_number(found := state[key]) or found < 0:
        raise ValueError(f"{key} is {short(found)}, and must be a finite number of at least 0")
    return float(found)


def rising(state: Mapping[str, Any], key: str) -> Floats:
    """Edges (n,) between bins, at least one: finite, each above the one before; `ValueError` for anything else.

    >>> rising({"edges": [-1.0, 0.5]}, "edges").tolist()
    [-1.0, 0.5]
    """
    found = _listed(state, key)
    edges = np.array(found, np.float64) if found and all(map(_is_number, found)) else np.empty(0)
    if not len(edges) or not (np.diff(edges) > 0).all():
        raise ValueError(f"{key} are {short(found)}, and must be finite numbers, each above the one before")
    return edges


def counts(state: Mapping[str, Any], key: str, *, bins: int) -> Ints:
    """Counts (bins,), one a bin, whole, none negative and not all 0; `ValueError` for anything else.

    >>> counts({"counts": [3, 0]}, "counts", bins=2).tolist()
    [3, 0]
    """
    found = _listed(state, key)
    good = all(type(one) is int and 0 <= one <= MOST for one in found)
    if len(found) != bins or not good or not any(found):
        raise ValueError(f"{key} are {short(found)}, and must be {bins} whole numbers that count rows")
    return np.array(found, np.int64)


def _listed(state: Mapping[str, Any], key: str) -> Sequence[Any]:
    if not isinstance(found := state[key], list | tuple):
        raise ValueError(f"{key} is {short(found)}, and must be a list")
    return found


def _is_number(value: object) -> bool:
    """Whether it is a finite number; True and False are none, nor is an integer too large for a float."""
    if type(value) is int:
        return abs(value) <= MOST
    return type(value) is float and isfinite(value)
