"""Compile a kernel once a machine, and compile it again when anything it calls has changed."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile ``function`` with numba, in strict float order, and keep the result on disk.

    Strict order (no ``fastmath``) is what lets two machines agree to the last bit. Division by zero follows IEEE.
    numba's own cache only watches the file the function is in; this one also watches the functions and constants it
    uses, so that a changed helper is never served from an old build.

    Use it as a decorator on a module's function; numba compiles for the argument types of the first call.
    """
    dispatcher = njit(cache=True, error_model="numpy")(function)
    dispatcher._cache = _WatchfulCache(function)
    return dispatcher  # type: ignore[no-any-return]


def source_of(function: Callable[..., Any]) -> str:
    """Source text of ``function`` and of every project function and constant it uses, in a fixed order."""
    return "\n".join(_sources(function, set()))


def _sources(function: Callable[..., Any], seen: set[Any]) -> list[str]:
    plain = _plain(function)
    if plain in seen:
        return []
    seen.add(plain)
    texts = [inspect.getsource(plain)]
    for name, value in sorted(_uses(plain).items()):
        if isinstance(value, int | float | str | tuple | np.dtype):
            texts.append(f"{name} = {value!r}")
        elif callable(value) and _is_ours(_plain(value), plain):
            texts += _sources(value, seen)
    return texts


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function below what compiles or caches it."""
    plain: Callable[..., Any] = inspect.unwrap(getattr(function, "py_func", function))
    return plain


def _uses(function: Callable[..., Any]) -> dict[str, Any]:
    """Names from outside that a function uses, also within its comprehensions, lambdas and inner functions."""
    pending, names = [function.__code__], set[str]()
    while pending:
        code = pending.pop()
        names |= set(code.co_names)
        pending += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    around = {name: function.__globals__[name] for name in names if name in function.__globals__}
    return around | dict(inspect.getclosurevars(function).nonlocals)


def _is_ours(function: Any, user: Any) -> bool:
    return inspect.isfunction(function) and function.__module__.split(".")[0] == user.__module__.split(".")[0]


class _WatchfulCache(FunctionCache):  # type: ignore[misc]
    """numba's disk cache with the source of everything the function uses in the key."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._uses = hashlib.sha256(source_of(function).encode()).hexdigest()

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), self._uses)
