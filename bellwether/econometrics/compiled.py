"""Compile a recursion with numba and keep the result on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile ``function`` in strict float order; division by zero follows IEEE.

    The cache watches the function's own file only, so a kernel calls nothing but what its file or numba holds.
    """
    compile_it: Callable[[Callable[P, R]], Callable[P, R]] = njit(cache=True, error_model="numpy")
    return compile_it(function)
